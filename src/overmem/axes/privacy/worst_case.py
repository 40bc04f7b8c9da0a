"""The worst of several attacks: chosen on one half of the examples, read on the other, both ways.

The highest of several noisy figures is too high. Each half's figure here is of the attack that the other
half chose, so where nothing was memorized it is 0.5 (AUROC) or at most 1% (recall) on average, however many
attacks are tried.

Shape suffixes: A attacks, D draws, H two halves, M members, K non-members, N examples of one set.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from overmem.records import Estimate
from overmem.stats.arrays import FloatArray
from overmem.stats.groups import Groups
from overmem.stats.intervals import auroc_interval, clopper_pearson
from overmem.stats.roc import FPR, auroc_D, placements, tpr_at_fpr_D

BoolArray = npt.NDArray[np.bool_]
Scores = Mapping[str, tuple[FloatArray, FloatArray]]
"""Scores of members and of non-members under each attack, higher for "more likely a member"; no NaN."""
TIE = 1e-6
"""Weight of the AUROC where two attacks find equally many members."""
WIDEN = 1.1
"""Standard errors of the worst AUROC in those of one attack's: each half chooses for the other, so their
readings are correlated. At most this in simulations of 6 attacks (tests/axes/privacy/test_worst_case.py)."""


@dataclass(frozen=True, kw_only=True)
class Halves:
    """Which examples are of the first half; the others are of the second."""

    member_M: BoolArray
    nonmember_K: BoolArray
    members: Groups
    """Of the members; a group is in one half, as the halves must not know of each other."""
    nonmembers: Groups

    @classmethod
    def of_ids(
        cls,
        member_ids: Sequence[str],
        nonmember_ids: Sequence[str],
        members: Groups | None = None,
        nonmembers: Groups | None = None,
    ) -> Halves:
        """Halves by the hash of the ids, so that order, seed and checkpoint change nothing."""
        members = members or Groups.of_one(len(member_ids))
        nonmembers = nonmembers or Groups.of_one(len(nonmember_ids))
        return cls(
            member_M=_first_half(member_ids, members),
            nonmember_K=_first_half(nonmember_ids, nonmembers),
            members=members,
            nonmembers=nonmembers,
        )

    @property
    def fewest_nonmembers(self) -> int:
        """Independent non-members of the half that has fewer of them."""
        return _fewest(self.nonmembers, self.nonmember_K)

    @property
    def fewest(self) -> int:
        """Independent examples of the smallest of the four parts."""
        return min(self.fewest_nonmembers, _fewest(self.members, self.member_M))


@dataclass(frozen=True, kw_only=True)
class WorstCase:
    """One figure of the worst attack, and which attack each half was read with."""

    estimate: Estimate
    attacks: tuple[str, ...]
    """Read on the first half and on the second; one name where both are the same."""
    false_alarms: Estimate | None = None
    """Of a recall: the share of unseen non-members that its thresholds flag."""


def allowed_false_alarms(n_nonmembers: int, fpr: float = FPR) -> int:
    """Most non-members that may be flagged; -1 where there are too few to know a threshold.

    A threshold above all but k of n non-members flags (k + 1) / (n + 1) of unseen ones on average, so k is
    the largest number for which that is at most `fpr`: none below 199, one from 199 on at 1%.
    """
    return math.floor(fpr * (n_nonmembers + 1) * (1 + 1e-9)) - 1


def worst_auroc_D(
    scores: Scores, halves: Halves, counts_D_M: FloatArray, counts_D_K: FloatArray
) -> FloatArray:
    """Mean of both halves' AUROC, each of the attack with the highest AUROC on the other half.

    Attacks are chosen once, on the examples as they are, and not again in every draw: else the choice's own
    noise makes the interval of a difference about a third too wide.

    Args:
        scores: of every attack, at least one.
        halves: of the examples.
        counts_D_M: how often each member is counted.
        counts_D_K: the same for non-members.
    """
    auroc_A_H_D = _aurocs(scores, halves, counts_D_M, counts_D_K)
    return np.asarray(_read(auroc_A_H_D, _chosen_by_auroc(scores, halves)).mean(axis=0))


def worst_recall_D(
    scores: Scores, halves: Halves, counts_D_M: FloatArray, counts_D_K: FloatArray
) -> FloatArray:
    """Share of members found at 1% false alarms, each half's by the attack that finds most of the other.

    The threshold is each half's own; see `allowed_false_alarms`. Attacks are chosen once, as for AUROC.

    Args:
        scores: of every attack, at least one.
        halves: of the examples, of 99 non-members or more each.
        counts_D_M: how often each member is counted.
        counts_D_K: the same for non-members.
    """
    recall_A_H_D = _recalls(scores, halves, counts_D_M, counts_D_K)
    read_H_D = _read(recall_A_H_D, _chosen_by_recall(scores, halves))
    weight_H_D = np.stack([counts_D_M[:, side].sum(axis=1) for side in (halves.member_M, ~halves.member_M)])
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((weight_H_D * read_H_D).sum(axis=0) / weight_H_D.sum(axis=0))


def worst_auroc(scores: Scores, halves: Halves) -> WorstCase:
    """The worst attack's AUROC with a 95% interval for that of the attacks chosen; see `worst_auroc_D`."""
    counts = _once_each(halves)
    value, attacks_H = float(worst_auroc_D(scores, halves, *counts)[0]), _chosen_by_auroc(scores, halves)
    low, high = auroc_interval(value, *_independent(scores, halves, attacks_H), widen=WIDEN)
    estimate = Estimate(value, low, high, min(side.shape[1] for side in counts))
    return WorstCase(estimate=estimate, attacks=_names(scores, attacks_H))


