"""How far one point of a logged curve lies from the next by chance alone.

A log has one figure an evaluation and no interval. What it has is the roughness of its own curve: how far
each point lies off the straight line through its neighbours. That covers the jitter of training; that the
evaluation set is a sample is in it only as far as it changes from point to point.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist, median

FEWEST = 4
"""Points from which a roughness is given; it rests on two residuals then."""
_MAD = 1.4826


def roughness(steps: Sequence[float], values: Sequence[float], near: int) -> float:
    """Standard deviation of one point about its curve, near one of its points.

    Each inner point's residual from the line through its neighbours, r = y - (1 - w) y_before - w y_after,
    has variance s^2 (1 + w^2 + (1 - w)^2) where the curve is straight (Gasser, Sroka and Jennen-Steinmetz,
    Biometrika 1986). A curve is not straight where it falls steeply at the start of training, so that only
    the half of the residuals nearest to the point in question is taken, at least two; of five or more their
    median stands for the mean. What curvature is left makes the noise too large, not too small.

    Args:
        steps: increasing.
        values: finite, one a step.
        near: position of the point in question.

    Returns:
        In the units of `values`; NaN with fewer than four points.
    """
    if len(values) < FEWEST:
        return math.nan
    used = residuals_used(len(values))
    first = min(max(near - (used - 1) // 2, 1), len(values) - 1 - used)
    residuals = []
    for i in range(first, first + used):
        w = (steps[i] - steps[i - 1]) / (steps[i + 1] - steps[i - 1])
        r = values[i] - (1 - w) * values[i - 1] - w * values[i + 1]
        residuals.append(abs(r) / math.sqrt(1 + w * w + (1 - w) ** 2))
    if len(residuals) < 5:
        return math.sqrt(sum(r * r for r in residuals) / len(residuals))
    return _MAD * median(residuals)


def residuals_used(n_points: int) -> int:
    """How many residuals a roughness of so many points rests on."""
    return max(2, (n_points - 1) // 2)


def too_few(residuals: int) -> float:
    """Factor for a noise that rests on so few residuals that it may be too small."""
    return 1.0 + 1.5 / residuals


def band(noise: float, n_points: int) -> float:
    """How far a point must lie from the best of a series to differ from it.

    The best of n equal points lies a while out by chance alone: by the expected largest of n standard
    normals, by Blom's approximation. To that come 1.8 standard deviations for the other point and for what
    the largest itself varies. Simulated in tests/logs/test_noise.py, with the factor of `too_few`.

    Args:
        noise: standard deviation of one point.
        n_points: of the series.
    """
    largest = NormalDist().inv_cdf((n_points - 0.375) / (n_points + 0.25)) if n_points > 1 else 0.0
    return noise * (largest + 1.8)


def binomial(share: float, n: int) -> float:
    """Standard error of a share of n problems.

    Args:
        share: in [0, 1].
        n: problems, at least 1.
    """
    held = (share * n + 1) / (n + 2)  # never 0 at either end
    return math.sqrt(held * (1 - held) / n)
