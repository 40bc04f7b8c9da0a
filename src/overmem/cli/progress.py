"""Progress on long work: bars in a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from overmem.auditing.session import Progress as AuditProgress
from overmem.records import Run
from overmem.training.trainer import Progress as TrainingProgress

QUIET_SECONDS = 15.0
"""Without a terminal, at most one line in so many seconds."""


def quiet_libraries() -> None:
    """Keep the libraries' own bars and advice out of the way; their errors still come through."""
    import datasets
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    datasets.utils.logging.disable_progress_bar()
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
            self.console.print(f"[{now:5.0f} s] {text}", markup=False, soft_wrap=True)


def _bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
    )


@contextmanager
def training_progress(console: Console) -> Iterator[TrainingProgress]:
    """A callback for `overmem.training.trainer.train`."""
    if not console.is_terminal:
        lines = _Lines(console, time.monotonic())

        def say(done: int, total: int, loss: float | None) -> None:
            lines.say(f"training: step {done}/{total}{_loss(loss)}", final=done == total)

        yield say
        return
    with _bar(console) as bar:
        task = bar.add_task("training", total=None)

        def draw(done: int, total: int, loss: float | None) -> None:
            bar.update(task, completed=done, total=total, description=f"training{_loss(loss)}")

        yield draw


@contextmanager
def audit_progress(console: Console, run: Run) -> Iterator[AuditProgress]:
    """A callback for `overmem.auditing.run.audit`."""
    order = {checkpoint.name: number for number, checkpoint in enumerate(run.checkpoints, start=1)}
    if not console.is_terminal:
        lines = _Lines(console, time.monotonic())

        def say(checkpoint: str, axis: str, done: int, total: int) -> None:
            number = order.get(checkpoint)
            place = f" ({number}/{len(order)})" if number else ""
            last = number == len(order) and done == total
            lines.say(f"audit: {checkpoint}{place} {axis} {done}/{total}", final=last)

        yield say
        return
    with _bar(console) as bar:
        whole = bar.add_task("checkpoints", total=len(order))
        task = bar.add_task("")

        def draw(checkpoint: str, axis: str, done: int, total: int) -> None:
            bar.update(whole, completed=max(order.get(checkpoint, 0) - 1, 0))
            bar.update(task, completed=done, total=total, description=f"{checkpoint} {axis}")

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
    with _bar(console) as bar:
        task = bar.add_task("")

        def draw(model: str, work: str, done: int, total: int) -> None:
            bar.update(task, completed=done, total=total, description=f"{model} {work}")

        yield draw


def _loss(loss: float | None) -> str:
    return "" if loss is None else f", train loss {loss:.3f}"
