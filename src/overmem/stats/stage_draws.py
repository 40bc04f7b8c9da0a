"""Draws of the true curves of a run and the stages in them: what everything about stages rests on.

The scales of the prior come from a sampler, whose error moves a probability by 0.01 to 0.02 mostly, and by
more where two unlike explanations fit. Where that could decide whether a stage is given, several of its
chains are pooled.

Shape suffixes: C checkpoints, D draws, S stages.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from overmem.rule import Rule
from overmem.stats.arrays import FloatArray, IntArray
from overmem.stats.curves.posterior import Curves, FittedPrior, draw_curves, fit_prior, pooled
from overmem.stats.moments import Moments
from overmem.stats.stage_rule import stage_codes, stage_probabilities
from overmem.stats.threads import beside_each_other, one_blas_thread

NEAR = 0.1
"""Distance from the confidence threshold at which the error of one chain may decide."""
CHAINS = 3
MOST_CHECKPOINTS = 50
"""More of them take one chain, as its time grows with their cube."""


@dataclass(frozen=True, kw_only=True)
class StageDraws:
    """Draws of the true curves of one run, and their stages."""

    fitted: FittedPrior
    curves: Curves
    codes_D_C: IntArray
    probability_C_S: FloatArray
    """Probability of each stage."""


@one_blas_thread()
def draw_stages(moments: Moments, steps_C: IntArray, rule: Rule) -> StageDraws:
    """Draw true curves given the rows, and apply the rule to each.

    Args:
        moments: measured curves with the covariance of their errors.
        steps_C: optimizer steps, increasing.
        rule: thresholds, number of draws and their seed.
    """
    first = fit_prior(moments, steps_C)
    drawn = _draw(first, moments, steps_C, rule)
    distance_C = np.abs(drawn.probability_C_S.max(axis=1) - rule.confidence_threshold)
    if steps_C.size > MOST_CHECKPOINTS or distance_C.min() > NEAR:
        return drawn
    further = beside_each_other(lambda chain: fit_prior(moments, steps_C, chain), range(1, CHAINS))
    return _draw(pooled([first, *further]), moments, steps_C, rule)


def _draw(fitted: FittedPrior, moments: Moments, steps_C: IntArray, rule: Rule) -> StageDraws:
    curves = draw_curves(fitted, moments, rule.resamples, np.random.default_rng(rule.seed))
    codes_D_C = stage_codes(curves.accuracy_D_C, curves.nll_D_C, steps_C, rule)
    return StageDraws(
        fitted=fitted, curves=curves, codes_D_C=codes_D_C, probability_C_S=stage_probabilities(codes_D_C)
    )


def probabilities_of(curves: Curves, steps_C: IntArray, rule: Rule) -> FloatArray:
    """Probability (C, S) of each stage by drawn curves, under the thresholds of a rule."""
    return stage_probabilities(stage_codes(curves.accuracy_D_C, curves.nll_D_C, steps_C, rule))
