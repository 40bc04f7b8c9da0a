"""Measured figures with 95% intervals, from the rows alone.

These intervals describe one checkpoint, or one pair, as measured; the stage's confidence comes from
the posterior of whole curves instead (`posterior`).

Shape suffixes: C checkpoints, B = 2C (accuracies first, then log NLLs).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np

from overmem.records import Estimate
from overmem.stats.arrays import FloatArray
from overmem.stats.moments import Moments
from overmem.stats.perplexity import perplexity
from overmem.stats.tails.skewness import mean_skewness, skewed_interval

ONE_PROBLEM = "one problem has no standard error"
ONE_GROUP = "one group of problems has no standard error"
NO_SPREAD = "every problem gives the same value, so its spread is unknown"
_TINY = 1e-9
"""Standard errors below this are rounding, not information."""


def accuracy_estimate(moments: Moments, c: int) -> Estimate:
    """Accuracy of checkpoint c with Wilson's interval, which is never of width zero.

    With several samples of one problem the mean of a problem is a fraction; the sample size is then
    the number of right-or-wrong answers that would have the same standard error.

    Args:
        moments: measured curves.
        c: position of the checkpoint.

    Returns:
        Estimate in [0, 1]; higher is better.
    """
    value, variance = float(moments.accuracy_C[c]), float(moments.sample_cov_B_B[c, c])
    if moments.units < 2:
        return Estimate(value, math.nan, math.nan, moments.n, too_few(moments))
    size = value * (1 - value) / variance if variance > _TINY**2 else float(moments.units)
    return Estimate(value, *wilson_interval(value, size, critical_value(moments.units)), moments.n)


def wilson_interval(share: float, size: float, z: float) -> tuple[float, float]:
    """Low and high of a share, never of width zero and never outside [0, 1].

    Args:
        share: what was measured, in [0, 1].
        size: right-or-wrong answers that it was measured on; need not be a whole number.
        z: critical value, such as that of `critical_value`.

    Source: Wilson (1927), doi 10.1080/01621459.1927.10502953.
    """
    centre = (share + z**2 / (2 * size)) / (1 + z**2 / size)
    half = z * math.sqrt(max(share * (1 - share), 0.0) / size + z**2 / (4 * size**2)) / (1 + z**2 / size)
    return min(max(0.0, centre - half), share), max(min(1.0, centre + half), share)


def nll_estimate(moments: Moments, c: int) -> Estimate:
    """NLL of checkpoint c, nats per token (lower is better).

    The interval is symmetric in log NLL, and higher where few problems carry much of it (`skewness`).

    Args:
        moments: measured curves.
        c: position of the checkpoint.

    Returns:
        Estimate; low and high are NaN with a reason where the rows show no spread.
    """
    value, at = float(moments.nll_C[c]), moments.nll_C.size + c
    relative_se = math.sqrt(float(moments.sample_cov_B_B[at, at]))
    if moments.units < 2 or relative_se < _TINY:
        reason = too_few(moments) if moments.units < 2 else NO_SPREAD
        return Estimate(value, math.nan, math.nan, moments.n, reason)
    critical = critical_value(moments.units)
    factor = math.exp(critical * relative_se)
    skewness = mean_skewness(moments.influence_B_G[at], relative_se)
    _, high = skewed_interval(value, value * relative_se, critical, skewness)
    return Estimate(value, value / factor, max(value * factor, high), moments.n)


def perplexity_estimate(nll: Estimate) -> Estimate:
    """Exponentiate an NLL estimate and its interval; lower is better."""
    return Estimate(perplexity(nll.value), perplexity(nll.low), perplexity(nll.high), nll.n, nll.reason)


def accuracy_difference(moments: Moments, c: int, reference: int) -> Estimate:
    """Paired difference of accuracy, checkpoint c minus the reference; above 0 is better.

    Args:
        moments: measured curves.
        c: position of the checkpoint.
        reference: position of the one it is compared with.

    Returns:
        Estimate with Student's interval, longer on the side of a long tail (`skewness`).
    """
    return _difference(moments, (c, reference), (1.0, 1.0), moments.accuracy_C)


def nll_difference(moments: Moments, c: int, reference: int) -> Estimate:
    """Paired difference of NLL, nats per token, checkpoint c minus the reference; below 0 is better.

    Args:
        moments: measured curves.
        c: position of the checkpoint.
        reference: position of the one it is compared with.

    Returns:
        Estimate with Student's interval, longer on the side of a long tail (`skewness`); the error of each
        NLL is linearised.
    """
    checkpoints, nll_C = moments.nll_C.size, moments.nll_C
    slopes = float(nll_C[c]), float(nll_C[reference])
    return _difference(moments, (c, reference), slopes, nll_C, checkpoints)


def critical_value(n: int) -> float:
    """Student's 97.5% point for n problems (1.96 for many), within 1% for any n.

    Args:
        n: problems, or groups of them, at least 2.

    Returns:
        The factor of a standard error that gives a 95% interval.

    Source: exact for 1 and 2 degrees of freedom, else the expansion of Abramowitz and Stegun 26.7.5;
    scipy would cost more to import than everything here costs to compute.
    """
    freedom = n - 1
    if freedom == 1:
        return math.tan(0.475 * math.pi)
    if freedom == 2:
        return 0.95 * math.sqrt(2 / (4 * 0.975 * 0.025))
    z = NormalDist().inv_cdf(0.975)
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3


def clopper_pearson(successes: int, n: int) -> tuple[float, float]:
    """Exact 95% interval of a share, which covers it at least 95% of the time however small n is.

    Args:
        successes: of the n tries, 0 to n.
        n: tries, at least 1.

    Source: Clopper and Pearson (1934), doi 10.1093/biomet/26.4.404.
    """
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])
    log_ways = log_factorial[n] - log_factorial - log_factorial[::-1]
    counts = np.arange(n + 1)

    def tail(p: float, k_or_more: int) -> float:
        chance = np.exp(log_ways + counts * math.log(p) + (n - counts) * math.log1p(-p))
        return float(chance[k_or_more:].sum())

    low = 0.0 if successes == 0 else _bisect(lambda p: tail(p, successes) - 0.025)
    high = 1.0 if successes == n else _bisect(lambda p: tail(p, successes + 1) - 0.975)
    return low, high


def auroc_interval(value: float, members: int, nonmembers: int, widen: float = 1.0) -> tuple[float, float]:
    """95% score interval of an AUROC: all values whose own standard error does not rule out the measured one.

    Never of width zero, also at 0 and 1.

    Args:
        value: measured, in [0, 1].
        members: examples on one side, at least 1.
        nonmembers: examples on the other.
        widen: factor of the standard error.

    Source: Newcombe (2006), doi 10.1002/sim.2324, method 5: the variance of Hanley and McNeil (1982).
    """
    z = widen * NormalDist().inv_cdf(0.975)

    def excess(theta: float) -> float:
        """How far the measured value is from theta, beyond z standard errors."""
        pairs = (members + nonmembers) / 2 - 1
        spread = 1 + pairs * ((1 - theta) / (2 - theta) + theta / (1 + theta))
        return abs(value - theta) - z * math.sqrt(theta * (1 - theta) * spread / (members * nonmembers))

    low = 0.0 if value == 0 else _bisect(lambda theta: -excess(theta), 0.0, value)
    high = 1.0 if value == 1 else _bisect(excess, value, 1.0)
    return low, high


def too_few(moments: Moments) -> str:
    """Why figures have no standard error where they rest on fewer than two independent problems."""
    return ONE_PROBLEM if moments.n < 2 else ONE_GROUP


def _difference(
    moments: Moments, pair: tuple[int, int], slopes: tuple[float, float], value_C: FloatArray, start: int = 0
) -> Estimate:
    """Estimate of one checkpoint's value minus another's; `start` is where the measure starts in B."""
    value = float(value_C[pair[0]] - value_C[pair[1]])
    (i, j), (a, b) = (start + pair[0], start + pair[1]), slopes
    cov, influence_B_G = moments.sample_cov_B_B, moments.influence_B_G
    se = math.sqrt(max(float(a * a * cov[i, i] + b * b * cov[j, j] - 2 * a * b * cov[i, j]), 0.0))
    if moments.units < 2 or se < _TINY:
        reason = too_few(moments) if moments.units < 2 else NO_SPREAD
        return Estimate(value, math.nan, math.nan, moments.n, reason)
    skewness = mean_skewness(a * influence_B_G[i] - b * influence_B_G[j], se)
    return Estimate(value, *skewed_interval(value, se, critical_value(moments.units), skewness), moments.n)


def _bisect(rising: Callable[[float], float], low: float = 0.0, high: float = 1.0) -> float:
    """Where a function that rises from below zero to above it crosses zero."""
    for _ in range(60):
        middle = (low + high) / 2
        if rising(middle) < 0:
            low = middle
        else:
            high = middle
    return (low + high) / 2
