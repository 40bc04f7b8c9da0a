"""Intervals and p-values of means whose problems are skewed: few problems carry much of what is measured.

Student's interval of a mean is symmetric. Where few problems carry much of the sum, a sample with too few of
them has a low mean and a small standard error as well, and the truth lies above the interval far more often
than stated. How far it may lie is known exactly for a count (Garwood's limits of a Poisson mean), and a mean
whose skewness is that of a count k, 1 / sqrt(k), is given the limits of that count; with skewness 0 they are
Student's. This is the idea by which Fay and Feuer (1997) bound weighted sums of counts. Only the side of the
long tail is moved, so an interval is never narrower than Student's.

A sample says less of its skewness than is true, as the largest problems are mostly not in it; so a is raised
to a (1 + 2 a), at most 1: at 1 a single problem carries everything.

Nothing can be said of problems that are not in the sample: with n problems, a kind that makes up less than
3 / n of all is missing from 5% of samples and more (docs/calibration.md, Heavy tails).

Shape suffixes: N problems, D draws, K parts of the problems.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np

from overmem.stats.arrays import FloatArray

_NEGLIGIBLE = 1e-4
"""Skewness of a mean below which Student's limits are Garwood's to four digits."""


def mean_skewness(influence_N: FloatArray, se: float) -> float:
    """Skewness of a mean or a ratio of sums, from what each problem adds to it.

    Args:
        influence_N: by how much each problem, times N, moves the figure; they sum to 0.
        se: standard error of the figure, above 0; it may hold further errors that are not skewed.

    Returns:
        Third central moment over se cubed: the skewness of the problems over sqrt(N). Positive when the long
        tail is above; about -1 to 1.
    """
    return float((influence_N**3).sum() / len(influence_N) ** 3 / se**3)


def skewed_interval(value: float, se: float, critical: float, skewness: float) -> tuple[float, float]:
    """95% interval of a figure, longer on the side of its long tail.

    Args:
        value: measured.
        se: its standard error.
        critical: Student's critical value, as of `overmem.stats.intervals.critical_value`.
        skewness: of the figure, see `mean_skewness`.

    Source: Garwood (1936), doi 10.1093/biomet/28.3-4.437; Fay and Feuer (1997); the quantiles of the count
    are those of Wilson and Hilferty (1931).
    """
    return value - se * _reach(critical, -skewness), value + se * _reach(critical, skewness)


def skewed_p(value: float, se: float, n: int, skewness: float) -> float:
    """Two-sided p of a figure against 0, by the limits of `skewed_interval`.

    Args:
        value: measured.
        se: its standard error, above 0.
        n: problems, at least 2.
        skewness: of the figure.

    Returns:
        Below 0.05 exactly when 0 lies outside the 95% interval, to within the 0.1% of Wallace's (1959,
        doi 10.1214/aoms/1177706093) normal form of Student's distribution.
    """
    reach = _standing(abs(value) / se, skewness if value < 0 else -skewness)
    freedom = n - 1
    z = (
        (8 * freedom + 1)
        / (8 * freedom + 3)
        * math.sqrt(freedom * math.log1p(max(reach, 0.0) ** 2 / freedom))
    )
    return 2 * NormalDist().cdf(-z)


def interval_of_draws(
    value: float, draws_D: FloatArray, influence_K: FloatArray, n: int, critical: float
) -> tuple[float, float, float]:
    """95% interval and two-sided p against 0 of a figure from its bootstrap draws.

    The interval is the percentile one, and on the side of the long tail that of `skewed_interval` where it
    reaches further. The other side stays as it is: a share near 1 has its long tail below. The skewness is
    not the draws' own, which 2,000 draws show to 0.05 only.

    Args:
        value: the figure itself.
        draws_D: of it, finite and not all the same.
        influence_K: by how much each problem, or each of some parts of them, moves the figure; NaN counts
            as not at all.
        n: problems drawn, at least 2.
        critical: Student's critical value.

    Returns:
        Low, high and p; p is the larger of the draws' own and `skewed_p`, where 0 is on the long tail's side.
    """
    se = float(draws_D.std()) * math.sqrt(n / (n - 1))
    moved_K = np.nan_to_num(influence_K)
    skewness = float(((moved_K - moved_K.mean()) ** 3).sum()) / se**3
    low, high = (float(end) for end in np.percentile(draws_D, [2.5, 97.5]))
    tail = 1 + min((draws_D <= 0).sum(), (draws_D >= 0).sum())
    p = min(1.0, 2 * float(tail) / (len(draws_D) + 1))
    if value * skewness < 0:
        p = max(p, skewed_p(value, se, n, skewness))
    skewed_low, skewed_high = skewed_interval(value, se, critical, skewness)
    if skewness < 0:
        low = min(low, skewed_low)
    elif skewness > 0:
        high = max(high, skewed_high)
    return low, high, p


def _count(skewness: float) -> float:
    """The count whose skewness is that of a figure, allowing for what a sample does not show."""
    return 1 / min(1.0, skewness * (1 + 2 * skewness)) ** 2


def _reach(z: float, skewness: float) -> float:
    """How many standard errors above the figure its limit lies, z without skewness."""
    if skewness < _NEGLIGIBLE:
        return z
    k = _count(skewness)
    bound = (k + 1) * (1 - 1 / (9 * (k + 1)) + z / (3 * math.sqrt(k + 1))) ** 3
    return max(z, (bound - k) / math.sqrt(k))


def _standing(distance: float, skewness: float) -> float:
    """Inverse of `_reach`: the z at which the limit lies `distance` standard errors away."""
    if skewness < _NEGLIGIBLE:
        return distance
    k = _count(skewness)
    root = math.pow((k + distance * math.sqrt(k)) / (k + 1), 1 / 3)
    return min(distance, 3 * math.sqrt(k + 1) * (root - 1 + 1 / (9 * (k + 1))))
