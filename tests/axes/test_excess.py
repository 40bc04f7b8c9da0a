import math

import numpy as np
import pytest

from overmem.axes.excess import split_excess, temperature_gap


def test_four_cells_by_hand():
    # Excess of each token: 1, 2, -1, 4 nats; 4 tokens.
    split = split_excess(
        np.array([-1.0, -3.0, -1.0, -5.0]),
        np.array([True, False, True, False]),
        np.array([0.0, -1.0, -2.0, -1.0]),
        np.array([True, True, False, False]),
    )
    assert (split.both, split.only_lowest, split.only_last, split.neither) == (0.25, 0.5, -0.25, 1.0)
    assert split.total == 1.5
    assert split.own_path_share == pytest.approx(1.0)


def test_cells_sum_to_the_difference_of_nll():
    rng = np.random.default_rng(0)
    a, b = -rng.exponential(size=200), -rng.exponential(size=200)
    split = split_excess(a, rng.random(200) < 0.5, b, rng.random(200) < 0.5)
    assert split.total == pytest.approx(b.mean() - a.mean())


def test_no_excess_has_no_share():
    same = np.array([-1.0, -2.0])
    split = split_excess(same, np.array([True, False]), same, np.array([True, False]))
    assert math.isnan(split.own_path_share)


def test_temperature_is_read_on_the_half_that_did_not_choose_it():
    # Even problems want column 1, odd problems want column 2: neither gains on the other half.
    nll = np.array([[2.0, 1.0, 4.0], [2.0, 4.0, 1.0]] * 10)
    (gap,) = temperature_gap(nll, np.ones(20), base_index=0)
    assert gap == pytest.approx(-2.0)


def test_temperature_gap_of_an_overconfident_model():
    nll = np.tile([2.0, 1.5], (10, 1))
    assert temperature_gap(nll, np.full(10, 5.0), base_index=0) == pytest.approx(0.1)