def worst_recall(scores: Scores, halves: Halves) -> WorstCase:
    """The share of members found, with Clopper and Pearson's interval; see `worst_recall_D`.

    Given attacks and thresholds, which no member of the half that is read has chosen, the members found are
    a count of independent hits. The interval is that of the share found at these thresholds; how many
    non-members the thresholds may flag is beside it. Of members in groups as many count as there are
    independent ones; a number of hits that is no whole one is rounded down for the lower limit, up for the
    upper.
    """
    value, members = float(worst_recall_D(scores, halves, *_once_each(halves))[0]), len(halves.member_M)
    units = halves.members.effective
    hits = round(value * members) * units / members
    low, high = clopper_pearson(math.floor(hits), units)[0], clopper_pearson(math.ceil(hits), units)[1]
    return WorstCase(
        estimate=Estimate(value, low, high, members),
        attacks=_names(scores, _chosen_by_recall(scores, halves)),
        false_alarms=_false_alarms(halves),
    )


def _independent(scores: Scores, halves: Halves, attacks_H: npt.NDArray[np.int64]) -> tuple[int, int]:
    """Independent members and non-members that would tell the AUROC as exactly."""
    influence_M, influence_K = (np.zeros(side.size) for side in (halves.member_M, halves.nonmember_K))
    pairs = list(scores.values())
    for (m, k), attack in zip(_sides(halves), attacks_H, strict=True):
        member_M, nonmember_K = pairs[int(attack)]
        placed_M, placed_K = placements(member_M[m], nonmember_K[k])
        influence_M[m], influence_K[k] = placed_M - placed_M.mean(), placed_K - placed_K.mean()
    return halves.members.effective_for(influence_M), halves.nonmembers.effective_for(influence_K)


def _false_alarms(halves: Halves) -> Estimate:
    """The share of unseen non-members that the two thresholds flag, on average, with a 95% interval.

    Each threshold is the score of a non-member of its half, so the share above it has a beta distribution
    whatever the scores are, and Clopper and Pearson's limits are quantiles of such. Of non-members in groups
    as many count as there are independent ones.
    """
    sizes = [int(side.sum()) for side in (halves.nonmember_K, ~halves.nonmember_K)]
    ranks, n = sum(allowed_false_alarms(size) + 1 for size in sizes), sum(sizes)
    units = halves.nonmembers.effective
    of_units = max(1, round(ranks * units / n))
    low, high = clopper_pearson(of_units, units)[0], clopper_pearson(of_units - 1, units)[1]
    return Estimate(ranks / (n + len(sizes)), low, high, n)


