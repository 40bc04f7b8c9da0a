"""A verdict in 80 columns of terminal, with or without colour.

A long run is shortened: both ends, the recommended checkpoint and its alternatives, and the edges of
each stage are shown, what lies between is counted.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console, Group
from rich.measure import Measurement
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from overmem.cli.views.choice import render_base, render_trade
from overmem.cli.views.logged import bullet, logged_panel, render_logged
from overmem.cli.views.tables import STAGE_STYLES, render_costs
from overmem.formatting import confidence_text, estimate_parts
from overmem.records import BaseModel, CheckpointSummary, Verdict
from overmem.verdict.words.headline import headline
from overmem.verdict.words.narrative import plain_words

ROWS = 20
"""Checkpoints up to this number are all shown."""

_SHORT = {"over-memorized": "over-mem"}


def render_verdict(verdict: Verdict, console: Console, *, full: bool = False) -> None:
    """Print a verdict: checkpoints, the words, the notes, and last its headline, which stays on the screen.

    Args:
        verdict: the record; its words are made here when it has none.
        console: where to; its width is respected, 80 columns are enough.
        full: show every measure of every axis, not the headlines alone.
    """
    render_details(verdict, console, full=full)
    render_headline(verdict, console)


def render_details(verdict: Verdict, console: Console, *, full: bool = False) -> None:
    """Print all of a verdict but its headline; see `render_verdict`."""
    if verdict.logged is not None:
        render_logged(verdict, console)
        return
    if verdict.checkpoints:
        console.print(_fitting_table(verdict, console))
        console.print(_legend(verdict))
    console.print()
    for words in verdict.words or plain_words(verdict):
        console.print(Padding(Text(words), (0, 1, 1, 1)))
    if verdict.trade is not None:
        render_trade(verdict.trade, console)
    if verdict.base is not None:
        render_base(verdict.base, console)
    last = verdict.checkpoints[-1].name if verdict.checkpoints else ""
    render_costs(verdict.costs, last, console, full=full)
    if verdict.notes:
        console.print(Padding(Text("Read before acting on it", style="bold"), (0, 1)))
        for note in verdict.notes:
            console.print(bullet(note))


def render_headline(verdict: Verdict, console: Console) -> None:
    """Print the stage of the last checkpoint and what to ship."""
    logged = verdict.logged
    console.print(_headline_panel(verdict) if logged is None else logged_panel(logged))


def _headline_panel(verdict: Verdict) -> Panel:
    style = STAGE_STYLES.get(verdict.stage, "dim")
    first, ship_style = headline(verdict), "bold" if verdict.recommended is None else "bold green"
    stage = Text.assemble(("Stage  ", "dim"), (first.line, f"bold {style}"))
    ship = Text.assemble(
        ("Ship   ", "dim"),
        (first.ship, ship_style),
        (f" ({first.ship_stage})" if first.ship_stage else "", ""),
    )
    return Panel(Group(stage, ship), box=box.ROUNDED, border_style=style, padding=(0, 1))


# The table.


def _fitting_table(verdict: Verdict, console: Console) -> Table:
    """The fullest table that fits: epochs go first, then intervals."""
    epochs = any(summary.epoch is not None for summary in verdict.checkpoints)
    table = _table(verdict, epochs=epochs, intervals=True)
    for intervals in (True, False):
        if Measurement.get(console, console.options.update(width=1000), table).maximum > console.width:
            table = _table(verdict, epochs=False, intervals=intervals)
    return table


def _table(verdict: Verdict, *, epochs: bool, intervals: bool) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("", min_width=2)
    for name in ("step", "epoch", "stage", "conf", "accuracy %", "perplexity"):
        if name != "epoch" or epochs:
            table.add_column(name, justify="left" if name == "stage" else "right", no_wrap=True)
    if verdict.base is not None and not verdict.base.in_run:
        table.add_row(*_base_row(verdict.base, epochs, intervals))
    previous = -1
    for position in shown_positions(verdict):
        if position > previous + 1:
            table.add_row(*_elided(verdict.checkpoints, previous + 1, position, epochs))
        table.add_row(*_row(verdict, verdict.checkpoints[position], epochs, intervals))
        previous = position
    return table


def shown_positions(verdict: Verdict, rows: int = ROWS) -> list[int]:
    """Positions of the checkpoints to show one by one, in order.

    Args:
        verdict: the record.
        rows: from how many checkpoints on to leave some out.

    Returns:
        All when they fit; else the ends, the choices, and where a stage begins or ends.
    """
    checkpoints = verdict.checkpoints
    count = len(checkpoints)
    if count <= rows:
        return list(range(count))
    names = {name for name in verdict.alternatives.values() if name}
    names |= {verdict.recommended.name} if verdict.recommended is not None else set()
    choices = [i for i, summary in enumerate(checkpoints) if summary.name in names]
    begins = [i for i in range(1, count) if _kind(checkpoints[i]) != _kind(checkpoints[i - 1])]
    ends = [i - 1 for i in begins]
    kept = set(list(dict.fromkeys([0, count - 1, *choices, *reversed(begins), *reversed(ends)]))[:rows])
    # A line that says "1 more" costs as much as the checkpoint itself.
    kept |= {i for i in range(1, count - 1) if i not in kept and {i - 1, i + 1} <= kept}
    return sorted(kept)


def _kind(summary: CheckpointSummary) -> tuple[str, str | None]:
    return summary.stage, summary.leaning


def _row(verdict: Verdict, summary: CheckpointSummary, epochs: bool, intervals: bool) -> list[Text]:
    style = STAGE_STYLES.get(summary.stage, "dim")
    chosen = verdict.recommended is not None and summary.name == verdict.recommended.name
    cells = [
        Text(_mark(verdict, summary), style="bold green"),
        Text(str(summary.step)),
        Text(_stage_text(summary), style=style),
        Text(_confidence_cell(summary.confidence)),
        _figure_cell(*estimate_parts(summary.accuracy, _percent_number, "-"), intervals),
        _figure_cell(*estimate_parts(summary.perplexity, to="-"), intervals),
    ]
    if epochs:
        cells.insert(2, Text("" if summary.epoch is None else f"{summary.epoch:.4g}"))
    if chosen:
        for cell in cells:
            cell.stylize("bold")
    return cells


def _base_row(base: BaseModel, epochs: bool, intervals: bool) -> list[Text]:
    """The base model as step 0, outside the rule's curves."""
    return [
        Text(""),
        Text("0"),
        *([Text("")] if epochs else []),
        Text("base model", style="dim"),
        Text(""),
        _figure_cell(*estimate_parts(base.accuracy, _percent_number, "-"), intervals),
        _figure_cell(*estimate_parts(base.perplexity, to="-"), intervals),
    ]


