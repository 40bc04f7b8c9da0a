"""One run's training log, whatever wrote it: the record that every reader of logs makes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from overmem.errors import RunError
from overmem.parsing import finite_number

OVERFLOWED, UNDERFLOWED = 1e30, 1e-30
"""A figure beyond the first is none, as little as one that is infinite; one below the second is 0."""


def logged_number(value: object) -> float | None:
    """A figure as a log has it; None where it is none, or overflowed."""
    found = finite_number(value)
    if found is None or abs(found) > OVERFLOWED:
        return None
    return found if abs(found) >= UNDERFLOWED else 0.0


@dataclass(frozen=True, kw_only=True)
class SavedCheckpoint:
    """A checkpoint's folder that lies beside a log."""

    name: str
    step: int
    folder: Path
    has_weights: bool
    """Whether weights are in it, and not the log alone."""


@dataclass(frozen=True, kw_only=True)
class LoggedHistory:
    """The rows of one run's log, in the order in which they were written, with what is known of the run."""

    rows: tuple[Mapping[str, Any], ...]
    """One logged event each, under the keys of the HF Trainer's `log_history`.

    `step` (always there, an integer), `epoch`, `loss` (mean training loss since the last row),
    `learning_rate`, `grad_norm`, `eval_loss`, `eval_NAME_loss`, `eval_METRIC`. Values are as they were
    logged: NaN or text where the log has that.
    """
    source: str
    """The file or folder that was read, as a person would name it."""
    kind: str
    """What wrote it: `trainer_state`, `trainer_log`, `notebook`, `tensorboard`, `wandb`, `mlflow`, `trackio`,
    `csv`, `console`."""
    steps_taken: int | None = None
    """Optimizer steps that were taken when it was written; None where only its rows tell."""
    max_steps: int | None = None
    """Optimizer steps that were planned."""
    planned_epochs: float | None = None
    best_metric: float | None = None
    """The metric that the trainer picked by (`metric_for_best_model`), at its best."""
    best_checkpoint: str | None = None
    """The folder that the trainer named as its best."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Training arguments and configuration, flat, as far as the log holds them: `learning_rate`,
    `gradient_accumulation_steps`, `metric_for_best_model`, `task_type`, `architectures`."""
    saved: tuple[SavedCheckpoint, ...] = ()
    """The checkpoints of this run that are on disk, by step."""
    branch_of: str | None = None
    """`source` of the run that was resumed from an earlier step and left this branch behind."""
    notes: tuple[str, ...] = ()
    """What a reader of the result must know of the reading: rows skipped, columns renamed."""

    def __post_init__(self) -> None:
        """Refuse a row without a step.

        Raises:
            RunError: when a row's `step` is no whole number of at least 0.
        """
        for number, row in enumerate(self.rows):
            step = finite_number(row.get("step"))
            if step is None or step < 0 or step != int(step):
                raise RunError(
                    f"row {number} of the log in {self.source} has no step",
                    got=f"{dict(row)!r:.120}",
                    expected='an integer "step" of at least 0 in every row',
                )

    @property
    def end(self) -> int:
        """The last optimizer step that is known of: taken, logged or saved."""
        logged = max((int(row["step"]) for row in self.rows), default=0)
        return max(self.steps_taken or 0, logged, *(one.step for one in self.saved), 0)
