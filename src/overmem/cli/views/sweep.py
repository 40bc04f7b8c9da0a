"""A sweep in 80 columns of terminal: its plan, and what it found."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from overmem.cli.screen import tell
from overmem.cli.views.tables import STAGE_STYLES, plain_table
from overmem.formatting import confidence_text, percent, spaced, time_text
from overmem.sweeping.page.view import onset_text, setting_text, value_text
from overmem.sweeping.record import CellState, Family, Group, Point, SweepResult, short_key

if TYPE_CHECKING:
    from overmem.sweeping.plan import SweepPlan


def render_sweep(result: SweepResult, console: Console) -> None:
    """Print what a sweep found: a line a configuration, the words, and the cells that failed."""
    for family in result.families:
        if len(result.families) > 1:
            console.print(Text(f" {family.model}", style="bold"))
        console.print(_table(family, float(result.thresholds.get("perplexity_ratio", math.inf))))
        console.print(
            Text(" * recommended; others: their highest accuracy within the perplexity bound", style="dim")
        )
        console.print()
    for words in result.words:
        console.print(Padding(Text(words), (0, 1, 1, 1)))
    for cell in result.failed:
        console.print(Padding(Text(f"{cell.name} failed: {cell.error}", style="red"), (0, 1)))
    for note in result.notes:
        console.print(Padding(Text(note), (0, 1)))


def _table(family: Family, ratio: float) -> Table:
    """A line a configuration: its best point within the bound, its last stage, its onset."""
    keys = list(family.groups[0].settings)
    # With one key its name stands above, and its values alone below.
    name = spaced(short_key(keys[0])) if len(keys) == 1 else "configuration"
    table = plain_table("", name, numbers=("best at", "acc %", "ppl"))
    table.add_column("last stage (conf)", no_wrap=True)
    table.add_column("onset")
    chosen = family.recommended
    for group in family.groups:
        points = [point for point in family.points if point.group == group.name]
        here = chosen is not None and chosen.group == group.name
        best = family.point(chosen.label) if chosen is not None and here else _best(points, ratio)
        last = points[-1]
        table.add_row(
            Text("*" if here else "", style="bold green"),
            Text(
                value_text(group.settings[keys[0]]) if len(keys) == 1 else setting_text(group.settings),
                style="bold" if here else "",
            ),
            best.checkpoint.removeprefix("checkpoint-") if best.epoch is None else f"{best.epoch:g} ep",
            f"{100 * best.accuracy.value:.1f}",
            f"{best.perplexity.value:.2f}",
            Text(
                f"{'? ' if last.leaning else ''}{last.likely} {confidence_text(last.confidence)}",
                style=STAGE_STYLES.get(last.likely, "dim"),
            ),
            _onset(group),
        )
    return table


def _best(points: Sequence[Point], ratio: float) -> Point:
    """The most accurate point whose perplexity is within the ratio of the lowest of its own run."""
    lowest = min(point.perplexity.value for point in points)
    near = [point for point in points if point.perplexity.value <= ratio * lowest]
    return max(near, key=lambda point: point.accuracy.value)


def _onset(group: Group) -> str:
    return "none" if group.onset.step is None else onset_text(group)


def render_sweep_plan(plan: SweepPlan, console: Console) -> None:
    """Print the cells of a sweep, what is left to do, and about how long it takes."""
    table = plain_table("cell", numbers=("examples", "steps", "checkpoints", "about"))
    table.add_column("state")
    for item in plan.cells:
        about = "-" if item.state.status == "done" else time_text(item.seconds)
        table.add_row(
            Text(item.state.name, overflow="fold"),
            f"{item.examples:,}",
            f"{'≤' if item.at_most else ''}{item.steps:,}",
            f"{'≤' if item.at_most else ''}{item.checkpoints}",
            about,
            item.state.status,
        )
    console.print(table)
    left = [item for item in plan.cells if item.state.status != "done"]
    summary = f" {len(left)} of {len(plan.cells)} cells to do"
    if left and math.isfinite(plan.seconds):
        summary += f", about {time_text(plan.seconds)} on one device ({plan.basis})"
        if plan.workers > 1:
            summary += f", {time_text(plan.seconds_on(plan.workers))} on {plan.workers}"
    if any(item.at_most for item in left):
        summary += "; at most (≤) where examples are packed, which is done when training starts"
    tell(console, summary, "dim")


def cell_line(state: CellState, ended: int, total: int) -> str:
    """A cell that has just ended, in a line."""
    what = f"failed: {(state.error or '').splitlines()[0]}" if state.error else f"{state.stage}"
    share = percent(ended / total, 0)
    return f"cell {ended}/{total} ({share}): {state.name}: {what}"
