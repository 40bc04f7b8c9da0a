"""What an audit will do, and what it will cost, in 80 columns of terminal."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from overmem.cli.screen import tell
from overmem.cli.views.tables import plain_table
from overmem.formatting import bytes_text, count_text, percent, time_text

if TYPE_CHECKING:
    from overmem.auditing.planning.forecast import Forecast
    from overmem.auditing.planning.plan import AxisPlan, Plan


def render_plan(plan: Plan, console: Console) -> None:
    """Print what the data were read as, and what an audit will do, on how many problems, and for how long."""
    for line in plan.data:
        tell(console, line, "yellow" if line.startswith("warning") else None)
    table = plain_table("axis", "what it tells", numbers=("problems", "checkpoints", "about"))
    for item in plan.axes:
        if not item.jobs:
            table.add_row(item.axis, Text(f"not measured: {item.why_not}", style="dim"), "-", "-", "-")
            continue
        table.add_row(item.axis, item.tells, _problems(item), str(item.checkpoints), time_text(item.seconds))
    console.print(table)
    if plan.looks:
        tell(console, f" {looks_text(plan)}", "dim")
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
        tokens = made.tokens[item.axis]
        figures = count_text(tokens.read), count_text(tokens.written), time_text(item.seconds)
        table.add_row(item.axis, _problems(item), str(item.checkpoints), *figures)
    console.print(table)
    lines = [f"{least} {time_text(made.seconds)} {made.place}, beside what is already measured"]
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
    shares = ", ".join(f"{name} {bytes_text(value)}" for name, value in parts.items() if value)
    lines.append(f"memory: about {bytes_text(memory.total)} in {made.dtype} beside the libraries ({shares})")
    if made.disk_bytes:
        lines.append(f"disk: at most {bytes_text(made.disk_bytes)} while the base model is compared with")
    if made.measured_bytes is not None:
        lines.append(f"trying a batch or two of each kind took {bytes_text(made.measured_bytes)} here")
    tell(console, "\n".join(f" {line}" for line in lines), "dim")


def pending_text(share: float, n_there: int) -> str:
    """Of how many right answers a forecast counts the scores.

    Args:
        share: of the answers to val that are taken to be right.
        n_there: answers it rests on.
    """
    some = f"{percent(share)}, as of the {n_there:,} that are there"
    taken = some if n_there else "all, as none is there yet"
    return f"answers to val taken to be right, which references scores: {taken}"


def _problems(item: AxisPlan) -> str:
    return f"{item.n:,}" + (f" of {item.cut_from:,}" if item.cut_from is not None else "")
