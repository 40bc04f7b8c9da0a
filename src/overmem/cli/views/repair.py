"""A repair in 80 columns of terminal: its plan, what was tried, and before / after on every axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from overmem.cli.views.tables import difference_table, plain_table
from overmem.formatting import percent, time_text
from overmem.records import Attempt, Cost, Repair
from overmem.repairing.narrative import how_made

if TYPE_CHECKING:
    from overmem.repairing.plan import RepairPlan

ROWS = 6
"""Attempts shown beside those whose answers were measured."""


def render_repair_plan(plan: RepairPlan, console: Console) -> None:
    """Print what a repair will try, against what, and about how long it takes."""
    table = plain_table("step", "what", numbers=("merges", "about"))
    scoring = plan.scores * plan.score_seconds
    table.add_row("score", "NLL on the search split", str(plan.scores), time_text(scoring))
    answers = plan.few * plan.answer_seconds
    table.add_row("look closely", "accuracy and samples, there", str(plan.few), time_text(answers))
    table.add_row("prove", "every axis, on the confirm split", "1", time_text(plan.proof_seconds))
    console.print(Text(f" To beat: {plan.before}, the one to ship without a repair"))
    console.print(table)
    console.print(Text(f" about {time_text(plan.seconds)} in all, beside merging and loading\n", style="dim"))


def render_repair(found: Repair, console: Console) -> None:
    """Print what was tried, before and after on every axis, and what came of it."""
    if found.attempts:
        console.print(_attempts(found))
        hidden = len(found.attempts) - len(_shown(found))
        more = f"; {hidden} more in repair.json" if hidden > 0 else ""
        console.print(Text(f" on {found.n_search} problems of the search split{more}\n", style="dim"))
    if found.proof is not None:
        _differences(found.proof.differences, f"{found.winner} against {found.before}", console)
        if found.against_last:
            _differences(found.against_last, f"{found.winner} against {found.last}, the last", console)
    for word in found.words:
        console.print(Text(f" {word}\n"))
    for note in found.notes:
        console.print(Text(f" - {note}"))
    if found.model is not None:
        console.print(Text(f" model: {found.model}  (its proof: README.md)"), soft_wrap=True)


def _attempts(found: Repair) -> Table:
    table = plain_table("merge", numbers=("NLL", "accuracy %", "pass@k %"))
    for attempt in _shown(found):
        style = "bold" if attempt.name == found.winner else ""
        cells = (
            Text(how_made(attempt), style=style),
            f"{attempt.nll_nats:.4f}",
            _percent(attempt.accuracy),
            _percent(attempt.pass_at_k),
        )
        table.add_row(*cells)
    return table


def _shown(found: Repair) -> Sequence[Attempt]:
    """Those looked at closely, and the next by NLL."""
    closely = [attempt for attempt in found.attempts if math.isfinite(attempt.accuracy)]
    rest = [attempt for attempt in found.attempts if attempt not in closely]
    kept = closely + rest[: max(0, ROWS - len(closely))]
    return sorted(kept, key=lambda attempt: attempt.nll_nats)


def _differences(costs: Sequence[Cost], title: str, console: Console) -> None:
    """Each axis's headline, and what else is clearly better or worse of the measures the gate looks at."""
    console.print(Text(f" {title}", style="bold"))
    console.print(difference_table([cost for cost in costs if cost.headline], "after", "before"))
    console.print(Text(" p: adjusted over the axes (Holm). Every measure is in repair.json.\n", style="dim"))


def _percent(share: float) -> str:
    return percent(share).rstrip("%") if math.isfinite(share) else "-"
