"""What a repaired model says of itself: its proof, added to the merge's model card."""

from __future__ import annotations

import json
import math
from pathlib import Path

from overmem.formatting import estimate_text, spaced
from overmem.records import Cost, Repair


def add_proof(model: Path, repair: Repair) -> None:
    """Append the proof to the model card and save the record beside it as `repair.json`.

    Args:
        model: folder of the merged model.
        repair: what was proved.
    """
    card = model / "README.md"
    card.write_text(
        f"{card.read_text(encoding='utf-8').rstrip()}\n\n{proof_section(repair)}", encoding="utf-8"
    )
    record = json.dumps(repair.to_dict(), indent=1, allow_nan=False)
    (model / "repair.json").write_text(f"{record}\n", encoding="utf-8")


def proof_section(repair: Repair) -> str:
    """The proof as Markdown."""
    costs = repair.proof.differences if repair.proof is not None else ()
    rows = "\n".join(_row(cost) for cost in costs if cost.headline)
    words = "\n\n".join(repair.words)
    return f"""## Proof

{words}

Chosen on {repair.n_search} problems, proved on {repair.n_confirm} others; {repair.before} against this model,
paired differences with 95% intervals over problems. Every measure is in `repair.json`.

| axis | measure | {repair.before} | this model | difference |
| --- | --- | --- | --- | --- |
{rows}
"""


def _row(cost: Cost) -> str:
    cells = (
        cost.axis,
        spaced(cost.measure),
        _number(cost.reference_value),
        _number(cost.value),
        estimate_text(cost.difference, "+.3f"),
    )
    return f"| {' | '.join(cells)} |"


def _number(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else "undefined"
