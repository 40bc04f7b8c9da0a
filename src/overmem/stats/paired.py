"""Paired differences between checkpoints on any measure, by the bootstrap over problems.

Both sides are counted on the same draw of problems, which is what makes small differences visible.
Problems that stand for one another (`overmem.stats.groups`) are drawn together. With several
seeds of one recipe their spread is a second error.

Shape suffixes: D draws, N problems, S seeds, K parts of the problems.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from overmem.records import Estimate
from overmem.stats.arrays import FloatArray
from overmem.stats.groups import Groups
from overmem.stats.intervals import NO_SPREAD, ONE_GROUP, ONE_PROBLEM, critical_value
from overmem.stats.measures import Counts, Measure
from overmem.stats.tails.few_seeds import seed_error, with_seeds
from overmem.stats.tails.skewness import interval_of_draws
from overmem.stats.threads import one_blas_thread

AT_ONCE = 1 << 20
"""Counts that are in memory together as numbers to calculate with."""
PARTS = 1000
"""Parts of the problems that skewness is read from; up to so many problems each is one."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One side minus the other."""

    estimate: Estimate
    p: float
    """Two-sided, from the draws; NaN when undefined. At least 2 / (draws + 1)."""


@one_blas_thread()
def over_draws(
    sizes: Mapping[str, int],
    draws: int,
    seed: int,
    statistic: Callable[[Counts], FloatArray],
    groups: Mapping[str, Groups] | None = None,
) -> FloatArray:
    """A statistic of how often each problem is drawn, in every draw; memory grows with problems alone.

    A population's draws depend on the seed, its name and its size (in groups) only, so that everything
    measured on the same problems is counted alike.

    Args:
        sizes: problems of each population.
        draws: D.
        seed: of the draws.
        statistic: {population: counts of some draws, (draws, N)} to their values, first axis draws.
        groups: of the populations whose problems are drawn together.

    Returns:
        The values of all draws.
    """
    drawn = {name: (groups or {}).get(name) or Groups.of_one(n) for name, n in sizes.items()}
    counts = {name: _population_counts(name, of.number, draws, seed) for name, of in drawn.items()}
    return np.concatenate(
        [
            statistic({name: of.spread(counts[name][some].astype(np.float64)) for name, of in drawn.items()})
            for some in some_at_once(draws, max(sizes.values()))
        ]
    )


@lru_cache(maxsize=4)
def _population_counts(name: str, n: int, draws: int, seed: int) -> npt.NDArray[np.uint16]:
    rng = np.random.default_rng([seed, zlib.crc32(name.encode()), n])
    counts_D_N = np.empty((draws, n), dtype=np.uint16)
    for some in some_at_once(draws, n):
        rows = len(counts_D_N[some])
        drawn_R_N = rng.integers(n, size=(rows, n)) + n * np.arange(rows)[:, None]
        counts_D_N[some] = np.bincount(drawn_R_N.ravel(), minlength=rows * n).reshape(rows, n)
    return counts_D_N


