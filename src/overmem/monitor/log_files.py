"""What a monitor writes into a Trainer's log, and what it reads back when a run is resumed."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from typing import Any

from transformers import TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import CallbackHandler

from overmem.monitor.time_budget import TimeBudget
from overmem.verdict.live import Point, Reading

ROWS, STAGE_NAME = "overmem/rows", "overmem/stage_name"
"""Keys of the log history that hold the figures by problem, and the stage in words."""
TAKES_TEXT = ("TensorBoardCallback", "WandbCallback", "TrackioCallback")
"""Reporters that take text; others warn about it or fail."""


def write_log(
    args: TrainingArguments,
    state: TrainerState,
    control: TrainerControl,
    point: Point,
    reading: Reading,
    time_budget: TimeBudget,
    fingerprint: str,
) -> None:
    """Write to the log history and to the Trainer's reporters, as `Trainer.log` does.

    Args:
        args: the Trainer's.
        state: its log history gets a row.
        control: is left as it was.
        point: what was measured, kept so that a resumed run can go on.
        reading: what it says.
        time_budget: what measuring has cost so far.
        fingerprint: of the problems.
    """
    numbers = reading.to_logs() | {
        "overmem/cost": time_budget.share,
        "overmem/skipped": float(time_budget.skipped),
    }
    if state.epoch is not None:
        numbers["epoch"] = state.epoch
    rows = {
        "data": fingerprint,
        "nll_nats": _packed(point.nll_nats_N),
        "correct": _packed(point.correct_K),
        "seconds": round(time_budget.so_far, 3),
    }
    kept: dict[str, Any] = {**numbers, STAGE_NAME: reading.stage, ROWS: rows, "step": state.global_step}
    state.log_history.append(kept)
    handler = _find_callback_handler()
    if handler is None:
        return
    due = control.should_log
    handler.on_log(args, state, control, dict(numbers))
    control.should_log = due
    for callback in handler.callbacks:
        if type(callback).__name__ in TAKES_TEXT:
            callback.on_log(args, state, control, logs={STAGE_NAME: reading.stage})


def last_step(state: TrainerState) -> int | None:
    """The step of the last point in the log of a resumed run; the same on every process."""
    return max((row["step"] for row in state.log_history if ROWS in row), default=None)


def read_log(state: TrainerState, fingerprint: str) -> list[Point] | None:
    """The points that the log of a resumed run holds; None when they are of other problems."""
    rows: list[Mapping[str, Any]] = [row for row in state.log_history if ROWS in row]
    if any(row[ROWS]["data"] != fingerprint for row in rows):
        return None
    return [
        Point(
            step=row["step"],
            epoch=row.get("epoch"),
            nll_nats_N=_unpacked(row[ROWS]["nll_nats"]),
            correct_K=_unpacked(row[ROWS]["correct"]),
            train_nll_nats=row.get("overmem/train_nll", math.nan),
        )
        for row in rows
    ]


def read_seconds(state: TrainerState) -> list[float]:
    """What each visit in the log of a resumed run took, seconds."""
    return [row[ROWS].get("seconds", 0.0) for row in state.log_history if ROWS in row]


def _packed(values: Sequence[float]) -> str:
    """Figures in one text: the Trainer writes a list at one figure a line."""
    return " ".join(map(repr, values))


def _unpacked(text: str) -> tuple[float, ...]:
    return tuple(map(float, text.split()))


def _find_callback_handler() -> CallbackHandler | None:
    """The Trainer's callback handler that is calling us, through which its own reporters are reached.

    A callback is given neither the Trainer nor the handler, and `Trainer.log` would flush the metrics that
    trainers collect for their next log; so the handler is looked up in the call that is under way.
    """
    frame = inspect.currentframe()
    while frame is not None:
        owner = frame.f_locals.get("self")
        if isinstance(owner, CallbackHandler):
            return owner
        frame = frame.f_back
    return None
