"""Groups of problems that stand for one another: the unit of every error.

Wordings of one template, several references of one problem or questions on one text are solved together and
missed together, so that 400 problems in 40 groups say as much as 40. What each problem adds to an error (its
influence) is summed over its group, and a bootstrap draws groups whole. Where each problem is a group of its
own, every figure is what it is without groups.

Shape suffixes: N problems, G groups, K figures, D draws.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from overmem.stats.arrays import FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class Groups:
    """Which group each problem belongs to."""

    index_N: IntArray
    """0 to G - 1, in the order in which groups first appear."""

    @classmethod
    def of(cls, labels: Iterable[Hashable]) -> Self:
        """Problems with equal labels are one group."""
        place: dict[Hashable, int] = {}
        return cls(np.array([place.setdefault(label, len(place)) for label in labels], dtype=np.int64))

    @classmethod
    def of_one(cls, n: int) -> Self:
        """Each of n problems is a group of its own."""
        return cls(np.arange(n))

    def at(self, positions_N: IntArray) -> Groups:
        """The groups of some problems, or of all in another order."""
        return Groups.of(self.index_N[positions_N].tolist())

    @cached_property
    def sizes_G(self) -> IntArray:
        """Problems of each group."""
        return np.bincount(self.index_N).astype(np.int64)

    @property
    def number(self) -> int:
        """G."""
        return self.sizes_G.size

    @property
    def is_trivial(self) -> bool:
        """Whether each problem is a group of its own."""
        return self.number == self.index_N.size

    @property
    def effective(self) -> int:
        """Groups of equal size that would tell a mean over problems as exactly, rounded down; at most G.

        The square of the problems' number over the sum of the groups' squared sizes, that is G for equal
        sizes: Kish (1965), Survey Sampling, section 5.4, for problems of a group that are all alike.
        """
        return self.index_N.size**2 // max(int((self.sizes_G**2).sum()), 1)

    def effective_for(self, influence_N: FloatArray) -> int:
        """Independent problems that would tell one mean as exactly as these groups do; `effective` to N.

        N over the design effect, the mean's variance over groups by that over problems: how alike problems of
        a group are is measured here, where `effective` takes them to be all alike.

        Args:
            influence_N: of each problem on the mean, such as its distance from it; where all are 0, nothing
                tells how alike they are.

        Source: Kish (1965), Survey Sampling, section 8.2.
        """
        by_problem = float((influence_N**2).sum())
        if self.is_trivial or self.number < 2 or by_problem == 0:
            return self.effective
        by_group = float((self.sums(influence_N[None]) ** 2).sum()) * self.number / (self.number - 1)
        n = self.index_N.size
        return min(n, max(self.effective, math.floor(n * by_problem / by_group + 1e-9)))

    def sums(self, values_K_N: FloatArray) -> FloatArray:
        """Sums over the problems of each group, (K, G)."""
        if self.is_trivial:
            return values_K_N
        order_N = np.argsort(self.index_N, kind="stable")
        starts_G = np.concatenate([[0], np.cumsum(self.sizes_G)[:-1]])
        return np.asarray(np.add.reduceat(values_K_N[:, order_N], starts_G, axis=1))

    def influences(self, influence_K_N: FloatArray) -> FloatArray:
        """What each group adds to an error, as if it were one of G problems.

        The sum of outer products of these, over G (G - 1), is the covariance of the K means over problems.
        For equal sizes it is the cluster-robust one with the usual factor G / (G - 1); for others that factor
        is taken of the effective number, as few large groups leave fewer free.

        Args:
            influence_K_N: of each problem on a mean over problems, such as its distance from the mean.

        Returns:
            (K, G).

        Source: Cameron and Miller (2015), doi 10.3368/jhr.50.2.317, equations 10 to 12.
        """
        n, groups, effective = self.index_N.size, self.number, self.effective
        factor = groups / max(n, 1)
        if effective > 1:
            factor *= math.sqrt((1 - 1 / groups) / (1 - 1 / effective))
        return self.sums(influence_K_N) * factor

    def spread(self, counts_D_G: FloatArray) -> FloatArray:
        """How often each problem is counted where each group is counted so often, (D, N)."""
        return counts_D_G if self.is_trivial else counts_D_G[:, self.index_N]
