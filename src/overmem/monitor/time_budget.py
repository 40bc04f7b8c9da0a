"""How a monitor keeps what it costs within a share of training time: how many problems, and when."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import torch
from transformers import TrainerState, TrainingArguments

from overmem.errors import RecipeError

log = logging.getLogger("overmem.monitor")
READS = 3
"""Problems read in the time of training on one: a forward pass against forward, backward and step."""


class TooCostlyError(Exception):
    """A visit turns out to cost more than it may; it is given up."""


class TimeBudget:
    """The time spent on measuring, as a share of the time spent on training.

    What earlier sessions of a run trained counts at this one's speed, so that a run that is resumed again and
    again is measured all the same.

    Args:
        max_cost: most seconds of measuring for a second of training; None sets no bound.
        clock: seconds.

    Raises:
        RecipeError: the bound is not a share.
    """

    def __init__(self, max_cost: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        if max_cost is not None and not 0 < max_cost <= 1:
            raise RecipeError(
                "the monitor does not know what it may cost",
                got=f"max_cost={max_cost!r}",
                expected="a share of training time above 0 and at most 1, or None",
            )
        self._said = False
        self.max_cost, self.clock = max_cost, clock
        self.start(0, ())

    def start(self, step: int, earlier: Sequence[float]) -> None:
        """Begin to count.

        Args:
            step: optimizer steps that earlier sessions did.
            earlier: seconds of each of their visits.
        """
        self.seconds, self.skipped = 0.0, 0
        """Of this session: time spent measuring, and due visits that were left out."""
        self.expected: float | None = earlier[-1] if earlier else None
        """Seconds of the next visit, as far as is known."""
        self._step, self._earlier, self._began = step, sum(earlier), self.clock()
        self._trained = 0.0

    def readings(
        self, every: Literal["epoch", "save", "eval"] | int, args: TrainingArguments, state: TrainerState
    ) -> int:
        """Problems that can be read at every due point, from the examples trained on between two.

        By count and not by the clock, so that a recipe is measured on the same problems wherever it runs. One
        process reads while the others wait, so the examples of one process count.
        """
        if self.max_cost is None:
            return sys.maxsize
        if isinstance(every, int):
            steps: float = every
        elif every == "save" and args.save_strategy == "steps":
            steps = state.save_steps
        elif every == "eval" and args.eval_strategy == "steps":
            steps = state.eval_steps
        else:
            steps = state.max_steps / max(state.num_train_epochs, 1)
        examples = min(steps, state.max_steps) * args.train_batch_size * args.gradient_accumulation_steps
        return int(READS * self.max_cost * examples)

    @contextmanager
    def visit(self, step: int, last_step: int) -> Iterator[bool]:
        """Time one visit; gives whether it may be made, and swallows a `TooCostlyError` inside.

        Before the end of training a visit may take at most half of what the whole run has left to spend: the
        last one, which sees the most, can then be paid.

        Args:
            step: optimizer steps so far.
            last_step: steps of the whole run.
        """
        steps_here = step - self._step
        here = self.clock() - self._began - self.seconds
        self._trained = here * step / steps_here if steps_here > 0 else 0.0
        self._allowed = self._left(last_step / max(step, 1))
        if self._allowed < (self.expected or 0.0):
            self._skip()
            yield False
            return
        if torch.accelerator.is_available():
            torch.accelerator.synchronize()  # steps that are still under way belong to training
        self._came, self._first = self.clock(), (0.0, 0.0)
        try:
            yield True
            self.expected = self.so_far
        except TooCostlyError:
            self._skip()
        finally:
            self.seconds += self.so_far

    def check(self, done: float) -> None:
        """Foresee what the visit under way will take, from its second batch on: the first one warms up.

        Args:
            done: share of its work that is done.

        Raises:
            TooCostlyError: more than it may, and not half is done yet.
        """
        taken, (first_taken, first_done) = self.so_far, self._first
        if first_done == 0.0:
            self._first = (taken, done)
            return
        self.expected = (taken - first_taken) / (done - first_done)
        if done < 0.5 and taken + self.expected * (1 - done) > self._allowed:
            raise TooCostlyError

    @property
    def so_far(self) -> float:
        """Seconds of the visit under way."""
        return self.clock() - self._came

    @property
    def share(self) -> float:
        """Time spent measuring, the visit under way included, over time spent training."""
        return (self._earlier + self.seconds + self.so_far) / self._trained if self._trained else 0.0

    def _skip(self) -> None:
        self.skipped += 1
        if not self._said:
            log.warning(
                "overmem: some points are not measured, to stay within %g%% of training time (max_cost)",
                100 * (self.max_cost or 0),
            )
        self._said = True

    def _left(self, whole: float) -> float:
        """Seconds that a visit may take in a run that is `whole` times as long as what was trained."""
        if self.max_cost is None:
            return float("inf")
        spent = self._earlier + self.seconds
        now, end = (self.max_cost * self._trained * length - spent for length in (1.0, whole))
        return now if whole <= 1 else min(now, end / 2)
