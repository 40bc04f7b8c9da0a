"""The decision rule, as pure functions of curves.

The same functions are applied to one measured curve, to a true curve in a simulation, and to
thousands of posterior draws, so that argmax and argmin are part of the uncertainty.

Shape suffixes: C checkpoints (ordered by step), D draws. A single curve is an array with D = 1.
"""

from __future__ import annotations

import math

import numpy as np

from overmem.records import STAGES
from overmem.rule import Rule
from overmem.stats.arrays import BoolArray, FloatArray, IntArray

LEARNING, FIT, OVER_MEMORIZED, OVERFIT, UNSTABLE = range(len(STAGES))
NO_ONSET = -1
"""Stands for "the run does not end over-memorized or overfit"; steps are never negative."""
TEMPERATURE = 1.15
"""Of stated probabilities. No prior has the shape of every run's curves: where each checkpoint was a few
points off its curve, one stage in 12 was wrong where shares of draws said one in 17 (docs/calibration.md)."""
_STAGE_OF = np.array(
    [UNSTABLE, LEARNING, FIT, FIT, OVERFIT, OVERFIT, OVER_MEMORIZED, OVER_MEMORIZED], dtype=np.int64
)
"""At 4 for inflated + 2 for comparable + 1 for before the first comparable one."""
_ROUNDING = 1e-12
"""Slack on both thresholds: 0.81 - 0.78 must count as within a margin of 0.03."""


def comparable_mask(accuracy_D_C: FloatArray, accuracy_margin: float) -> BoolArray:
    """Mark the checkpoints whose accuracy is within the margin of the peak's.

    Args:
        accuracy_D_C: accuracy of each checkpoint, in [0, 1], higher is better.
        accuracy_margin: largest loss against the peak that still counts as comparable.

    Returns:
        Boolean array D_C; the peak itself is always comparable.
    """
    peak_D_1 = accuracy_D_C.max(axis=1, keepdims=True)
    return np.asarray(peak_D_1 - accuracy_D_C <= accuracy_margin + _ROUNDING)


def inflated_mask(nll_D_C: FloatArray, steps_C: IntArray, perplexity_ratio: float) -> BoolArray:
    """Mark the checkpoints after the lowest NLL whose perplexity has grown by the ratio.

    Args:
        nll_D_C: NLL of each checkpoint, nats per token, lower is better.
        steps_C: optimizer steps, increasing.
        perplexity_ratio: smallest P_c / P_m that counts as inflated, above 1.

    Returns:
        Boolean array D_C; m (the earliest of equals) and all before it are never inflated.
    """
    lowest_D = nll_D_C.argmin(axis=1)
    growth_D_C = nll_D_C - np.take_along_axis(nll_D_C, lowest_D[:, None], axis=1)
    later_D_C = steps_C[None, :] > steps_C[lowest_D][:, None]
    return np.asarray(later_D_C & (growth_D_C >= math.log(perplexity_ratio) - _ROUNDING))


def stage_codes(
    accuracy_D_C: FloatArray,
    nll_D_C: FloatArray,
    steps_C: IntArray,
    rule: Rule,
) -> IntArray:
    """Give every checkpoint of every curve its stage, by the table of docs/definitions.md.

    Args:
        accuracy_D_C: accuracy, in [0, 1], higher is better.
        nll_D_C: NLL, nats per token, lower is better; perplexity is exp(NLL).
        steps_C: optimizer steps, increasing.
        rule: thresholds; its margin and its ratio count.

    Returns:
        Integer array D_C of positions in `overmem.records.STAGES`.

    Source: docs/definitions.md, The decision rule; the phenomenon is that of arXiv 2508.04117.
    """
    comparable_D_C = comparable_mask(accuracy_D_C, rule.accuracy_margin)
    inflated_D_C = inflated_mask(nll_D_C, steps_C, rule.perplexity_ratio)
    first_comparable_D = comparable_D_C.argmax(axis=1)
    before_D_C = np.arange(steps_C.size)[None, :] < first_comparable_D[:, None]
    # Looked up, since choosing by three masks takes most of the time of a verdict on many checkpoints.
    case_D_C = 4 * inflated_D_C.astype(np.int8) + 2 * comparable_D_C + before_D_C
    return np.asarray(_STAGE_OF[case_D_C])


def stage_probabilities(codes_D_C: IntArray, temperature: float = TEMPERATURE) -> FloatArray:
    """Probability of each stage: the share of the draws in it, brought nearer to the others.

    Shares are raised to the power 1 / temperature and made to sum to 1 again.

    Args:
        codes_D_C: stages from `stage_codes`.
        temperature: above 1 for less confidence, 1 for the shares themselves.

    Returns:
        Array (C, 5) in the order of STAGES; each row sums to 1, and its highest is that of the shares.

    Source: temperature scaling, Guo et al. 2017, arXiv 1706.04599.
    """
    draws, checkpoints = codes_D_C.shape
    cell_D_C = codes_D_C + len(STAGES) * np.arange(checkpoints)
    count_C_S = np.bincount(cell_D_C.ravel(), minlength=len(STAGES) * checkpoints).reshape(checkpoints, -1)
    scaled_C_S = (count_C_S / draws) ** (1.0 / temperature)
    return np.asarray(scaled_C_S / scaled_C_S.sum(axis=1, keepdims=True))


def onset_steps(codes_D_C: IntArray, steps_C: IntArray) -> IntArray:
    """Find the first checkpoint from which all are over-memorized or overfit.

    Args:
        codes_D_C: stages from `stage_codes`.
        steps_C: optimizer steps, increasing.

    Returns:
        Step of the onset for each draw (shape D), NO_ONSET where the last checkpoint is neither.
    """
    late_D_C = (codes_D_C == OVER_MEMORIZED) | (codes_D_C == OVERFIT)
    run_length_D = np.cumprod(late_D_C[:, ::-1], axis=1).sum(axis=1)
    first_D = steps_C.size - run_length_D
    found_D = run_length_D > 0
    return np.where(found_D, steps_C[np.where(found_D, first_D, 0)], NO_ONSET).astype(np.int64)
