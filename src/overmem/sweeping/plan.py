"""What a sweep will take before it starts: cells, optimizer steps, checkpoints, and the time of what is left.

Times come from cells that are done, scaled by steps and checkpoints. Where none is, a few steps of the first
cell are trained in a temporary folder, and its audit is forecast from a batch of each kind.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from overmem.auditing.opening import open_session
from overmem.auditing.planning.cost import makespan
from overmem.auditing.planning.forecast import forecast
from overmem.auditing.resolve import resolve_options
from overmem.checkpoints import open_run
from overmem.recipe.schema import MonitorRecipe, Recipe
from overmem.sweeping.cells import Cell, make_cells
from overmem.sweeping.config import Sweep
from overmem.sweeping.record import CellState
from overmem.sweeping.run import check_cells, state_of
from overmem.training.dry_run import steps_of
from overmem.training.settings import sft_config
from overmem.training.trainer import train

TRIED_STEPS = 4
"""Steps trained where no cell is done; the first one warms up and does not count."""
KEY_CHECKPOINTS = 3
"""At which axes beyond the core are measured."""


@dataclass(frozen=True, kw_only=True)
class CellPlan:
    """One cell and what it takes."""

    state: CellState
    examples: int
    steps: int
    checkpoints: int
    at_most: bool
    """Packed examples make fewer rows than examples: steps, checkpoints saved every so many, and time."""
    seconds: float
    """About, from the start to its verdict; NaN where nothing was timed."""


@dataclass(frozen=True, kw_only=True)
class SweepPlan:
    """All cells, and the time of those that are not done."""

    cells: tuple[CellPlan, ...]
    basis: str
    """What the times rest on."""
    workers: int = 1

    @property
    def seconds(self) -> float:
        """On one device."""
        return self.seconds_on(1)

    def seconds_on(self, workers: int) -> float:
        """On so many, each of which takes whole cells."""
        return makespan([item.seconds for item in self.cells if item.state.status != "done"], workers)


def plan_sweep(sweep: Sweep, workers: int | None = None) -> SweepPlan:
    """Plan a sweep; nothing is left behind.

    Args:
        sweep: the sweep.
        workers: devices to share the cells.

    Raises:
        OvermemError: an invalid cell, or a first cell that cannot be trained.
    """
    cells = make_cells(sweep)
    sizes = check_cells(sweep, cells)
    states = [state_of(cell, sweep) for cell in cells]
    counts = [_counts(cell.recipe, sizes[cell.recipe.data.train,]) for cell in cells]
    timed = [
        (state.train_seconds / steps, state.audit_seconds / checkpoints)
        for state, (steps, checkpoints) in zip(states, counts, strict=True)
        if state.status == "done" and state.train_seconds and state.audit_seconds
    ]
    if timed:
        step, audit = (median(item[part] for item in timed) for part in (0, 1))
        basis = f"from {len(timed)} that {'is' if len(timed) == 1 else 'are'} done"
    elif all(state.status == "done" for state in states):
        step, audit, basis = math.nan, math.nan, "all are done"
    else:
        first = next(i for i, state in enumerate(states) if state.status != "done")
        step, audit = _try(sweep, cells[first], counts[first][1])
        basis = f"from {TRIED_STEPS} steps of {cells[first].name}, and a batch of each kind of its audit"
    return SweepPlan(
        cells=tuple(
            CellPlan(
                state=state,
                examples=sizes[cell.recipe.data.train,],
                steps=steps,
                checkpoints=checkpoints,
                at_most=sft_config(cell.recipe).packing,
                seconds=step * steps + audit * checkpoints,
            )
            for cell, state, (steps, checkpoints) in zip(cells, states, counts, strict=True)
        ),
        basis=basis,
        workers=workers or 1,
    )


def _counts(recipe: Recipe, examples: int) -> tuple[int, int]:
    """Optimizer steps of a fine-tune, and the checkpoints that it leaves; of packed examples at most."""
    arguments = sft_config(recipe)
    an_epoch, steps = steps_of(examples, arguments)
    if str(arguments.save_strategy.value) == "epoch":
        saves = math.ceil(steps / an_epoch)
    else:
        every = arguments.save_steps
        saves = math.ceil(steps / (every if every >= 1 else max(1, math.ceil(every * steps))))
    if arguments.save_total_limit is not None:
        saves = min(saves, arguments.save_total_limit)
    return steps, saves + recipe.save_base


def _try(sweep: Sweep, cell: Cell, checkpoints: int) -> tuple[float, float]:
    """Seconds of a training step, and of the audit of a checkpoint, done here and now."""
    with tempfile.TemporaryDirectory() as folder:
        tried = {
            "max_steps": TRIED_STEPS,
            "save_strategy": "steps",
            "save_steps": TRIED_STEPS,
            "eval_strategy": "no",
            "load_best_model_at_end": False,
        }
        recipe = cell.recipe.model_copy(
            update={
                "output": folder,
                "save_base": False,
                "monitor": MonitorRecipe(enabled=False),
                "training": {**cell.recipe.training, **tried, "save_only_model": True},
            }
        )
        ends: list[float] = []
        train(recipe, progress=lambda *_: ends.append(time.monotonic()))
        run = open_run(Path(folder))
        options = resolve_options(run, sweep.audit_options())
        found = forecast(open_session(run, options), {})
        rest = sum(found.rest_seconds) * min(1.0, KEY_CHECKPOINTS / checkpoints)
        return _step_seconds(ends), sum(found.core_seconds) + rest


def _step_seconds(ends: Sequence[float]) -> float:
    return (ends[-1] - ends[0]) / (len(ends) - 1)
