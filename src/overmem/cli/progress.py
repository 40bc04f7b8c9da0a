"""Progress on long work: bars in a terminal, a line now and then elsewhere."""

from __future__ import annotations

import logging
import math
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from overmem.cli.screen import say, visible_streams
from overmem.records import Run
from overmem.verdict.live import Reading

if TYPE_CHECKING:
    from overmem.auditing.session import Progress as AuditProgress

QUIET_SECONDS = 15.0
"""Without a terminal, at most one line in so many seconds."""
SHOWN_READINGS = 8
"""Rows of the live table."""
SHOWN_WORKERS = 16
"""Most checkpoints under way that are shown at once."""


def quiet_libraries() -> None:
    """Keep the libraries' own bars and advice out of the way; their errors still come through."""
    import datasets
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    datasets.utils.logging.disable_progress_bar()
    logging.getLogger("accelerate").setLevel(logging.ERROR)
    for module in ("peft", "trl", "transformers", "torch", "accelerate"):
        warnings.filterwarnings("ignore", module=module)


class _Lines:
    """A line at the start, at the end and now and then, for logs."""

    def __init__(self, console: Console, start: float) -> None:
        self.console, self.start, self.last = console, start, -QUIET_SECONDS

    def say(self, text: str, *, final: bool) -> None:
        now = time.monotonic() - self.start
        if final or now - self.last >= QUIET_SECONDS:
            self.last = now
            say(self.console, f"[{now:5.0f} s] {text}")


def _bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
    )


class TrainingView:
    """What a person sees of a fine-tune: called after every step, and `watch` with the monitor's readings."""

    def __init__(self, lines: _Lines) -> None:
        """Say it in lines."""
        self.lines = lines

    def __call__(self, done: int, total: int, loss: float | None) -> None:
        """A step was done."""
        self.lines.say(f"training: step {done}/{total}{_loss(loss)}", final=done == total)

    def watch(self, reading: Reading) -> None:
        """The monitor has measured."""
        self.lines.say(f"monitor: {reading.describe()}", final=True)


class _LiveTrainingView(TrainingView):
    """The same as a bar with a table of the latest readings under it."""

    def __init__(self, bar: Progress, live: Live) -> None:
        self.bar, self.live, self.readings = bar, live, list[Reading]()
        self.task = bar.add_task("training", total=None)

    def __call__(self, done: int, total: int, loss: float | None) -> None:
        self.bar.update(self.task, completed=done, total=total, description=f"training{_loss(loss)}")

    def watch(self, reading: Reading) -> None:
        self.readings.append(reading)
        self.live.update(Group(self.bar, readings_table(self.readings)))


def readings_table(readings: Sequence[Reading]) -> Table:
    """The latest readings of a monitor, one a row, within 80 columns."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    answered = any(reading.accuracy is not None for reading in readings)
    for name in ("step", "val ppl", "x lowest", "gap", *(["accuracy"] if answered else [])):
        table.add_column(name, justify="right")
    table.add_column("stage (confidence)")
    for reading in readings[-SHOWN_READINGS:]:
        cells = [str(reading.step), f"{reading.perplexity.value:.3f}"]
        cells += [f"{reading.perplexity_ratio.value:.3f}", _figure(reading.gap)]
        if answered:
            cells.append("" if reading.accuracy is None else f"{reading.accuracy.value:.1%}")
        table.add_row(*cells, reading.stage_text, style="bold" if reading.onset else None)
    return table


@contextmanager
def training_progress(console: Console) -> Iterator[TrainingView]:
    """Callbacks for `overmem.training.trainer.train`: the view itself for progress, its `watch` for watch."""
    if not console.is_terminal:
        yield TrainingView(_Lines(console, time.monotonic()))
        return
    bar = _bar(console)
    with Live(bar, console=console) as live, visible_streams():
        yield _LiveTrainingView(bar, live)


@contextmanager
def audit_progress(console: Console, run: Run, at_once: int = 1) -> Iterator[AuditProgress]:
    """A callback for `overmem.auditing.run.audit`.

    Args:
        console: where to.
        run: what is measured.
        at_once: most checkpoints that are measured at the same time.
    """
    order = {checkpoint.name: number for number, checkpoint in enumerate(run.checkpoints, start=1)}
    latest: dict[str, str] = {}
    """What was last said of each checkpoint under way, the most recent last."""
    seen = set[str]()

    def note(checkpoint: str, said: str) -> str | None:
        """Remember it, and give the checkpoint that there is no more room for."""
        seen.add(checkpoint)
        latest.pop(checkpoint, None)
        latest[checkpoint] = said
        return next(iter(latest)) if len(latest) > min(at_once, SHOWN_WORKERS) else None

    if not console.is_terminal:
        lines = _Lines(console, time.monotonic())

        def say(checkpoint: str, axis: str, done: int, total: int) -> None:
            number = order.get(checkpoint)
            place = f" ({number}/{len(order)})" if number else ""
            latest.pop(note(checkpoint, f"{checkpoint}{place} {axis} {done}/{total}") or "", None)
            last = len(seen) >= len(order) and done == total and at_once == 1
            lines.say(f"audit: {', '.join(latest.values())}", final=last)

        yield say
        return
    with _bar(console) as bar, visible_streams():
        whole = bar.add_task("checkpoints", total=len(order))
        tasks: dict[str, TaskID] = {}

        def draw(checkpoint: str, axis: str, done: int, total: int) -> None:
            if (gone := note(checkpoint, axis)) is not None:
                del latest[gone]
                tasks[checkpoint] = tasks.pop(gone)
            if checkpoint not in tasks:
                tasks[checkpoint] = bar.add_task("")
            bar.update(whole, completed=len(seen) - len(tasks))
            bar.update(tasks[checkpoint], completed=done, total=total, description=f"{checkpoint} {axis}")

        yield draw
        bar.update(whole, completed=len(order))


@contextmanager
def model_progress(console: Console, doing: str) -> Iterator[AuditProgress]:
    """A callback for work that measures one model after another, without knowing how many.

    Args:
        console: where to.
        doing: what the work is called, such as `repair`.
    """
    if not console.is_terminal:
        lines = _Lines(console, time.monotonic())

        def say(model: str, work: str, done: int, total: int) -> None:
            lines.say(f"{doing}: {model} {work} {done}/{total}", final=False)

        yield say
        return
    with _bar(console) as bar, visible_streams():
        task = bar.add_task("", visible=False)

        def draw(model: str, work: str, done: int, total: int) -> None:
            bar.update(task, completed=done, total=total, description=f"{model} {work}", visible=True)

        yield draw


def _figure(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else "-"


def _loss(loss: float | None) -> str:
    return "" if loss is None else f", train loss {loss:.3f}"
