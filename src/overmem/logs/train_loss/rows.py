"""The training rows of a log as series: step, loss, learning rate, and where in which epoch each was."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from overmem.logs.history import LoggedHistory, logged_number

_STRADDLES = 0.1
"""Of a row's steps: a row with more than this on either side of an epoch boundary belongs to no epoch."""


@dataclass(frozen=True, kw_only=True)
class TrainRows:
    """The rows of a log that hold a finite training loss, in order of steps."""

    steps: tuple[int, ...]
    losses: tuple[float, ...]
    rates: tuple[float, ...]
    """Learning rate, NaN where it was not logged."""
    first_steps: tuple[int, ...]
    """The step before the first one that a row is the mean over: that of the row before it."""
    bad_steps: tuple[int, ...]
    """Steps at which the training loss was logged and is not finite."""
    no_gradient: bool
    """Whether every gradient norm that was logged is 0."""
    steps_an_epoch: float
    """NaN where the log says nothing of epochs."""

    @property
    def epochs(self) -> float:
        """Epochs trained up to the last row; NaN where they are not known."""
        return self.steps[-1] / self.steps_an_epoch if self.steps else math.nan

    def until(self, step: int) -> TrainRows:
        """The rows up to a step."""
        n = bisect_right(self.steps, step)
        return replace(
            self,
            steps=self.steps[:n],
            losses=self.losses[:n],
            rates=self.rates[:n],
            first_steps=self.first_steps[:n],
        )

    def in_epochs(self) -> list[tuple[float, float, float]]:
        """Middle in epochs, loss and learning rate of every row that lies within one epoch."""
        if not math.isfinite(self.steps_an_epoch):
            return []
        found = []
        rows = zip(self.first_steps, self.steps, self.losses, self.rates, strict=True)
        for first, last, loss, rate in rows:
            start, end = first / self.steps_an_epoch, last / self.steps_an_epoch
            slack = _STRADDLES * (end - start)
            if math.floor(start + slack) == math.floor(end - slack):
                found.append(((start + end) / 2, loss, rate))
        return found


def train_rows(history: LoggedHistory) -> TrainRows:
    """The training rows of a log; a step that was logged twice counts as it was logged last."""
    logged = {int(row["step"]): row for row in history.rows if "loss" in row}
    losses = {step: logged_number(row["loss"]) for step, row in sorted(logged.items())}
    good = [(step, loss) for step, loss in losses.items() if loss is not None]
    steps = [step for step, _ in good]
    norms = [logged_number(row["grad_norm"]) for row in logged.values() if "grad_norm" in row]
    known = list(losses)
    before = dict(zip(known, [_before_first(known), *known[:-1]], strict=True)) if known else {}
    return TrainRows(
        steps=tuple(steps),
        losses=tuple(loss for _, loss in good),
        rates=tuple(_number(logged[step], "learning_rate") for step in steps),
        first_steps=tuple(before[step] for step in steps),
        bad_steps=tuple(step for step, loss in losses.items() if loss is None),
        no_gradient=bool(norms) and all(norm == 0 for norm in norms),
        steps_an_epoch=_steps_an_epoch(history, logged),
    )


def _before_first(steps: Sequence[int]) -> int:
    """Where the first row's steps begin: a distance between rows before it, and not below 0."""
    return max(0, 2 * steps[0] - steps[1]) if len(steps) > 1 else 0


def _number(row: Mapping[str, Any], key: str) -> float:
    value = logged_number(row.get(key))
    return math.nan if value is None else value


def _steps_an_epoch(history: LoggedHistory, logged: Mapping[int, Mapping[str, Any]]) -> float:
    """From the last row's own epoch, or what was planned; a plan that agrees with it is exact."""
    planned = (
        history.max_steps / history.planned_epochs if history.max_steps and history.planned_epochs else 0.0
    )
    for step in sorted(logged, reverse=True):
        epoch = logged_number(logged[step].get("epoch"))
        if epoch is not None and epoch > 0 and step > 0:
            found = step / epoch
            near = planned and abs(planned / found - 1) < 0.02
            return planned if near else found
    return planned or math.nan
