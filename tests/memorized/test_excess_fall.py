"""The excess fall of training rows by hand, and the share that the highest carry."""

import numpy as np
import pytest

from overmem.memorized.excess_fall import excess_fall, learning_checkpoints, n_top, top_share

VAL = np.array([[2.0, 2.2], [1.0, 1.2], [1.3, 1.3], [1.5, 1.7]])


def test_what_is_averaged_is_what_comes_before_val_is_lowest():
    assert learning_checkpoints(VAL, 3) == [0, 1]
    assert learning_checkpoints(VAL, 1) == [0]  # the lowest itself is what is asked about
    assert learning_checkpoints(VAL[:1].repeat(3, axis=0), 2) == [0]
    assert learning_checkpoints(VAL[::-1], 3) == [0, 1, 2]


def test_excess_fall_by_hand():
    rows = np.array([[2.0, 4.0], [1.0, 3.0], [0.5, 1.0], [0.1, 0.2]])
    # Means 1.5 and 3.5 less the ends; val went from a mean of 1.6 to one of 1.6.
    assert excess_fall(rows, VAL, 3) == pytest.approx([1.4, 3.3])


def test_a_row_that_goes_as_val_goes_has_no_excess():
    rows = VAL.mean(axis=1, keepdims=True)
    for at in (1, 2, 3):
        assert excess_fall(rows, VAL, at) == pytest.approx([0.0])
        assert excess_fall(rows + 5.0, VAL, at) == pytest.approx([0.0])


def test_the_highest_tenth_carries_its_sum():
    excess = np.concatenate([np.full(10, 9.0), np.full(90, 1.0), np.full(3, -5.0)])
    assert n_top(103, 0.1) == 11 and n_top(5, 0.1) == 1 and n_top(100, 0.1) == 10
    val = np.linspace(-0.1, 0.1, 50)
    found = top_share(excess, val)
    assert found.value == pytest.approx(91 / 180) and found.n == 103
    assert found.low < found.value < found.high
    assert top_share(excess, val, seed=0) == found


def test_of_noise_alone_no_share_is_told():
    rng = np.random.default_rng(0)
    for _ in range(5):
        nothing = top_share(rng.normal(size=100), rng.normal(size=100))
        assert np.isnan(nothing.value) and "no further" in nothing.reason
    assert np.isfinite(top_share(rng.normal(1.0, size=100), rng.normal(size=100)).value)
