"""A verdict from a training log alone in a terminal: what to keep by it, its evaluations, and what is odd."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from overmem.records import Verdict
from overmem.records.logged import LoggedPoint, LoggedReading, LoggedRun, LoggedSeries
from overmem.verdict.words.logged import (
    MOST_OTHERS,
    keep_line,
    log_line,
    picked_series,
    shown_series,
)
from overmem.verdict.words.narrative import plain_words

ROWS = 14
"""Evaluations up to this number are all shown; of more, those that do not differ from the best come first."""
_MARKS = {"best": "*", "alike": "=", "worse": "", "unknown": ""}
_STYLES = {"problem": "bold red", "warning": "yellow", "note": ""}


def render_logged(verdict: Verdict, console: Console) -> None:
    """Print what a log says, all but its panel.

    Args:
        verdict: with `logged`.
        console: where to; 80 columns are enough.
    """
    if verdict.logged is None:
        return
    run = verdict.logged.runs[0]
    if run.series:
        console.print(_points(run) if len({one.set_name for one in run.series}) == 1 else _sets(run))
    said = {finding.sentence: finding.severity for finding in run.findings}
    console.print()
    for words in verdict.words or plain_words(verdict):
        console.print(Padding(Text(words, style=_STYLES.get(said.get(words, ""), "")), (0, 1, 1, 1)))
    if verdict.notes:
        console.print(Padding(Text("Read before acting on it", style="bold"), (0, 1)))
        for note in verdict.notes:
            console.print(bullet(note))


def logged_panel(reading: LoggedReading) -> Panel:
    """The two lines that answer: whose log it is, and what it alone would keep; of several runs two each."""
    runs = [reading.runs[0], *reading.strangers[:MOST_OTHERS]]
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(no_wrap=True, style="dim", min_width=6)
    grid.add_column(overflow="fold")
    for number, run in enumerate(runs, 1):
        several = len(runs) > 1
        grid.add_row(f"Run {number}" if several else "Log", log_line(run, named=several))
        grid.add_row("Keep", _keep(run))
    return Panel(grid, box=box.ROUNDED, border_style="dim", padding=(0, 1))


def _keep(run: LoggedRun) -> Text:
    return Text(keep_line(run), style="bold" if run.keep is not None else "")


def _points(run: LoggedRun) -> Table:
    """The evaluations of one set: step, epoch, and the loss and metric that speak."""
    shown = shown_series(run)
    table = _table(("", "step", "epoch", *(one.key for one in shown), "on disk"))
    columns = [{point.step: point for point in one.points} for one in shown]
    for step in _steps(shown[0]):
        points = [column.get(step) for column in columns]
        first = next(point for point in points if point is not None)
        epoch = "" if first.epoch is None else f"{first.epoch:.4g}"
        style = "bold" if first.difference == "best" else ""
        table.add_row(
            _MARKS[first.difference],
            f"{step}",
            epoch,
            *map(_value, points),
            first.saved_as or "",
            style=style,
        )
    return table


def _steps(one: LoggedSeries) -> list[int]:
    steps = [point.step for point in one.points]
    if len(steps) <= ROWS:
        return steps
    kept = [0, len(steps) - 1] + [i for i, point in enumerate(one.points) if point.difference == "best"]
    kept += [i for i, point in enumerate(one.points) if point.difference == "alike"]
    kept += [i * (len(steps) - 1) // ROWS for i in range(ROWS)]
    return [steps[i] for i in sorted(list(dict.fromkeys(kept))[:ROWS])]


def _sets(run: LoggedRun) -> Table:
    """A line for each figure of each evaluation set."""
    table = _table(("evaluation", "best", "at step", "last", "at step "))
    picked = picked_series(run, run.keep) if run.keep is not None else None
    for one in run.series:
        name = "mean of the sets" if "," in one.key else one.key
        cells = (f"{one.best:.4g}", f"{one.best_step}", f"{one.last:.4g}", f"{one.last_step}")
        table.add_row(name, *cells, style="bold" if one is picked else "")
    return table


def _table(heads: tuple[str, ...]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    for head in heads:
        table.add_column(head, justify="left" if head in ("", "on disk", "evaluation") else "right")
    return table


def _value(point: LoggedPoint | None) -> str:
    return "" if point is None else f"{point.value:.4g}"


def bullet(note: str) -> Padding:
    """A note as an item of a list."""
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(width=1)
    grid.add_column(overflow="fold")
    grid.add_row(Text("-"), Text(note))
    return Padding(grid, (0, 1))
