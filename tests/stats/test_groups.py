"""Groups against clustered covariances written out by hand, and against the same rows without copies."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overmem.stats.groups import Groups
from overmem.stats.intervals import accuracy_difference, accuracy_estimate, nll_difference, nll_estimate
from overmem.stats.moments import measure_curves, measure_seeds
from tests.helpers.curves import make_rows

LABELS = st.lists(st.integers(0, 9), min_size=2, max_size=60)


def figures(found, c=1):
    """Every interval that is made of moments."""
    return [
        accuracy_estimate(found, c),
        nll_estimate(found, c),
        accuracy_difference(found, c, 0),
        nll_difference(found, c, 0),
    ]


@settings(max_examples=40, deadline=None)
@given(LABELS)
def test_groups_are_numbered_as_they_appear_and_sums_are_those_of_a_loop(labels):
    groups = Groups.of(labels)
    names = list(dict.fromkeys(labels))
    values = np.random.default_rng(0).standard_normal((3, len(labels)))
    by_hand = np.stack([values[:, np.array(labels) == name].sum(axis=1) for name in names], axis=1)
    np.testing.assert_allclose(groups.sums(values), by_hand, atol=1e-12)
    assert [names[i] for i in groups.index_N] == labels
    assert groups.sizes_G.tolist() == [labels.count(name) for name in names]
    counts = np.arange(2.0 * len(names)).reshape(2, -1)
    assert (groups.spread(counts)[:, 0] == counts[:, 0]).all()
    assert groups.spread(counts).shape == (2, len(labels))


def test_effective_number_is_that_of_equal_groups_and_little_where_one_holds_most():
    assert Groups.of("aabbcc").effective == 3
    assert Groups.of_one(7).effective == 7
    assert Groups.of("a" * 90 + "bcdefghijk").effective == 1  # 100^2 / (90^2 + 10)


def test_a_clustered_standard_error_is_that_of_the_formula():
    correct = np.array([[1.0, 1.0, 0.0, 1.0, 0.0, 0.0]])
    tokens = np.full(6, 10.0)
    found = measure_curves(correct, 3 + correct, tokens, Groups.of("aabbcc"))
    # Sums of distances from the mean, 0.5, by group: 1, 0, -1. G/(G-1) (1 + 0 + 1) / n^2.
    assert found.sample_cov_B_B[0, 0] == pytest.approx(3 / 2 * 2 / 36)
    assert (found.n, found.units) == (6, 3)


@pytest.mark.parametrize("checkpoints", [2, 5])
def test_groups_of_one_change_nothing_at_all(checkpoints):
    rows = make_rows(n=50, checkpoints=checkpoints)
    plain, grouped = measure_curves(*rows), measure_curves(*rows, Groups.of(range(100, 150)))
    for name in ("accuracy_C", "nll_C", "sample_cov_B_B", "noise_cov_B_B"):
        assert (getattr(plain, name) == getattr(grouped, name)).all()
    assert figures(plain) == figures(grouped) and (plain.n, plain.units) == (grouped.n, grouped.units)


@settings(max_examples=15, deadline=None)
@given(st.integers(2, 6), st.integers(20, 60), st.integers(0, 99))
def test_copies_of_every_row_in_groups_say_what_the_rows_say_once(copies, n, seed):
    correct, nll, tokens = make_rows(n=n, checkpoints=4)
    order = np.random.default_rng(seed).permutation(np.repeat(np.arange(n), copies))
    once = measure_curves(correct, nll, tokens)
    often = measure_curves(correct[:, order], nll[:, order], tokens[order], Groups.of(order.tolist()))
    for a, b in zip(figures(once), figures(often), strict=True):
        np.testing.assert_allclose([a.value, a.low, a.high], [b.value, b.low, b.high], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(once.noise_cov_B_B, often.noise_cov_B_B, rtol=1e-6, atol=1e-12)
    apart = measure_curves(correct[:, order], nll[:, order], tokens[order])
    assert apart.sample_cov_B_B[0, 0] < 0.75 * often.sample_cov_B_B[0, 0]


def test_the_order_of_problems_changes_no_bit_of_grouped_figures():
    correct, nll, tokens = make_rows(n=60, checkpoints=4)
    labels = np.arange(60) // 3
    turned = np.random.default_rng(1).permutation(60)
    here = measure_curves(correct, nll, tokens, Groups.of(labels.tolist()))
    there = measure_curves(
        correct[:, turned], nll[:, turned], tokens[turned], Groups.of(labels[turned].tolist())
    )
    assert (here.noise_cov_B_B == there.noise_cov_B_B).all()
    assert (here.sample_cov_B_B == there.sample_cov_B_B).all()


def test_seeds_of_grouped_problems_keep_the_groups():
    correct, nll, tokens = make_rows(n=60, checkpoints=4)
    groups = Groups.of((np.arange(60) // 3).tolist())
    found = measure_seeds(np.stack([correct] * 2), np.stack([nll] * 2), tokens, groups)
    np.testing.assert_allclose(
        found.sample_cov_B_B, measure_curves(correct, nll, tokens, groups).sample_cov_B_B, atol=1e-18
    )


def test_one_group_has_no_interval():
    correct, nll, tokens = make_rows(n=40, checkpoints=3)
    for found in figures(measure_curves(correct, nll, tokens, Groups.of([0] * 40))):
        assert np.isnan(found.low) and found.reason == "one group of problems has no standard error"


def test_groups_tell_one_mean_as_exactly_as_their_problems_are_alike():
    rng = np.random.default_rng(4)
    groups = Groups.of(np.repeat(np.arange(200), 5).tolist())
    for rho, expected in ((0.0, 1000), (0.5, 1000 / 3), (1.0, 200)):
        found = [
            groups.effective_for(
                np.sqrt(rho) * np.repeat(rng.standard_normal(200), 5)
                + np.sqrt(1 - rho) * rng.standard_normal(1000)
            )
            for _ in range(40)
        ]
        # The design effect 1 + (k - 1) rho of Kish; at either end the estimate is cut off.
        assert np.mean(found) == pytest.approx(expected, rel=0.08)
        assert min(found) >= 200 and max(found) <= 1000
    assert groups.effective_for(np.zeros(1000)) == groups.effective == 200
    assert Groups.of_one(7).effective_for(np.arange(7.0)) == 7
