"""Which checkpoint to ship, chosen on posterior draws of the true curves.

The most accurate of a noisy curve is the luckiest. So accuracy is the mean over the draws, a chance of being
inflated is paid for in accuracy, and the lowest NLL decides only among those that are worth almost the same.

Shape suffixes: C checkpoints (or points of several runs), D draws, S stages.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from overmem.rule import Rule
from overmem.stats.arrays import BoolArray, FloatArray, IntArray
from overmem.stats.curves.posterior import Curves
from overmem.stats.moments import Moments
from overmem.stats.stage_draws import draw_stages
from overmem.stats.stage_rule import (
    FIT,
    LEARNING,
    OVER_MEMORIZED,
    OVERFIT,
    UNSTABLE,
)

INFLATED_COSTS = 2 / 3
"""Share of the accuracy margin that a certainly inflated checkpoint is worth less: 2 points at 3."""
MOST_LOST = 1 / 10
"""Share of the accuracy margin that may be lost, in expectation, for a lower NLL: 0.3 points at 3."""
BEST_FIRST = (FIT, LEARNING, UNSTABLE, OVER_MEMORIZED, OVERFIT)
"""Stages from the one to ship to the one not to; the last two are never shipped."""
_ROUNDING = 1e-12


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The checkpoint to ship, and what it was chosen from."""

    pick: int
    """Its position."""
    best: int
    """The eligible one that is worth most; often the same."""
    eligible_C: BoolArray
    accuracy_C: FloatArray
    """Mean accuracy over the draws, in [0, 1], higher is better."""
    inflated_C: FloatArray
    """Probability of being inflated."""
    expected_loss: float
    """Mean accuracy that the pick has less than the best, at least 0."""
    most_lost: float
    """What may be lost at most, for a lower NLL."""


def choose(curves: Curves, probability_C_S: FloatArray, rule: Rule) -> Choice:
    """Choose the checkpoint to ship from draws of the true curves.

    Eligible is what is most probably not inflated (neither over-memorized nor overfit) and not clearly
    unstable, that is below the confidence threshold. A checkpoint is worth its mean accuracy, less two thirds
    of the accuracy margin times its probability of being inflated. Of the eligible the one that is worth
    most; the lowest NLL decides among those that are worth at most a tenth of the margin less and whose
    most probable stage is no worse. Nothing is picked beside one of better stage and higher mean accuracy.

    Args:
        curves: draws of the true curves.
        probability_C_S: probability of each stage of each checkpoint; where several runs are pooled, on each
            run's own curve.
        rule: thresholds; its margin and its confidence threshold count.

    Returns:
        The choice; the earliest of equals. The first checkpoint of a run can be neither inflated nor
        unstable, so one is always eligible.

    Source: docs/definitions.md, Recommendation; arXiv 2508.04117 section 7.1.
    """
    eligible_C = eligible_mask(probability_C_S, rule)
    accuracy_C, nll_C = curves.accuracy_D_C.mean(axis=0), curves.nll_D_C.mean(axis=0)
    inflated_C = probability_C_S[:, [OVER_MEMORIZED, OVERFIT]].sum(axis=1)
    rank_C = np.argsort(BEST_FIRST)[probability_C_S.argmax(axis=1)]
    beaten_C_C = (rank_C < rank_C[:, None]) & (accuracy_C > accuracy_C[:, None])
    open_C = eligible_C & ~beaten_C_C.any(axis=1)
    worth_C = accuracy_C - INFLATED_COSTS * rule.accuracy_margin * inflated_C
    best = int(np.where(open_C, worth_C, -np.inf).argmax())
    most_lost = MOST_LOST * rule.accuracy_margin
    close_C = (worth_C >= worth_C[best] - most_lost - _ROUNDING) & (rank_C <= rank_C[best])
    pick = int(np.where(open_C & close_C, nll_C, np.inf).argmin())
    return Choice(
        pick=pick,
        best=best,
        eligible_C=eligible_C,
        accuracy_C=accuracy_C,
        inflated_C=inflated_C,
        expected_loss=max(float(accuracy_C[best] - accuracy_C[pick]), 0.0),
        most_lost=most_lost,
    )


def eligible_mask(probability_C_S: FloatArray, rule: Rule) -> BoolArray:
    """Mark what may be shipped: most probably not inflated, and not clearly unstable.

    Args:
        probability_C_S: probability of each stage of each checkpoint.
        rule: thresholds; at its confidence threshold `unstable` is clear.
    """
    inflated_C = np.isin(probability_C_S.argmax(axis=1), (OVER_MEMORIZED, OVERFIT))
    return np.asarray(~inflated_C & (probability_C_S[:, UNSTABLE] < rule.confidence_threshold))


def choose_checkpoint(moments: Moments, steps_C: IntArray, rule: Rule) -> Choice:
    """Choose the checkpoint of one run to ship, from its measured curves.

    Args:
        moments: measured curves with the covariance of their errors.
        steps_C: optimizer steps, increasing.
        rule: thresholds, number of draws and their seed.
    """
    drawn = draw_stages(moments, steps_C, rule)
    return choose(drawn.curves, drawn.probability_C_S, rule)
