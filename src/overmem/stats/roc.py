"""Telling two groups apart by a score: AUROC, and the true positive rate at a low false positive rate.

Vectorised over bootstrap draws: scores are sorted once, and each draw only counts them differently.

Shape suffixes: D draws, M members, K non-members.
"""

from __future__ import annotations

import numpy as np

from overmem.records import Estimate
from overmem.stats.arrays import FloatArray
from overmem.stats.groups import Groups

FPR = 0.01
"""Share of non-members that may be taken for members (2112.03570 reports TPR at low FPR)."""


def auroc(member_M: FloatArray, nonmember_K: FloatArray) -> float:
    """Probability that a member scores above a non-member, ties counting 1/2; in [0, 1]."""
    return float(auroc_D(member_M, nonmember_K, *_once_each(member_M, nonmember_K))[0])


def placements(member_M: FloatArray, nonmember_K: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Share of the other side that each example lies on the right side of, ties counting 1/2.

    The mean of either is the AUROC, and their spreads make its error.

    Args:
        member_M: scores of members, without NaN.
        nonmember_K: likewise.

    Source: DeLong, DeLong and Clarke-Pearson (1988), doi 10.2307/2531595.
    """

    def beaten(one: FloatArray, other: FloatArray) -> FloatArray:
        ordered = np.sort(other)
        below, up_to = (np.searchsorted(ordered, one, side=side) for side in ("left", "right"))
        return np.asarray((below + up_to) / 2 / len(other))

    return beaten(member_M, nonmember_K), beaten(-nonmember_K, -member_M)


def auroc_estimate(
    member_M: FloatArray,
    nonmember_K: FloatArray,
    rng: np.random.Generator,
    draws: int,
    groups: tuple[Groups | None, Groups | None] = (None, None),
) -> Estimate:
    """AUROC with its 95% percentile interval over examples, or groups of them; either side is drawn apart.

    Args:
        member_M: scores of members, at least one, without NaN.
        nonmember_K: scores of non-members, likewise.
        rng: of the draws.
        draws: bootstrap draws.
        groups: of members and of non-members; None where each stands alone.
    """
    drawn = [of or Groups.of_one(len(side)) for of, side in zip(groups, (member_M, nonmember_K), strict=True)]
    counts_D_M, counts_D_K = (
        of.spread(rng.multinomial(of.number, np.full(of.number, 1 / of.number), size=draws).astype(float))
        for of in drawn
    )
    low, high = np.quantile(auroc_D(member_M, nonmember_K, counts_D_M, counts_D_K), [0.025, 0.975])
    n = min(len(member_M), len(nonmember_K))
    return Estimate(auroc(member_M, nonmember_K), float(low), float(high), n)


def auroc_D(
    member_M: FloatArray, nonmember_K: FloatArray, counts_D_M: FloatArray, counts_D_K: FloatArray
) -> FloatArray:
    """AUROC with each problem counted as often as a draw says; ties count 1/2.

    Args:
        member_M: scores of members, without NaN.
        nonmember_K: scores of non-members, without NaN.
        counts_D_M: weight of each member in each draw, not negative.
        counts_D_K: the same for non-members.

    Returns:
        One AUROC a draw; NaN where a side is empty.
    """
    order_K = np.argsort(nonmember_K)
    sorted_K = nonmember_K[order_K]
    below_M = np.searchsorted(sorted_K, member_M, side="left")
    up_to_M = np.searchsorted(sorted_K, member_M, side="right")
    cumulated_D_K1 = _cumulated(counts_D_K[:, order_K])
    beaten_D_M = np.take(cumulated_D_K1, below_M, axis=1)
    beaten_D_M += np.take(cumulated_D_K1, up_to_M, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        pairs_D = counts_D_M.sum(axis=1) * counts_D_K.sum(axis=1)
        return np.asarray(np.einsum("dm,dm->d", counts_D_M, beaten_D_M) / 2 / pairs_D)


def tpr_at_fpr_D(
    member_M: FloatArray,
    nonmember_K: FloatArray,
    counts_D_M: FloatArray,
    counts_D_K: FloatArray,
    fpr: float = FPR,
) -> FloatArray:
    """TPR at a bounded FPR with each problem counted as often as a draw says (2112.03570).

    The threshold is a score: all examples at or above it are taken for members, so tied scores are
    flagged together or not at all, and nothing is interpolated between two thresholds.

    Args:
        member_M: scores of members, without NaN.
        nonmember_K: scores of non-members, without NaN.
        counts_D_M: weight of each member in each draw, not negative.
        counts_D_K: the same for non-members.
        fpr: largest false positive rate allowed, in [0, 1).

    Returns:
        One TPR a draw; NaN where a side is empty.

    Raises:
        ValueError: `fpr` is out of range.
    """
    if not 0 <= fpr < 1:
        raise ValueError(f"the false positive rate must be in [0, 1), got {fpr}")
    if not len(nonmember_K):
        return np.full(len(counts_D_K), np.nan)
    falling_K, falling_M = np.argsort(-nonmember_K), np.argsort(-member_M)
    flagged_D_K = _cumulated(counts_D_K[:, falling_K])[:, 1:]
    total_D = flagged_D_K[:, -1]
    # The first non-member that may not be flagged; members must score strictly above it. The tolerance
    # is for products such as 0.07 * 100, which is a little more than 7 (or less).
    barred_D = np.argmax(flagged_D_K > (fpr * total_D * (1 + 1e-9))[:, None], axis=1)
    above_K = np.searchsorted(-member_M[falling_M], -nonmember_K[falling_K], side="left")
    found_D_M1 = _cumulated(counts_D_M[:, falling_M])
    found_D = np.take_along_axis(found_D_M1, above_K[barred_D][:, None], axis=1)[:, 0]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(total_D > 0, found_D / found_D_M1[:, -1], np.nan))


def _once_each(member_M: FloatArray, nonmember_K: FloatArray) -> tuple[FloatArray, FloatArray]:
    return np.ones((1, len(member_M))), np.ones((1, len(nonmember_K)))


def _cumulated(counts_D_N: FloatArray) -> FloatArray:
    """Sums over the first 0, 1, ..., N problems, (D, N + 1)."""
    sums_D_N1 = np.zeros((counts_D_N.shape[0], counts_D_N.shape[1] + 1))
    np.cumsum(counts_D_N, axis=1, out=sums_D_N1[:, 1:])
    return sums_D_N1
