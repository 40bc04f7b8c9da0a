"""Accuracies of several models side by side: in pairs where each problem is known, else apart.

Which is highest is the luckiest of several, so a difference counts only with its p times the number of pairs
(Bonferroni): where all are equal, one is called better than another in at most 5% of the cases.

Shape suffixes: C models, N problems.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from overmem.artifacts.manifest_parts.imported import Score
from overmem.records import Estimate
from overmem.stats.checks import check_groups
from overmem.stats.intervals import accuracy_difference, accuracy_estimate, critical_value, wilson_interval
from overmem.stats.moments import measure_curves

_TINY = 1e-9
"""Standard errors below this are rounding."""


@dataclass(frozen=True, kw_only=True)
class Gap:
    """One model's accuracy minus another's."""

    difference: Estimate
    p: float
    """Two-sided, of this difference alone."""


class Accuracies(Protocol):
    """What is known of several models' accuracies."""

    @property
    def names(self) -> tuple[str, ...]: ...  # noqa: D102

    @property
    def paired(self) -> bool: ...  # noqa: D102

    def accuracy(self, name: str) -> Estimate: ...  # noqa: D102

    def gap(self, name: str, other: str) -> Gap: ...  # noqa: D102


class PairedAnswers:
    """Answers of several models to the same problems."""

    paired = True

    def __init__(
        self, names: Sequence[str], correct_C_N: npt.ArrayLike, group: Sequence[str] | None = None
    ) -> None:
        """Measure each model and each pair.

        Args:
            names: of the models.
            correct_C_N: correctness of each problem, in [0, 1].
            group: label of each problem, equal for those that stand for one another.
        """
        self.names = tuple(names)
        rows_C_N = np.asarray(correct_C_N, dtype=np.float64)
        tokens_N = np.ones(rows_C_N.shape[1])
        groups = check_groups(group, rows_C_N.shape[1])
        self._moments = measure_curves(rows_C_N, np.ones_like(rows_C_N), tokens_N, groups)

    def accuracy(self, name: str) -> Estimate:
        """Share right, in [0, 1], with Wilson's interval."""
        return accuracy_estimate(self._moments, self.names.index(name))

    def gap(self, name: str, other: str) -> Gap:
        """The paired difference, with Student's interval."""
        i, j = self.names.index(name), self.names.index(other)
        found, cov = accuracy_difference(self._moments, i, j), self._moments.sample_cov_B_B
        variance = float(cov[i, i] + cov[j, j] - 2 * cov[i, j])
        if abs(found.value) < _TINY and math.sqrt(max(variance, 0.0)) < _TINY:
            found = Estimate(0.0, 0.0, 0.0, found.n, "both give the same answers right and wrong")
        return Gap(difference=found, p=two_sided(found.value, variance))


class SeparateScores:
    """Shares right of several models, of which no problem is known by itself: they cannot be paired."""

    paired = False

    def __init__(self, scores: Mapping[str, Score]) -> None:
        """Keep the shares by name."""
        self.names = tuple(scores)
        self._scores = dict(scores)

    def accuracy(self, name: str) -> Estimate:
        """Share right, in [0, 1], with Wilson's interval."""
        score = self._scores[name]
        low, high = wilson_interval(score.accuracy, score.n, critical_value(max(score.n, 2)))
        return Estimate(score.accuracy, low, high, score.n)

    def gap(self, name: str, other: str) -> Gap:
        """The difference of two independent shares.

        Source: Newcombe (1998), doi 10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I,
        method 10; p of the pooled z test.
        """
        a, b = self.accuracy(name), self.accuracy(other)
        value = a.value - b.value
        low = value - math.hypot(a.value - a.low, b.high - b.value)
        high = value + math.hypot(a.high - a.value, b.value - b.low)
        pooled = (a.value * a.n + b.value * b.n) / (a.n + b.n)
        variance = pooled * (1 - pooled) * (1 / a.n + 1 / b.n)
        return Gap(difference=Estimate(value, low, high, min(a.n, b.n)), p=two_sided(value, variance))


def two_sided(value: float, variance: float) -> float:
    """P of a difference whose error is normal; 1 where nothing differs, 0 where everything moved.

    Args:
        value: the difference.
        variance: of its error.
    """
    error = math.sqrt(max(variance, 0.0))
    if error < _TINY:
        return 1.0 if abs(value) < _TINY else 0.0
    return math.erfc(abs(value) / error / math.sqrt(2))
