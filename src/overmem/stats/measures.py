"""Measures: figures of one checkpoint in a form that can be resampled.

A measure is a function of how often each problem is counted: counted once each it gives the figure,
counted as a bootstrap draw does it gives the draw's figure. So every measure, be it a mean, an AUROC or a
calibration error, gets its interval in the same way, and two checkpoints counted alike are compared in
pairs.

Shape suffixes: D draws, N problems of one population.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from overmem.stats.arrays import FloatArray
from overmem.stats.groups import Groups

Counts = Mapping[str, FloatArray]
"""How often each problem is counted, (D, N) for each population by name."""
Direction = Literal["higher", "lower", "context"]
"""Which way is better; `context` is neither."""


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One figure of one checkpoint, in a form that can be resampled."""

    name: str
    """Snake case, such as `pass_at_4`; unique within its axis."""
    direction: Direction
    sizes: Mapping[str, int]
    """Problems of each population the figure rests on, counted or not."""
    statistic: Callable[[Counts], FloatArray]
    """{population: counts (D, N)} to D values; NaN where a draw leaves it undefined."""
    reason: str | None = None
    """Why the figure is undefined; the statistic is then not called."""
    n: int | None = None
    """Problems that carry weight, where not all of the first population do."""
    groups: Mapping[str, Groups] = field(default_factory=dict)
    """Of the populations whose problems stand for one another; they are drawn together."""
    each_N: FloatArray | None = field(default=None, compare=False, repr=False)
    """The figure of each problem alone, where the measure is their mean."""

    @property
    def problems(self) -> int:
        """Problems the figure rests on."""
        return next(iter(self.sizes.values())) if self.n is None else self.n

    @property
    def units(self) -> int:
        """Independent problems, or groups of them, that the figure rests on."""
        return min(
            [self.problems, *(self.groups[name].effective for name in self.sizes if name in self.groups)]
        )

    def value(self) -> float:
        """The figure itself: every problem counted once; NaN when undefined."""
        if self.reason is not None:
            return float("nan")
        return float(self.statistic({name: np.ones((1, size)) for name, size in self.sizes.items()})[0])


def ratio_measure(
    name: str, direction: Direction, population: str, over_N: FloatArray, under_N: FloatArray
) -> Measure:
    """A ratio of sums over problems, such as NLL per token; a mean when `under_N` is all ones.

    Args:
        name: of the measure.
        direction: which way is better.
        population: name of the problems resampled.
        over_N: what each problem adds above.
        under_N: what it adds below; a draw whose sum is 0 is undefined.
    """

    def statistic(counts: Counts) -> FloatArray:
        counts_D_N = counts[population]
        under_D = counts_D_N @ under_N
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(np.where(under_D > 0, counts_D_N @ over_N / under_D, np.nan))

    empty = None if under_N.sum() > 0 else "no problem to measure it on"
    return Measure(
        name=name,
        direction=direction,
        sizes={population: len(over_N)},
        statistic=statistic,
        reason=empty,
        n=int((under_N > 0).sum()),
    )


def mean_measure(name: str, direction: Direction, population: str, value_N: FloatArray) -> Measure:
    """A mean over problems; see `ratio_measure`."""
    mean = ratio_measure(name, direction, population, value_N, np.ones(len(value_N)))
    return replace(mean, each_N=np.asarray(value_N, dtype=np.float64))


def average_measure(name: str, direction: Direction, parts: Sequence[Measure]) -> Measure:
    """The plain mean of some measures, such as accuracy over several sets; undefined when one of them is.

    Args:
        name: of the mean.
        direction: which way is better.
        parts: what is averaged, at least one; populations of the same name are counted alike.
    """

    def statistic(counts: Counts) -> FloatArray:
        return np.asarray(np.mean([part.statistic(counts) for part in parts], axis=0))

    return Measure(
        name=name,
        direction=direction,
        sizes={population: size for part in parts for population, size in part.sizes.items()},
        statistic=statistic,
        reason=next((part.reason for part in parts if part.reason is not None), None),
        n=min(part.problems for part in parts),
        groups={population: found for part in parts for population, found in part.groups.items()},
    )


def difference_measure(name: str, direction: Direction, left: Measure, right: Measure) -> Measure:
    """One measure minus another of the same checkpoint, such as a gap between val and train."""

    def statistic(counts: Counts) -> FloatArray:
        return np.asarray(left.statistic(counts) - right.statistic(counts))

    return Measure(
        name=name,
        direction=direction,
        sizes={**left.sizes, **right.sizes},
        statistic=statistic,
        reason=left.reason or right.reason,
        n=min(left.problems, right.problems),
        groups={**left.groups, **right.groups},
    )


def undefined(name: str, direction: Direction, population: str, n: int, reason: str) -> Measure:
    """A figure that cannot be had, with the reason a reader is shown."""
    return Measure(
        name=name,
        direction=direction,
        sizes={population: n},
        statistic=lambda counts: np.full(len(counts[population]), np.nan),
        reason=reason,
    )