def some_at_once(draws: int, n: int) -> list[slice]:
    """Draws in order, as many together as have `AT_ONCE` numbers, n for each."""
    rows = max(1, AT_ONCE // max(n, 1))
    return [slice(start, start + rows) for start in range(0, draws, rows)]


def difference(
    left: Sequence[Measure], right: Sequence[Measure], *, draws: int = 2000, seed: int = 0
) -> Difference:
    """The mean over seeds of left minus right, with a 95% interval that allows for skew (`skewness`).

    Over several seeds it allows for their spread as well (`few_seeds`).

    Args:
        left: the measure on one side, one entry a seed.
        right: the same measure on the other side, of the same problems.
        draws: bootstrap draws.
        seed: of the draws.

    Returns:
        Estimate and p; NaN with a reason where a side is undefined or nothing varies, unless every problem
        moved from one end of a share to the other (see `_all_moved`).
    """
    n = min(measure.problems for measure in (*left, *right))
    reason = next((m.reason for m in (*left, *right) if m.reason is not None), None)
    if reason is not None:
        return Difference(estimate=Estimate(math.nan, math.nan, math.nan, n, reason), p=math.nan)
    value = float(np.mean([m.value() for m in left]) - np.mean([m.value() for m in right]))
    units = min(measure.units for measure in (*left, *right))
    if units < 2:
        why = ONE_PROBLEM if n < 2 else ONE_GROUP
        return Difference(estimate=Estimate(value, math.nan, math.nan, n, why), p=math.nan)
    difference_D = _mean_over_seeds(left, draws, seed) - _mean_over_seeds(right, draws, seed)
    difference_D = difference_D[np.isfinite(difference_D)]
    if len(difference_D) and np.ptp(difference_D) < 1e-12 and abs(abs(value) - 1) < 1e-9:
        return _all_moved(value, n, units)
    if not len(difference_D) or np.ptp(difference_D) < 1e-12:
        return Difference(estimate=Estimate(value, math.nan, math.nan, n, NO_SPREAD), p=math.nan)
    low, high, p = interval_of_draws(value, difference_D, _moved(left, right), units, critical_value(units))
    seed_se, seeds = seed_error(*(np.array([m.value() for m in side]) for side in (left, right)))
    if seeds > 1:
        low, high, p = with_seeds(value, low, high, p, n=units, seed_se=seed_se, seeds=seeds)
    return Difference(estimate=Estimate(value, min(low, value), max(high, value), n), p=p)


@one_blas_thread()
def influences(measure: Measure) -> dict[str, FloatArray]:
    """By how much each part of the problems moves a measure, for each of its populations.

    A part is a problem or a group of them, or every `PARTS`-th where there are more; it moves a figure by
    what the figure changes without it. Sums of cubes over parts and over problems are alike, so skewness is
    the same.

    Returns:
        K values a population; NaN where the rest leaves the measure undefined.
    """
    found = {}
    for population, size in measure.sizes.items():
        of, rest = measure.groups.get(population) or Groups.of_one(size), list[FloatArray]()
        parts = min(of.number, PARTS)
        for some in some_at_once(parts, max(measure.sizes.values())):
            part_K = np.arange(parts)[some]
            counts = {name: np.ones((part_K.size, other)) for name, other in measure.sizes.items()}
            counts[population][of.index_N[None] % parts == part_K[:, None]] = 0.0
            with np.errstate(invalid="ignore", divide="ignore"):
                rest.append(measure.statistic(counts))
        found[population] = measure.value() - np.concatenate(rest)
    return found


def _moved(left: Sequence[Measure], right: Sequence[Measure]) -> FloatArray:
    """By how much each part of the problems moves the mean of left minus that of right.

    A population that is not the same on both sides, such as the training rows of two runs, moves each side
    apart from the other.
    """
    found: dict[tuple[str, bytes], FloatArray] = {}
    for side, sign in ((left, 1.0), (right, -1.0)):
        for measure in side:
            for name, moved_K in influences(measure).items():
                of = measure.groups.get(name) or Groups.of_one(measure.sizes[name])
                key = name, of.index_N.tobytes()
                found[key] = found.get(key, np.zeros(moved_K.size)) + sign / len(side) * moved_K
    return np.concatenate(list(found.values()))


def _all_moved(value: float, n: int, units: int) -> Difference:
    """The difference where each of n problems moved from 0 to 1, or from 1 to 0: no draw varies.

    At least 0.025 ** (1 / n) of all problems move so (Clopper and Pearson's limit for n of n), and no other
    moves by more than 1 the other way. p is that of the sign test. Of problems in groups, as many count as
    there are independent ones (`units`).
    """
    least = 2 * 0.025 ** (1 / units) - 1
    low, high = sorted((value * least, value))
    return Difference(estimate=Estimate(value, low, high, n), p=2.0 ** (1 - units))


def _mean_over_seeds(measures: Sequence[Measure], draws: int, seed: int) -> FloatArray:
    """The mean over all seeds in every draw of the problems."""
    return np.asarray(
        np.mean([over_draws(m.sizes, draws, seed, m.statistic, m.groups) for m in measures], axis=0)
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values; NaN stays NaN and counts for nothing.

    Source: Holm (1979), Scandinavian Journal of Statistics 6, 65-70.
    """
    order = sorted((i for i, p in enumerate(p_values) if math.isfinite(p)), key=lambda i: p_values[i])
    adjusted, highest = [math.nan] * len(p_values), 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * p_values[i]))
        adjusted[i] = highest
    return adjusted


def bootstrap(measures: Sequence[Measure], draws: int, seed: int, stream: int = 1) -> FloatArray:
    """The measure's mean over drawn seeds, each on the drawn problems.

    Args:
        measures: one entry a seed; several are drawn with replacement, then problems.
        draws: D.
        seed: of the draws.
        stream: sides with the same stream and number of seeds draw the same seeds.

    Returns:
        D values.
    """
    values_S_D = np.stack([over_draws(m.sizes, draws, seed, m.statistic, m.groups) for m in measures])
    if len(measures) == 1:
        return np.asarray(values_S_D[0])
    rng = np.random.default_rng([seed, stream, len(measures)])
    chosen_D_S = rng.integers(len(measures), size=(draws, len(measures)))
    return np.asarray(np.take_along_axis(values_S_D.T, chosen_D_S, axis=1).mean(axis=1))
