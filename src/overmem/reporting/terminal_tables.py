"""Tables of axes for a terminal of 80 columns: the plan, the costs, and a comparison of two runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from overmem.formatting import percent
from overmem.records import Cost
from overmem.verdict.compare import Comparison

if TYPE_CHECKING:
    from overmem.auditing.planning.forecast import Forecast
    from overmem.auditing.planning.plan import Plan

OUTCOME_STYLES = {"worse": "red", "better": "green", "changed": "yellow"}


def render_plan(plan: Plan, console: Console) -> None:
    """Print what an audit will do, on how many problems, and about how long it takes."""
    table = plain_table("axis", "what it tells", numbers=("problems", "checkpoints", "about"))
    for item in plan.axes:
        if not item.jobs:
            table.add_row(item.axis, Text(f"not measured: {item.why_not}", style="dim"), "-", "-", "-")
            continue
        n = f"{item.n:,}" + (f" of {item.cut_from:,}" if item.cut_from is not None else "")
        table.add_row(item.axis, item.tells, n, str(item.checkpoints), time_text(item.seconds))
    console.print(table)
    if plan.looks:
        console.print(f" {looks_text(plan)}", style="dim", soft_wrap=True)
    if math.isfinite(plan.seconds):
        console.print(
            f" about {time_text(plan.seconds)} in all, beside what is already measured\n", style="dim"
        )


def looks_text(plan: Plan) -> str:
    """Where an audit that stops early looks at the verdict."""
    *early, n_all = (f"{n:,}" for n in plan.looks)
    return f"stops once the verdict is decided: looks after {', '.join(early)} of {n_all} problems"


def render_forecast(made: Forecast, devices: int, console: Console) -> None:
    """Print what an audit costs: tokens, time and memory of each axis and in all.

    Args:
        made: the forecast.
        devices: that share the checkpoints.
        console: where to.
    """
    least = "at least" if made.floor else "about"
    table = plain_table("axis", numbers=("problems", "checkpoints", "tokens read", "written", least))
    for item in made.plan.axes:
        if not item.jobs:
            table.add_row(item.axis, Text(f"not measured: {item.why_not}", style="dim"))
            continue
        n = f"{item.n:,}" + (f" of {item.cut_from:,}" if item.cut_from is not None else "")
        tokens = made.tokens[item.axis]
        figures = count_text(tokens.read), count_text(tokens.written), time_text(item.seconds)
        table.add_row(item.axis, n, str(item.checkpoints), *figures)
    console.print(table)
    lines = [f"{least} {time_text(made.seconds)} on one device, beside what is already measured"]
    if made.load_seconds > 0:
        lines[0] += f"; {time_text(made.load_seconds)} of it to load checkpoints"
    if devices > 1:
        lines.append(
            f"{least} {time_text(made.seconds_on(devices))} on {devices}, a checkpoint each at a time"
        )
    if made.plan.looks:
        lines.insert(0, looks_text(made.plan))
    if made.pending is not None and made.pending.share is not None:
        lines.append(pending_text(made.pending.share, made.pending.n_there))
    if made.floor:
        lines.append("from the peaks of the device: no real program reaches them")
    memory = made.memory
    parts = {
        "weights": memory.weights,
        "keys and values": memory.cache,
        "logits": memory.logits,
        "activations": memory.activations,
    }
    said = ", ".join(f"{name} {bytes_text(value)}" for name, value in parts.items() if value)
    lines.append(f"memory: about {bytes_text(memory.total)} in {made.dtype} beside the libraries ({said})")
    if made.measured_bytes is not None:
        lines.append(f"trying a batch or two of each kind took {bytes_text(made.measured_bytes)} here")
    console.print("\n".join(f" {line}" for line in lines), style="dim", soft_wrap=True)


def pending_text(share: float, n_there: int) -> str:
    """Of how many right answers a forecast counts the scores.

    Args:
        share: of the answers to val that are taken to be right.
        n_there: answers it rests on.
    """
    some = f"{percent(share)}, as of the {n_there:,} that are there"
    taken = some if n_there else "all, as none is there yet"
    return f"answers to val taken to be right, which references scores: {taken}"


def count_text(value: float) -> str:
    """A count of tokens in at most three digits."""
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:.3g} {name}"
    return f"{value:.0f}"


def bytes_text(value: float) -> str:
    """Bytes as a person says them."""
    return f"{value / 1e9:.1f} GB" if value >= 1e9 else f"{value / 1e6:.0f} MB"


def render_costs(costs: Sequence[Cost], last: str, console: Console) -> None:
    """Print what is clearly worse at the last checkpoint than at the first reference, and each headline.

    Args:
        costs: of a verdict.
        last: name of the last checkpoint.
        console: where to.
    """
    if not costs:
        return
    of_one = [cost for cost in costs if cost.against == costs[0].against]
    shown = [cost for cost in of_one if cost.headline or cost.outcome == "worse"]
    console.print(Text(f" {last} against {costs[0].against}", style="bold"))
    console.print(difference_table(shown, "last", "it"))
    console.print(_below(len(of_one) - len(shown)))


def render_comparison(found: Comparison, console: Console) -> None:
    """Print two runs at matched accuracy."""
    a, b = found.accuracy
    console.print(Text(f"A  {', '.join(found.a)}\nB  {', '.join(found.b)}"), soft_wrap=True)
    if found.matched is None:
        console.print(Text(f"Not comparable: {found.reason} ({percent(a)} and {percent(b)})."))
        return
    margin = float(found.thresholds["accuracy_margin"])
    said = (
        f"Matched at accuracy {percent(a)} (A, {found.matched[0]}) and {percent(b)} (B, {found.matched[1]}): "
        f"within {100 * margin:.3g} points with probability {found.probability:.2f}."
    )
    console.print(Text(said))
    console.print(difference_table(found.differences, "A", "B"))
    console.print(_below(0))
    if found.not_compared:
        commands = dict.fromkeys(found.not_compared.values())
        console.print(Text(f"Measured on one side only: {', '.join(found.not_compared)}. To compare them:"))
        for command in commands:
            console.print(Text(f"  {command}"), soft_wrap=True)


def difference_table(costs: Sequence[Cost], left: str, right: str) -> Table:
    """Paired differences with their intervals and what they say.

    Args:
        costs: left minus right.
        left: what the left side is called.
        right: likewise.
    """
    table = plain_table("axis", "measure", numbers=("n", left))
    table.add_column(f"minus {right} (95%)", justify="right", no_wrap=True)
    table.add_column("")
    previous = None
    for cost in costs:
        axis = cost.axis if cost.axis != previous else ""
        previous = cost.axis
        reading = Text(
            "" if cost.outcome in ("no clear difference", "undefined") else cost.outcome,
            style=OUTCOME_STYLES.get(cost.outcome, "dim"),
        )
        if cost.headline:
            reading.append(f"{' ' if reading.plain else ''}{_p(cost.p_holm)}", style="dim")
        measure = cost.measure.replace("_", " ")
        figures = number_text(cost.value), difference_text(cost)
        table.add_row(axis, measure, f"{cost.difference.n}", *figures, reading)
    return table


def _below(hidden: int) -> Text:
    text = " p: Holm over the axes' headlines."
    if hidden > 0:
        text += f" {hidden} more measures without a clear loss are in the report and verdict.json."
    return Text(text, style="dim")


def difference_text(cost: Cost) -> str:
    """A difference with its interval: `-0.120 [-0.200,-0.050]`."""
    found = cost.difference
    if not math.isfinite(found.value):
        return "undefined"
    text = f"{found.value:+.3f}"
    return f"{text} [{found.low:+.3f},{found.high:+.3f}]" if math.isfinite(found.low) else text


def number_text(value: float) -> str:
    """A figure of any measure in three to four digits."""
    return "-" if not math.isfinite(value) else f"{value:.1f}" if abs(value) >= 10 else f"{value:.3f}"


def _p(p: float) -> str:
    if not math.isfinite(p):
        return ""
    return "p<0.01" if p < 0.01 else f"p={p:.2f}"


def time_text(seconds: float) -> str:
    """Seconds as a person says them."""
    if not math.isfinite(seconds):
        return "-"
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def plain_table(*names: str, numbers: Sequence[str]) -> Table:
    """A table without a frame; numbers go to the right."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    for name in names:
        table.add_column(name)
    for name in numbers:
        table.add_column(name, justify="right")
    return table
