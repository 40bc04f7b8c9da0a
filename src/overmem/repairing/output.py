"""Where a repaired model goes: refused early, put there whole with its proof, taken away when not proved."""

from __future__ import annotations

import json
import math
import os
import shutil
from pathlib import Path

from overmem.artifacts.files import write_text_atomic
from overmem.errors import MergeError
from overmem.formatting import estimate_text, markdown, spaced
from overmem.merging.apply import atomic_folder
from overmem.records import Checkpoint, Cost, Repair

RETRAIN = "retrain.yaml"
"""The recipe to train again by, in the folder of the run's artifacts."""
PROOF = "## Proof"
"""Heading of what is added to a model card."""


def refuse_existing(out: Path | None) -> None:
    """Find out before the work that there would be no place for its result.

    Raises:
        MergeError: `out` exists, or cannot be a folder.
    """
    if out is None:
        return
    if out.exists() or out.is_symlink():
        raise MergeError("the output folder exists", got=out, next_step="name another one, or remove it")
    above = next(parent for parent in Path(os.path.abspath(out)).parents if parent.exists())
    if not above.is_dir():
        raise MergeError("the output cannot be a folder", got=out, expected=f"{above} to be a folder")


def settle(repaired: Repair, model: Checkpoint | None, target: Path, *, replace: bool) -> None:
    """Put a proved model where it belongs.

    Args:
        repaired: the record.
        model: the winner, if there is one.
        target: where it goes.
        replace: whether an earlier model there is replaced.
    """
    if model is not None and repaired.model is not None:
        add_proof(model.path, repaired)
        save_model(model.path, target, replace=replace)


def clear_earlier(repaired: Repair, root: Path, target: Path | None) -> None:
    """Remove what an earlier repair left and this one does not say, once the record of this one is saved.

    Args:
        repaired: the record.
        root: the folder of the run's artifacts.
        target: where an earlier model was put; None where the place is the user's own.
    """
    if target is not None and repaired.model is None:
        for folder in (target, _set_aside(target)):
            shutil.rmtree(folder, ignore_errors=True)
    if repaired.retraining is None or repaired.retraining.recipe is None:
        (root / RETRAIN).unlink(missing_ok=True)


def save_model(model: Path, out: Path, *, replace: bool) -> None:
    """Copy a model to where it belongs, whole or not at all.

    Args:
        model: its folder, which stays.
        out: where it goes.
        replace: whether an earlier one is replaced; it is removed only when the new one is there.
    """
    n_bytes = sum(file.stat().st_size for file in model.rglob("*") if file.is_file())
    old = _set_aside(out)
    if replace and out.exists():
        shutil.rmtree(old, ignore_errors=True)
        os.replace(out, old)
    try:
        with atomic_folder(out, n_bytes) as folder:
            shutil.copytree(model, folder, dirs_exist_ok=True)
    except BaseException:
        if old.exists():
            os.replace(old, out)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _set_aside(out: Path) -> Path:
    """Where an earlier model is until the new one is there."""
    return out.with_name(f".{out.name}.old")


def add_proof(model: Path, repair: Repair) -> None:
    """Append the proof to the model card and save the record beside it as `repair.json`.

    Args:
        model: folder of the merged model.
        repair: what was proved.
    """
    card = model / "README.md"
    # A repair that was killed here has written one already.
    text = card.read_text(encoding="utf-8").partition(f"\n{PROOF}\n")[0].rstrip()
    write_text_atomic(card, f"{text}\n\n{proof_section(repair)}")
    record = json.dumps(repair.to_dict(), indent=1, allow_nan=False)
    write_text_atomic(model / "repair.json", f"{record}\n")


def proof_section(repair: Repair) -> str:
    """The proof as Markdown."""
    costs = repair.proof.differences if repair.proof is not None else ()
    rows = "\n".join(_row(cost) for cost in costs if cost.headline)
    words = "\n\n".join(map(markdown, repair.words))
    before = markdown(repair.before)
    return f"""{PROOF}

{words}

Chosen on {repair.n_search} problems, proved on {repair.n_confirm} others; {before} against this model,
paired differences with 95% intervals over problems. Every measure is in `repair.json`.

| axis | measure | {before} | this model | difference |
| --- | --- | --- | --- | --- |
{rows}
"""


def _row(cost: Cost) -> str:
    cells = (
        markdown(cost.axis),
        markdown(spaced(cost.measure)),
        _number(cost.reference_value),
        _number(cost.value),
        estimate_text(cost.difference, "+.3f"),
    )
    return f"| {' | '.join(cells)} |"


def _number(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else "undefined"
