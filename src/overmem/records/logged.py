"""What a training log says of a run that was never audited: a part of a verdict's record."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

LogSeverity = Literal["problem", "warning", "note"]
Difference = Literal["best", "alike", "worse", "unknown"]


@dataclass(frozen=True, kw_only=True)
class LoggedFinding:
    """One thing that a log shows and a reader should know."""

    kind: str
    """What it is about, such as `loss_up_metric_better`, `scale`, `eval_near_zero`."""
    severity: LogSeverity
    sentence: str
    """The whole of it in words, the figure first."""
    steps: tuple[int, ...] = ()
    """Optimizer steps that show it."""


@dataclass(frozen=True, kw_only=True)
class LoggedPoint:
    """One evaluation in a log."""

    step: int
    epoch: float | None
    value: float
    saved_as: str | None = None
    """The checkpoint of this step on disk."""
    difference: Difference = "unknown"
    """From the best point of its series: `alike` where the noise of the curve explains it."""


@dataclass(frozen=True, kw_only=True)
class LoggedSeries:
    """One figure of one evaluation set over the run."""

    key: str
    """As it stands in the log, such as `eval_g0_loss`."""
    set_name: str
    """Of the evaluation set; empty where the log names none."""
    measure: str
    """`loss`, `wer`, `f1` and so on."""
    lower_is_better: bool
    n_points: int
    points: tuple[LoggedPoint, ...]
    """In order; of many, those between the best and the ends are thinned out."""
    best_step: int
    """Of the trained points: a step 0 is the model before training."""
    best: float
    last_step: int
    last: float
    noise: float = math.nan
    """Standard deviation of one point about the curve; NaN where the points are too few to tell."""
    noise_by: str = ""
    """How it was found, or why it was not."""
    untrained: float = math.nan
    """At step 0, before training; NaN where that was not evaluated."""


@dataclass(frozen=True, kw_only=True)
class Keep:
    """The point that a log alone would keep."""

    step: int
    epoch: float | None
    name: str
    """The checkpoint of this step, or the step where none is on disk."""
    by: str
    """The key it was picked by, or several."""
    value: float
    """There; of several keys their mean."""
    on_disk: bool
    has_weights: bool = False
    """Whether weights are in its folder."""
    alike: tuple[int, ...] = ()
    """Steps whose difference from it the noise explains."""
    unknown_noise: bool = False
    """Whether too few points were logged to say which differ."""
    nearest_on_disk: str | None = None
    """Where it is not on disk: the best of the checkpoints that are."""
    nearest_alike: bool = False
    """Whether that one does not differ from it."""
    lowest_loss_alike: int | None = None
    """Of the points that do not differ by the metric, the step with the lowest evaluation loss."""
    why: str = ""
    cannot_show: str = ""


@dataclass(frozen=True, kw_only=True)
class SavedStep:
    """A checkpoint on disk."""

    name: str
    step: int


@dataclass(frozen=True, kw_only=True)
class TrainLossGap:
    """How much higher the loss on unseen text is than on training text.

    All in nats, of a language model a token.
    """

    value: float = math.nan
    """At the last evaluation, where there was one; the training loss alone tells no figure."""
    low: float = math.nan
    """Lower end of a 90% interval; 0 where only an upper end can be given. Beside a value it holds the noise
    of the training rows alone."""
    high: float = math.nan
    reason: str | None = None
    """Why there is no value, and perhaps no interval either."""
    at_step: int | None = None
    """The evaluation that makes it known; None where the end of the log is meant."""
    first_epoch: float = math.nan
    """The same difference late in the first epoch, where every row was new: that of the data."""
    boundary_falls: tuple[float, ...] = ()
    """What the training loss falls at the start of each epoch from the second on."""
    next_epoch_fall: float = math.nan
    """What the training loss would fall in one more epoch at the last one's learning rate."""
    next_epoch_memorized: float = math.nan
    """Of that, by seeing the same rows once more."""


@dataclass(frozen=True, kw_only=True)
class LoggedRun:
    """What the log of one run says."""

    source: str
    """The log that was read."""
    wrote: str
    """What wrote it, such as `trainer_state`."""
    task: str
    """What was trained, such as `language model`, `classification`, or `unknown`."""
    task_by: str
    """What tells that."""
    cross_entropy: bool
    """Whether the evaluation loss is known to be a language model's cross entropy."""
    not_cross_entropy: str | None
    """Why it is not, or is not known to be; perplexity is not spoken of then."""
    steps: int
    """The last that was logged."""
    max_steps: int | None
    epochs: float | None
    """Of the last row."""
    series: tuple[LoggedSeries, ...]
    keep: Keep | None
    settle: str = ""
    """The one command that would settle it, as a sentence."""
    findings: tuple[LoggedFinding, ...] = ()
    """Problems first."""
    train_loss_gap: TrainLossGap | None = None
    """Where the log has no evaluation, and its loss is one that a gap is of."""
    saved: tuple[SavedStep, ...] = ()
    """Its checkpoints on disk."""
    notes: tuple[str, ...] = ()
    """Of the reading: rows left out, states that cannot be read."""
    branch_of: str | None = None
    """The log of the run that left this branch."""


@dataclass(frozen=True, kw_only=True)
class LoggedReading:
    """What the logs in one place say."""

    runs: tuple[LoggedRun, ...]
    """Mostly one; the run that the verdict is on is the first."""

    @property
    def strangers(self) -> tuple[LoggedRun, ...]:
        """Other runs in the same place, without the branches of one."""
        return tuple(run for run in self.runs[1:] if run.branch_of is None)