def _elided(checkpoints: Sequence[CheckpointSummary], start: int, end: int, epochs: bool) -> list[Text]:
    """One line for the checkpoints from start to before end; it follows a checkpoint that is shown."""
    same = all(_kind(summary) == _kind(checkpoints[start - 1]) for summary in checkpoints[start:end])
    text = f"{end - start} more, {'same' if same else 'mixed'}"
    cells = [Text(""), Text("..."), *([Text("")] if epochs else []), Text(text)]
    for cell in cells:
        cell.stylize("dim")
    return cells


def _mark(verdict: Verdict, summary: CheckpointSummary) -> str:
    chosen = verdict.recommended is not None and summary.name == verdict.recommended.name
    lowest = verdict.alternatives.get("lowest_perplexity") == summary.name
    highest = verdict.alternatives.get("highest_accuracy") == summary.name
    return ("*" if chosen else "") + (
        "=" if lowest and highest else "p" if lowest else "a" if highest else ""
    )


def _stage_text(summary: CheckpointSummary) -> str:
    if summary.leaning is None:
        return summary.stage
    return f"? leans {_SHORT.get(summary.leaning, summary.leaning)}"


def _confidence_cell(confidence: float) -> str:
    return confidence_text(confidence).replace("over ", ">").replace("under ", "<").replace("none", "-")


def _percent_number(share: float) -> str:
    return f"{100 * share:.1f}"


def _figure_cell(value: str, interval: str, intervals: bool) -> Text:
    return Text(f"{value} ({interval})" if interval and intervals else value)


def _legend(verdict: Verdict) -> Text:
    seen = "".join(_mark(verdict, summary) for summary in verdict.checkpoints)
    meanings = {
        "*": "* ship",
        "p": "p lowest perplexity",
        "a": "a highest accuracy",
        "=": "= both measures' best",
    }
    parts = [text for mark, text in meanings.items() if mark in seen]
    if verdict.evidence != "logged":
        parts.append("(95% intervals)")
    return Text(" " + "   ".join(parts), style="dim")
