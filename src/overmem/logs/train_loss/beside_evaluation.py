"""The gap to unseen text where there are evaluations: the evaluation loss less the loss on training rows.

The training loss is of rows as they were when they came, seen one time less than now, so that evaluation loss
less training loss is too small a gap. In the first epoch, where every row is new, it is what the data differ
by. A set of training rows that was evaluated beside the other tells the gap itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from overmem.logs.series import Series
from overmem.logs.train_loss.rows import TrainRows
from overmem.logs.train_loss.words import LARGE, unit_of
from overmem.records.logged import LoggedFinding, TrainLossGap
from overmem.stats.staircase import FEWEST, fit_staircase
from overmem.stats.unseen_gap import gap_to_evaluated

Told = tuple[list[LoggedFinding], TrainLossGap]
"""Findings, and the gap as a record holds it."""
_FEWEST_IN_FIRST = 3
"""Rows that the training loss of the first epoch is a mean over, at least."""
_WINDOW = 0.25
"""Epochs before an evaluation in the first epoch that the training loss is a mean over."""
_MUCH_OF_AN_EPOCH = 0.1
_EVALUATE_BOTH = (
    ' An evaluation of training rows beside it would tell (`eval_dataset={"val": ..., "train": ...}`).'
)


@dataclass(frozen=True, kw_only=True)
class _Trained:
    """The training loss of the rows before a step."""

    mean: float
    error: float
    """Standard error; NaN of one row."""
    rows: int


def gap_of_sets(losses: Sequence[Series], language_model: bool) -> Told | None:
    """The gap between a set of training rows and another, both evaluated; None where there are no two such.

    Args:
        losses: of each evaluation set.
        language_model: whether they are known to be a mean cross entropy a token.
    """
    held = next((one for one in losses if not one.of_training_rows and one.steps), None)
    seen = next((one for one in losses if one.of_training_rows and one.steps), None)
    both = sorted(set(held.steps) & set(seen.steps)) if held and seen else []
    if held is None or seen is None or not both:
        return None
    step = both[-1]
    unseen, trained = (one.values[one.steps.index(step)] for one in (held, seen))
    text = (
        f"Gap to unseen text at step {step:,}: {unseen - trained:z.2f} {unit_of(language_model)}, "
        f"`{held.key}` {unseen:.3g} less `{seen.key}` {trained:.3g}."
    )
    gap = TrainLossGap(value=unseen - trained, at_step=step)
    return [_finding(text, gap.value, step)], gap


def gap_beside(rows: TrainRows, loss: Series, language_model: bool) -> Told | None:
    """The gap at the last evaluation, from its loss and the training loss.

    Args:
        rows: of training.
        loss: of one evaluation set, on the scale of the training loss.
        language_model: whether both are known to be a mean cross entropy a token.

    Returns:
        A finding and the gap; None where no row came back before the last evaluation.
    """
    step, an_epoch = loss.steps[-1], rows.steps_an_epoch
    before = rows.until(step)
    if not before.steps or not math.isfinite(an_epoch) or step < (1 + _MUCH_OF_AN_EPOCH) * an_epoch:
        return None
    if step - before.steps[-1] > an_epoch:
        return None
    value, low, high, said, reason = _at_the_end(before, loss, unit_of(language_model))
    at_first, then = _in_first_epoch(rows, loss)
    text = f"Gap to unseen text at step {step:,}: {said}{then}"
    gap = TrainLossGap(value=value, low=low, high=high, reason=reason, at_step=step, first_epoch=at_first)
    return [_finding(text, low - max(at_first, 0.0) if then else low, step)], gap


def _at_the_end(rows: TrainRows, loss: Series, unit: str) -> tuple[float, float, float, str, str | None]:
    """Figure, ends of the interval, how to say them, and why there is no figure."""
    evaluated, trained = loss.values[-1], _before(rows, loss.steps[-1], rows.steps_an_epoch)
    stairs = fit_staircase(rows.in_epochs(), rows.epochs) if trained.rows >= FEWEST else None
    if stairs is None:
        low = evaluated - trained.mean
        told = f"{low:.2f} {unit} or more" if low > 0 else "none that this log shows"
        mean = f"the mean of the {trained.rows:,} rows before it" if trained.rows > 1 else "the row before it"
        said = (
            f"{told}, `{loss.key}` {evaluated:.3g} less the training loss {trained.mean:.3g} ({mean}), "
            f"whose rows were seen one time less than now.{_EVALUATE_BOTH}"
        )
        reason = f"an epoch of the log has less than {FEWEST} rows of training, so there is no upper end"
        return math.nan, low, math.nan, said, reason
    value, low, high = gap_to_evaluated(stairs, evaluated, trained.error)
    known = math.isfinite(value)
    if known:
        told = f"{value:.2f} {unit} (90% interval {low:.2f} to {high:.2f})"
    elif low > 0:
        told = f"between {low:.2f} and {high:.2f} {unit} (90% interval)"
    else:
        told = f"at most {max(high, 0.0):.2f} {unit} (95% confidence), and perhaps none"
    said = (
        f"{told}, from `{loss.key}` {evaluated:.3g} there (its own noise left out) and the course of the "
        f"training loss.{'' if known else _EVALUATE_BOTH}"
    )
    return value, low, high, said, None if known else "its interval is wider than 20% of it on either side"


def _before(rows: TrainRows, step: int, window: float) -> _Trained:
    """The training loss of the rows within some steps before a step, at least of the last before it."""
    until = [i for i, at in enumerate(rows.steps) if at <= step]
    near = [i for i in until if rows.first_steps[i] >= step - window - 0.5] or until[-1:]
    losses = [rows.losses[i] for i in near]
    error = stdev(losses) / math.sqrt(len(losses)) if len(losses) > 1 else math.nan
    return _Trained(mean=fmean(losses), error=error, rows=len(losses))


def _in_first_epoch(rows: TrainRows, loss: Series) -> tuple[float, str]:
    """Evaluation loss less training loss at the last evaluation of the first epoch, and how to say it."""
    logged = zip(loss.steps, loss.values, strict=True)
    found = [(step, value) for step, value in logged if rows.steps[0] <= step <= rows.steps_an_epoch]
    if not found:
        return math.nan, ""
    step, value = found[-1]
    trained = _before(rows, step, _WINDOW * rows.steps_an_epoch)
    if trained.rows < _FEWEST_IN_FIRST:
        return math.nan, ""
    apart = value - trained.mean
    return apart, (
        f" At step {step:,}, in the first epoch, where every row was new, they differed by {apart:z.2f}."
    )


def _finding(text: str, least: float, step: int) -> LoggedFinding:
    large = least > LARGE
    return LoggedFinding(kind="gap", severity="warning" if large else "note", sentence=text, steps=(step,))