def _aurocs(scores: Scores, halves: Halves, counts_D_M: FloatArray, counts_D_K: FloatArray) -> FloatArray:
    return np.stack(
        [
            [
                auroc_D(member_M[m], nonmember_K[k], counts_D_M[:, m], counts_D_K[:, k])
                for m, k in _sides(halves)
            ]
            for member_M, nonmember_K in scores.values()
        ]
    )


def _recalls(scores: Scores, halves: Halves, counts_D_M: FloatArray, counts_D_K: FloatArray) -> FloatArray:
    return np.stack(
        [
            [
                tpr_at_fpr_D(
                    member_M[m],
                    nonmember_K[k],
                    counts_D_M[:, m],
                    counts_D_K[:, k],
                    # Half a non-member more, so that a draw of a few less is allowed as many.
                    fpr=(allowed_false_alarms(int(k.sum())) + 0.5) / int(k.sum()),
                )
                for m, k in _sides(halves)
            ]
            for member_M, nonmember_K in scores.values()
        ]
    )


def _sides(halves: Halves) -> tuple[tuple[BoolArray, BoolArray], ...]:
    return (halves.member_M, halves.nonmember_K), (~halves.member_M, ~halves.nonmember_K)


def _chosen_by_auroc(scores: Scores, halves: Halves) -> npt.NDArray[np.int64]:
    return _choose(_aurocs(scores, halves, *_once_each(halves)))


def _chosen_by_recall(scores: Scores, halves: Halves) -> npt.NDArray[np.int64]:
    counts = _once_each(halves)
    return _choose(_recalls(scores, halves, *counts) + TIE * _aurocs(scores, halves, *counts))


def _choose(figure_A_H_1: FloatArray) -> npt.NDArray[np.int64]:
    """Position of the attack that each half is read with: the best on the other half."""
    best_H = np.argmax(np.nan_to_num(figure_A_H_1[..., 0], nan=-1.0), axis=0)
    return np.asarray(best_H[::-1])


def _read(figure_A_H_D: FloatArray, chosen_H: npt.NDArray[np.int64]) -> FloatArray:
    return figure_A_H_D[chosen_H, np.arange(len(chosen_H))]


def _names(scores: Scores, chosen_H: npt.NDArray[np.int64]) -> tuple[str, ...]:
    names = list(scores)
    return tuple(dict.fromkeys(names[int(position)] for position in chosen_H))


def _once_each(halves: Halves) -> tuple[FloatArray, FloatArray]:
    return np.ones((1, len(halves.member_M))), np.ones((1, len(halves.nonmember_K)))


def _fewest(groups: Groups, first_N: BoolArray) -> int:
    """Independent examples of the half that has fewer of them."""
    sides = (np.flatnonzero(side) for side in (first_N, ~first_N))
    return min(groups.at(side).effective if side.size else 0 for side in sides)


def _first_half(ids: Sequence[str], groups: Groups) -> BoolArray:
    """About half of the problems, whole groups of them, in the order of the hash of a group's first id."""
    named = {place: min(names) for place, names in _by_group(ids, groups).items()}
    digest = {place: hashlib.sha256(f"attack/{name}".encode()).digest() for place, name in named.items()}
    order = sorted(range(len(ids)), key=lambda i: digest[int(groups.index_N[i])])
    first_N = np.zeros(len(ids), dtype=bool)
    cut = (len(ids) + 1) // 2
    first_N[order[:cut]] = True
    if 0 < cut < len(ids):
        # The group that the cut goes through is of the first half as a whole.
        first_N |= groups.index_N == groups.index_N[order[cut - 1]]
    return first_N


def _by_group(ids: Sequence[str], groups: Groups) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for name, place in zip(ids, groups.index_N.tolist(), strict=True):
        found.setdefault(place, []).append(name)
    return found
