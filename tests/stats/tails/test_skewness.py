"""Intervals of skewed means against the exact limits of a count, Student's limits, and by simulation."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import chi2, t

from overmem.stats.groups import Groups
from overmem.stats.intervals import critical_value, nll_difference, nll_estimate
from overmem.stats.measures import ratio_measure
from overmem.stats.moments import measure_curves
from overmem.stats.paired import PARTS, difference, holm, influences
from overmem.stats.tails.skewness import interval_of_draws, mean_skewness, skewed_interval, skewed_p


def test_a_single_problem_that_carries_all_is_a_count_of_one():
    # Garwood (1936): an observed count of 1 has the upper limit 5.572.
    low, high = skewed_interval(1.0, 1.0, 1.959964, 1.0)
    assert high == pytest.approx(chi2.ppf(0.975, 4) / 2, abs=0.02)
    assert low == pytest.approx(1 - 1.959964)


@pytest.mark.parametrize("count", [2, 5, 30])
def test_the_limit_of_a_figure_is_at_least_that_of_a_count_as_skewed(count):
    exact = (chi2.ppf(0.975, 2 * (count + 1)) / 2 - count) / math.sqrt(count)
    _, high = skewed_interval(0.0, 1.0, 1.959964, 1 / math.sqrt(count))
    assert exact * 0.99 < high < exact * 1.4


def test_a_skewness_seen_is_taken_for_a_larger_one():
    # 0.2 counts as 0.2 (1 + 0.4): the skewness of a count of 12.76.
    count = 0.28**-2
    exact = (chi2.ppf(0.975, 2 * (count + 1)) / 2 - count) / math.sqrt(count)
    assert skewed_interval(0.0, 1.0, 1.959964, 0.2)[1] == pytest.approx(exact, rel=2e-3)


def test_without_skew_the_interval_is_students_and_p_too():
    assert skewed_interval(2.0, 0.5, 2.0, 0.0) == (1.0, 3.0)
    for n in (5, 50, 400):
        assert skewed_p(-1.1, 0.5, n, 0.0) == pytest.approx(2 * t.cdf(-2.2, n - 1), rel=0.01)


@pytest.mark.parametrize("skewness", [-0.9, -0.2, 0.0, 0.1, 0.4, 1.5])
@pytest.mark.parametrize("n", [30, 400])
def test_p_is_below_one_in_twenty_exactly_where_zero_lies_outside(skewness, n):
    for value in np.linspace(-6, 6, 61):
        low, high = skewed_interval(value, 1.0, critical_value(n), skewness)
        p = skewed_p(value, 1.0, n, skewness)
        if abs(p - 0.05) > 5e-4:
            assert (p < 0.05) == (low > 0 or high < 0), value


def test_the_mirrored_figure_has_the_mirrored_interval():
    low, high = skewed_interval(0.3, 0.2, 2.0, 0.6)
    assert skewed_interval(-0.3, 0.2, 2.0, -0.6) == (-high, -low)
    assert high - 0.3 > 0.3 - low


def test_influences_are_those_of_leaving_each_problem_out():
    rng = np.random.default_rng(0)
    tokens, left, right = rng.integers(5, 50, 60).astype(float), *rng.gamma(1, 20, (2, 60))
    sides = [ratio_measure("nll", "lower", "val", over, tokens) for over in (left, right)]
    whole = (left.sum() - right.sum()) / tokens.sum()
    without = [
        (np.delete(left, i).sum() - np.delete(right, i).sum()) / np.delete(tokens, i).sum() for i in range(60)
    ]
    moved = [influences(side)["val"] for side in sides]
    np.testing.assert_allclose(moved[0] - moved[1], whole - without, atol=1e-12)


def test_parts_of_many_problems_show_the_skewness_of_single_ones():
    values = np.random.default_rng(1).lognormal(0, 1, 4 * PARTS)
    measure = ratio_measure("m", "lower", "val", values, np.ones(values.size))
    moved = influences(measure)["val"]
    se = values.std(ddof=1) / math.sqrt(values.size)
    assert moved.size == PARTS
    by_parts = ((moved - moved.mean()) ** 3).sum() / se**3
    assert by_parts == pytest.approx(mean_skewness(values - values.mean(), se), rel=0.3)


def test_moments_and_bootstrap_agree_on_the_long_side():
    rng = np.random.default_rng(2)
    tokens = rng.integers(20, 80, 100).astype(float)
    nll = np.stack([np.full(100, 3.0), 3.0 + rng.lognormal(0, 1, 100)]) * tokens
    by_moments = nll_difference(measure_curves(np.zeros((2, 100)), nll, tokens), 1, 0)
    sides = [ratio_measure("nll", "lower", "val", over, tokens) for over in nll]
    drawn = difference([sides[1]], [sides[0]], draws=4000).estimate
    assert by_moments.high - by_moments.value > 1.15 * (by_moments.value - by_moments.low)
    assert drawn.high == pytest.approx(by_moments.high, rel=0.02)


def test_a_share_stays_within_its_range():
    fell = np.r_[np.zeros(97), 1.0, 1.0, 1.0]
    sides = [ratio_measure("m", "higher", "val", over, np.ones(100)) for over in (fell, np.ones(100))]
    found = difference([sides[0]], [sides[1]])
    assert -1 <= found.estimate.low < found.estimate.high < 0 and found.p < 0.01


def test_intervals_of_heavy_tails_hold_where_students_do_not():
    rng, truth = np.random.default_rng(3), math.exp(0.5)
    held = student = 0
    for _ in range(400):
        values = rng.lognormal(0, 1, 50)
        found = nll_estimate(measure_curves(np.zeros((1, 50)), values[None], np.ones(50)), 0)
        half = t.ppf(0.975, 49) * values.std(ddof=1) / math.sqrt(50)
        held += found.low <= truth <= found.high
        student += abs(values.mean() - truth) <= half
    assert student / 400 < 0.92 <= held / 400


def test_holm_over_skewed_figures_errs_as_rarely_as_stated():
    # Percentile intervals of the plain bootstrap call one of these eight clear in 20% of runs and more.
    rng, errs = np.random.default_rng(4), 0
    for _ in range(60):
        p = []
        for _ in range(8):
            values = rng.lognormal(0, 1, 80) - math.exp(0.5)
            draws = values[rng.integers(80, size=(1000, 80))].mean(axis=1)
            moved = (values - values.mean()) / 80
            p.append(interval_of_draws(values.mean(), draws, moved, 80, critical_value(80))[2])
        errs += min(holm(p)) <= 0.05
    assert errs <= 10


def test_copies_in_groups_are_as_skewed_as_the_problems_once():
    """Three copies of each problem, in groups: the same interval of a skewed NLL and of a difference."""
    rng = np.random.default_rng(6)
    correct, nll, tokens = np.ones((2, 40)), rng.lognormal(2, 1.5, (2, 40)), np.full(40, 10.0)
    once = measure_curves(correct, nll, tokens)
    copies = [np.repeat(rows, 3, axis=-1) for rows in (correct, nll, tokens)]
    thrice = measure_curves(*copies, Groups.of(np.repeat(np.arange(40), 3).tolist()))
    for single, grouped in (
        (nll_estimate(once, 0), nll_estimate(thrice, 0)),
        (nll_difference(once, 1, 0), nll_difference(thrice, 1, 0)),
    ):
        assert (grouped.low, grouped.high) == pytest.approx((single.low, single.high), rel=1e-9)
    measure = ratio_measure("m", "lower", "val", copies[1][0], copies[2])
    groups = Groups.of(np.repeat(np.arange(40), 3).tolist())
    alone = ratio_measure("m", "lower", "val", nll[0], tokens)
    np.testing.assert_allclose(
        influences(replace(measure, groups={"val": groups}))["val"], influences(alone)["val"], atol=1e-12
    )
