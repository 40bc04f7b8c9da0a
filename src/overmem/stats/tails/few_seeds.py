"""Differences between recipes of a few seeds each: what the seeds add to the error of the problems.

Two errors add up: which problems were drawn, shared by all seeds, and which seeds. The spread of two or three
seeds' means is hardly known, and drawing seeds with replacement takes it for known and too small. So the
seeds' standard error gets Student's factor of S - 1 degrees, the problems' one its own, and the half widths
add in quadrature: with a large spread of seeds that is Student's interval of their means, without one the
interval of the problems.

Shape suffixes: S seeds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

from overmem.stats.arrays import FloatArray
from overmem.stats.intervals import critical_value

_Z = NormalDist().inv_cdf(0.975)


def seed_error(left_S: FloatArray, right_S: FloatArray) -> tuple[float, int]:
    """Standard error of a difference of seed means, and how many seeds it rests on.

    Args:
        left_S: the figure of each seed of one side.
        right_S: of the other; as many are compared seed by seed.

    Returns:
        0 and 1 where both sides are a single run. A side of one run adds nothing, as its spread is not known.
    """
    sides: Sequence[FloatArray] = (left_S, right_S)
    if left_S.size == right_S.size:
        sides = (left_S - right_S,)
    several = [side for side in sides if side.size > 1]
    variance = sum(float(side.var(ddof=1)) / side.size for side in several)
    return math.sqrt(variance), min((side.size for side in several), default=1)


def with_seeds(
    value: float, low: float, high: float, p: float, *, n: int, seed_se: float, seeds: int
) -> tuple[float, float, float]:
    """Interval and p of a difference over problems, with the error of the seeds added.

    Args:
        value: the difference.
        low: of its 95% interval over problems, the seeds being given.
        high: likewise.
        p: two-sided, likewise.
        n: problems.
        seed_se: of `seed_error`.
        seeds: likewise; at least 2.

    Returns:
        Low, high and p; p is below 0.05 exactly when 0 lies outside.
    """
    reach = critical_value(seeds) * seed_se
    side = (value - low) if value > 0 else (high - value)
    wide = value - math.hypot(value - low, reach), value + math.hypot(high - value, reach)
    below, above = 0.0, 8.0
    for _ in range(50):
        z = (below + above) / 2
        half = math.hypot(side * _growth(z, n - 1), reach * _growth(z, seeds - 1))
        below, above = (z, above) if half < abs(value) else (below, z)
    return *wide, max(p, 2 * NormalDist().cdf(-below))


def _growth(z: float, freedom: int) -> float:
    """Student's quantile at the normal quantile z, over that of the 95% interval.

    Source: Wallace (1959), doi 10.1214/aoms/1177706093.
    """
    scale = (8 * freedom + 3) / (8 * freedom + 1)
    at, unit = (math.sqrt(math.expm1(min((scale * one) ** 2 / freedom, 600.0))) for one in (z, _Z))
    return at / unit
