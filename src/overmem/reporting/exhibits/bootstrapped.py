"""A figure of an exhibit: drawn at each checkpoint by the same bootstrap, compared in pairs, put into words.

Shape suffixes: D draws.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from overmem.formatting import DASH, FULL, estimate_text, signed
from overmem.records import Estimate
from overmem.reporting.exhibits.exhibit import Pair
from overmem.stats.arrays import FloatArray
from overmem.stats.intervals import NO_SPREAD, ONE_GROUP, ONE_PROBLEM, critical_value
from overmem.stats.measures import Measure
from overmem.stats.paired import bootstrap, influences
from overmem.stats.tails.skewness import interval_of_draws

DRAWS = 2000
SEED = 0
_NOT_SKEWED = np.zeros(1)


@dataclass(frozen=True)
class Bootstrapped:
    """A measure at one checkpoint, with its bootstrap draws; the same draws at all checkpoints."""

    value: float
    draws_D: FloatArray
    n: int
    reason: str | None = None
    influence_K: FloatArray = field(default_factory=lambda: _NOT_SKEWED)
    """By how much each part of the problems moves it; see `overmem.stats.paired.influences`."""
    units: int | None = None
    """Independent problems, or groups of them, that it rests on; n where each stands alone."""

    @classmethod
    def of(cls, measure: Measure) -> Bootstrapped:
        """Draw a measure; a measure that is undefined stays so."""
        if measure.reason is not None:
            return cls(math.nan, np.full(DRAWS, math.nan), measure.problems, measure.reason)
        drawn_D = bootstrap([measure], DRAWS, SEED)
        moved_K = np.concatenate(list(influences(measure).values()))
        return cls(measure.value(), drawn_D, measure.problems, influence_K=moved_K, units=measure.units)

    def estimate(self) -> Estimate:
        """The figure with its 95% interval over problems."""
        return interval(self.value, self.draws_D, self.n, self.reason, self.influence_K, self.units)

    def minus(self, other: Bootstrapped) -> Estimate:
        """The paired difference with its 95% interval."""
        n, reason = min(self.n, other.n), self.reason or other.reason
        moved_K = self.influence_K - other.influence_K
        units = min((u for u in (self.units, other.units) if u is not None), default=None)
        return interval(self.value - other.value, self.draws_D - other.draws_D, n, reason, moved_K, units)


def interval(
    value: float,
    draws_D: FloatArray,
    n: int,
    reason: str | None = None,
    influence_K: FloatArray = _NOT_SKEWED,
    units: int | None = None,
) -> Estimate:
    """A figure with the 95% percentile interval of its draws, or the reason why it has none.

    Where few problems carry much of it, as `influence_K` says, the side of the long tail reaches further; see
    `overmem.stats.tails.skewness`.
    """
    finite_D = draws_D[np.isfinite(draws_D)]
    if reason is None and not math.isfinite(value):
        reason = "nothing to measure it on"
    if reason is not None or not math.isfinite(value):
        return Estimate(math.nan, math.nan, math.nan, n, reason)
    independent = n if units is None else units
    if independent < 2 or len(finite_D) < 2 or np.ptp(finite_D) < 1e-12:
        alone = ONE_PROBLEM if n == 1 else ONE_GROUP if independent == 1 else NO_SPREAD
        return Estimate(value, math.nan, math.nan, n, alone)
    low, high, _ = interval_of_draws(value, finite_D, influence_K, independent, critical_value(independent))
    return Estimate(value, min(low, value), max(high, value), n)


def compare(drawn: Mapping[str, Bootstrapped], what: str) -> dict[Pair, str]:
    """For each pair of checkpoints, the later minus the earlier, in words.

    Args:
        drawn: by checkpoint, in the order of the run.
        what: name of the measure.
    """
    found = {}
    for earlier, later in combinations(drawn, 2):
        difference = drawn[later].minus(drawn[earlier])
        if math.isfinite(difference.value):
            text = signed_text(difference)
            found[earlier, later] = f"{what}, {later} minus {earlier}: {text}, paired"
    return found


def plain_text(estimate: Estimate) -> str:
    """A figure with its interval: `0.976 (95% interval 0.960-0.990)`."""
    return estimate_text(estimate, ".3f", to=DASH, frame=FULL, why=True)


def signed_text(estimate: Estimate) -> str:
    """A difference with its interval, signs written out."""
    return estimate_text(estimate, signed, frame=FULL, why=True)
