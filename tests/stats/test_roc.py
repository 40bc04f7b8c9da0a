"""AUROC and TPR at a fixed FPR against sklearn, ties and bootstrap draws included."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score, roc_curve

from overmem.stats.groups import Groups
from overmem.stats.roc import FPR, auroc, auroc_D, auroc_estimate, placements, tpr_at_fpr_D


def tpr_at_fpr(member_M, nonmember_K, fpr=FPR):
    """With every problem counted once."""
    counts = np.ones((1, len(member_M))), np.ones((1, len(nonmember_K)))
    return tpr_at_fpr_D(member_M, nonmember_K, *counts, fpr=fpr)[0]


SHAPES = [(1, 1), (3, 2), (30, 40), (150, 120)]


def draw_scores(rng, size, *, coarse):
    """Normal scores; rounded to quarters they are full of ties."""
    scores = rng.normal(size=size)
    return np.round(4 * scores) / 4 if coarse else scores


def draw_counts(rng, draws, size):
    return rng.multinomial(size, np.full(size, 1 / size), size=draws).astype(float)


def sklearn_roc(member_M, nonmember_K, weights):
    labels = np.repeat([1, 0], [len(member_M), len(nonmember_K)])
    return labels, np.concatenate([member_M, nonmember_K]), np.concatenate(weights)


@pytest.mark.parametrize(("members", "nonmembers"), SHAPES)
@pytest.mark.parametrize("coarse", [False, True])
def test_auroc_is_sklearns_in_every_bootstrap_draw(members, nonmembers, coarse):
    rng = np.random.default_rng(members)
    member_M = draw_scores(rng, members, coarse=coarse) + 0.25
    nonmember_K = draw_scores(rng, nonmembers, coarse=coarse)
    counts_D_M, counts_D_K = draw_counts(rng, 25, members), draw_counts(rng, 25, nonmembers)
    ours_D = auroc_D(member_M, nonmember_K, counts_D_M, counts_D_K)
    for ours, *weights in zip(ours_D, counts_D_M, counts_D_K, strict=True):
        labels, scores, weight = sklearn_roc(member_M, nonmember_K, weights)
        assert ours == pytest.approx(roc_auc_score(labels, scores, sample_weight=weight))


def test_placements_are_the_share_of_pairs_and_groups_are_drawn_whole():
    rng = np.random.default_rng(7)
    one, other = (draw_scores(rng, n, coarse=True) for n in (30, 40))
    pairs = (one[:, None] > other) + 0.5 * (one[:, None] == other)
    for ours, by_hand in zip(placements(one, other), (pairs.mean(axis=1), pairs.mean(axis=0)), strict=True):
        np.testing.assert_allclose(ours, by_hand)
    copies = [np.repeat(side, 3) for side in (one, other)]
    groups = [Groups.of(np.repeat(np.arange(side.size), 3).tolist()) for side in (one, other)]
    once, grouped, alone = (
        auroc_estimate(*sides, np.random.default_rng(0), 500, of)
        for sides, of in (((one, other), (None, None)), (copies, tuple(groups)), (copies, (None, None)))
    )
    assert (grouped.low, grouped.high) == pytest.approx((once.low, once.high))
    assert alone.high - alone.low < 0.8 * (once.high - once.low)


@pytest.mark.parametrize(("members", "nonmembers"), SHAPES)
@pytest.mark.parametrize("coarse", [False, True])
@pytest.mark.parametrize("fpr", [0.0, 0.01, 0.07, 0.3])
def test_tpr_is_the_highest_roc_point_of_sklearn_within_the_fpr(members, nonmembers, coarse, fpr):
    rng = np.random.default_rng(members)
    member_M = draw_scores(rng, members, coarse=coarse) + 0.25
    nonmember_K = draw_scores(rng, nonmembers, coarse=coarse)
    counts_D_M, counts_D_K = draw_counts(rng, 25, members), draw_counts(rng, 25, nonmembers)
    ours_D = tpr_at_fpr_D(member_M, nonmember_K, counts_D_M, counts_D_K, fpr=fpr)
    for ours, *weights in zip(ours_D, counts_D_M, counts_D_K, strict=True):
        labels, scores, weight = sklearn_roc(member_M, nonmember_K, weights)
        fprs, tprs, _ = roc_curve(labels, scores, sample_weight=weight, drop_intermediate=False)
        assert ours == pytest.approx(tprs[fprs <= fpr + 1e-12].max())


def test_one_percent_of_the_nonmembers_is_allowed_and_not_one_more():
    nonmember_K = np.arange(200.0)
    member_M = np.array([197.5, 198.0, 198.5, 0.0])  # two non-members (198, 199) may be flagged
    assert tpr_at_fpr(member_M, nonmember_K) == 0.75
    assert tpr_at_fpr(member_M, nonmember_K, fpr=0.004) == 0.0


def test_scores_tied_across_the_sets_are_flagged_together_or_not_at_all():
    assert tpr_at_fpr(np.ones(50), np.ones(500)) == 0.0
    assert auroc(np.ones(50), np.ones(500)) == 0.5


def test_infinite_scores_are_the_least_likely_members():
    member_M, nonmember_K = np.array([-np.inf, 1.0]), np.array([-np.inf, 0.0])
    assert auroc(member_M, nonmember_K) == pytest.approx((0.5 + 0 + 1 + 1) / 4)
    assert tpr_at_fpr(member_M, nonmember_K, fpr=0.0) == 0.5


@pytest.mark.parametrize("statistic", [auroc_D, tpr_at_fpr_D])
def test_a_side_without_problems_is_undefined(statistic):
    some, none, empty = np.ones((3, 4)), np.zeros((3, 4)), np.ones((3, 0))
    scores, no_scores = np.arange(4.0), np.array([])
    for *pair, counts, other in [
        (scores, scores, some, none),
        (scores, scores, none, some),
        (scores, no_scores, some, empty),
        (no_scores, scores, empty, some),
    ]:
        assert np.isnan(statistic(*pair, counts, other)).all()


def test_a_false_positive_rate_out_of_range_is_refused():
    with pytest.raises(ValueError, match=r"\[0, 1\), got 1"):
        tpr_at_fpr(np.ones(2), np.ones(2), fpr=1)


@pytest.mark.parametrize("seed", range(5))
def test_properties_of_both_figures(seed):
    rng = np.random.default_rng(seed)
    member_M, nonmember_K = draw_scores(rng, 60, coarse=True) + 0.5, draw_scores(rng, 110, coarse=True)
    assert auroc(nonmember_K, member_M) == pytest.approx(1 - auroc(member_M, nonmember_K))
    for plain, drawn in ((auroc, auroc_D), (tpr_at_fpr, tpr_at_fpr_D)):
        value = plain(member_M, nonmember_K)
        assert drawn(member_M, nonmember_K, np.ones((2, 60)), np.ones((2, 110))) == pytest.approx(value)
        doubled = plain(np.repeat(member_M, 2), np.repeat(nonmember_K, 2))
        assert doubled == pytest.approx(value)
        assert plain(rng.permutation(member_M), rng.permutation(nonmember_K)) == pytest.approx(value)
        assert plain(np.exp(member_M), np.exp(nonmember_K)) == pytest.approx(value)


def test_a_draw_is_the_figure_of_the_drawn_problems():
    rng = np.random.default_rng(3)
    member_M, nonmember_K = rng.normal(size=120), rng.normal(size=130)
    counts_D_M, counts_D_K = draw_counts(rng, 1, 120), draw_counts(rng, 1, 130)
    drawn = np.repeat(member_M, counts_D_M[0].astype(int)), np.repeat(nonmember_K, counts_D_K[0].astype(int))
    assert auroc_D(member_M, nonmember_K, counts_D_M, counts_D_K)[0] == pytest.approx(auroc(*drawn))
    assert tpr_at_fpr_D(member_M, nonmember_K, counts_D_M, counts_D_K)[0] == pytest.approx(tpr_at_fpr(*drawn))
