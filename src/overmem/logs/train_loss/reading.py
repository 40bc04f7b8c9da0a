"""What the training loss alone says of a run: its falls at epoch boundaries, and the gap to unseen text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from overmem.logs.history import LoggedHistory
from overmem.logs.train_loss.rows import TrainRows, train_rows
from overmem.logs.train_loss.trouble import find_trouble
from overmem.logs.train_loss.words import say_advice, say_cannot_tell, say_gap, say_next_epoch, say_steps
from overmem.records.logged import LoggedFinding, TrainLossGap
from overmem.stats.staircase import FEWEST, fit_staircase
from overmem.stats.unseen_gap import estimate_gap

_MOST_NATS = 12.5
"""A uniform guess among 256,000 tokens; a loss that stays above it is no mean over tokens."""
_MOST_AT_FIRST = 30.0
"""Nats: even a model with new tokens does not start above it."""
_MUCH_OF_AN_EPOCH = 0.1
INTERVAL_ONLY = "the training loss alone gives an interval and no figure; with an evaluation it is known"
LOST = "its steps at epoch boundaries are lost in the noise"
_BLOCKING = {
    "not_finite": "the training loss is not a finite number at some rows",
    "zero_loss": "the training loss is 0 from the start",
    "diverged": "training diverged",
}
"""Findings with which there is no gap to tell, and what is said then."""


@dataclass(frozen=True, kw_only=True)
class TrainLossReading:
    """What the training loss of one run says without evaluation."""

    findings: tuple[LoggedFinding, ...]
    """Trouble first; then the staircase, the gap, one more epoch, and what to log next time."""
    gap: TrainLossGap


def read_train_loss(
    history: LoggedHistory, *, language_model: bool = True, no_gap: str | None = None
) -> TrainLossReading:
    """Read the training rows of a log.

    Args:
        history: the log of one run.
        language_model: whether the loss is known to be a language model's mean cross entropy a token; only
            then is perplexity spoken of.
        no_gap: why the loss is known to be another, of which there is no such gap.

    Returns:
        Findings, and a 90% interval of the gap to unseen text, or why it cannot be told. No figure: of the
        middles of such intervals about a quarter lie within 20% of the truth (benchmarks/train_loss_gap.py).
    """
    rows = train_rows(history)
    trouble = find_trouble(rows)
    reason = _cannot_tell(rows, trouble) or no_gap
    stairs = None if reason else fit_staircase(rows.in_epochs(), rows.epochs)
    if stairs is None:
        reason = reason or (
            f"the log has too few rows: {FEWEST} are needed within each epoch, 20 are better, and it has "
            f"{len(rows.steps):,} in {rows.epochs:.2g} epochs"
        )
        logged = rows.steps or rows.bad_steps
        told = [say_cannot_tell(reason), say_advice()] if logged else []
        return TrainLossReading(findings=(*trouble, *told), gap=TrainLossGap(reason=reason))
    gap = estimate_gap(stairs, rows.steps_an_epoch)
    clear = math.isfinite(gap.middle)
    bounded = clear or gap.high < stairs.means[0]
    reason = INTERVAL_ONLY if clear else LOST if bounded else f"{LOST}, which is as large as the loss"
    told = [
        say_steps(stairs, clear),
        say_gap(stairs, gap, rows.epochs, language_model) if bounded else say_cannot_tell(reason),
        say_next_epoch(gap, clear),
        say_advice(),
    ]
    return TrainLossReading(
        findings=(*trouble, *told),
        gap=TrainLossGap(
            low=gap.low if bounded else math.nan,
            high=gap.high if bounded else math.nan,
            reason=reason,
            boundary_falls=stairs.steps,
            next_epoch_fall=gap.next_fall,
            next_epoch_memorized=gap.next_memorized if clear else math.nan,
        ),
    )


def _cannot_tell(rows: TrainRows, trouble: Sequence[LoggedFinding]) -> str | None:
    """Why the gap cannot be told, before any fit."""
    if not rows.steps:
        return "the log has no training loss that is a finite number"
    blocked = [_BLOCKING[finding.kind] for finding in trouble if finding.kind in _BLOCKING]
    if blocked:
        return blocked[0]
    if not math.isfinite(rows.steps_an_epoch):
        return "epochs are not known: the log has neither `epoch` nor how many were planned"
    if rows.epochs < 1 + _MUCH_OF_AN_EPOCH:
        return "no row came back: the log ends within the first epoch, where all text is unseen"
    if min(rows.losses) < 0:
        return "the training loss is below 0 at some rows, so it is no cross entropy"
    first = [loss for step, loss in zip(rows.steps, rows.losses, strict=True) if step <= rows.steps_an_epoch]
    if median(first or rows.losses) > _MOST_NATS or rows.losses[0] > _MOST_AT_FIRST:
        return (
            f"its scale is not known: the loss starts at {rows.losses[0]:.3g}, more than a mean over "
            "tokens can be (a sum over accumulation steps, most likely)"
        )
    return None
