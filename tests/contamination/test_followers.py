"""Val problems that move with train are told from the rest, and a clean run flags none."""

import numpy as np
import pytest

from overmem.contamination.followers import FEWEST, _density, find_followers, nll_change


def drawn(seed, n, leaked=0, apart=5.0, tail=None):
    """Changes of n clean val problems, then of leaked ones, and of train."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal(n) if tail is None else rng.standard_t(tail, n)
    seen = rng.normal(-apart, 1.0, leaked + 400)
    return np.r_[0.3 + noise, seen[:leaked]], seen[leaked:]


def test_change_is_the_difference_of_logarithms_and_zero_nll_is_no_infinity():
    found = nll_change(np.array([1.0, 0.5, 0.0]), np.array([0.5, 0.5, 0.0]))
    assert found == pytest.approx([-np.log(2), 0.0, 0.0])


def test_the_density_is_students():
    # t with 4 degrees of freedom at 0 is 3/8; at 1, (3/8) * (5/4) ** -2.5.
    found = _density(np.array([2.0, 5.0]), 2.0, 3.0)
    assert found == pytest.approx([3 / 8 / 3, 3 / 8 * 1.25**-2.5 / 3])


@pytest.mark.parametrize("tail", [None, 5])
def test_a_clean_run_flags_nothing(tail):
    flagged = [
        int((found.probability_N >= 0.9).sum())
        for seed in range(60)
        if (found := find_followers(*drawn(seed, 300, tail=tail))) is not None
    ]
    assert len(flagged) > 50 and sum(flagged) <= 2


def test_planted_problems_are_found_and_few_others():
    hits, false = [], []
    for seed in range(30):
        found = find_followers(*drawn(seed, 300, leaked=30))
        hits.append((found.probability_N[300:] >= 0.5).mean())
        false.append((found.probability_N[:300] >= 0.5).mean())
    assert np.mean(hits) > 0.9 and np.mean(false) < 0.01


def test_sets_that_do_not_part_and_small_ones_say_nothing():
    assert find_followers(*drawn(0, 300, apart=1.0)) is None
    assert find_followers(drawn(0, FEWEST - 1)[0], drawn(0, 300)[1]) is None


def test_probabilities_do_not_depend_on_the_order():
    val, train = drawn(3, 200, leaked=20)
    order = np.random.default_rng(0).permutation(val.size)
    one, other = find_followers(val, train), find_followers(val[order], train)
    assert one.probability_N[order] == pytest.approx(other.probability_N)
