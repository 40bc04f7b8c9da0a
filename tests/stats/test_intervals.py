"""Intervals of shares and AUROCs against scipy, and by their own definition."""

import numpy as np
import pytest
from scipy.stats import beta

from overmem.stats.intervals import auroc_interval, clopper_pearson


@pytest.mark.parametrize(
    ("successes", "n"), [(0, 1), (1, 1), (0, 10), (3, 10), (10, 10), (1, 400), (399, 400), (120, 3000)]
)
def test_clopper_pearson_is_a_pair_of_beta_quantiles(successes, n):
    low = 0.0 if successes == 0 else beta.ppf(0.025, successes, n - successes + 1)
    high = 1.0 if successes == n else beta.ppf(0.975, successes + 1, n - successes)
    assert clopper_pearson(successes, n) == pytest.approx((low, high), abs=1e-9)


@pytest.mark.parametrize("value", [0.0, 0.31, 0.5, 0.8, 0.97, 1.0])
@pytest.mark.parametrize(("members", "nonmembers"), [(20, 20), (100, 300)])
def test_the_ends_of_an_auroc_are_1_96_of_their_own_errors_away(value, members, nonmembers):
    low, high = auroc_interval(value, members, nonmembers)
    assert 0 <= low <= value <= high <= 1 and low < high
    for end in {low, high} - {0.0, 1.0}:
        # Hanley and McNeil (1982), with both sizes at their mean (Newcombe 2006, method 5).
        q1, q2 = end / (2 - end), 2 * end**2 / (1 + end)
        more = (members + nonmembers) / 2 - 1
        variance = (end * (1 - end) + more * (q1 - end**2) + more * (q2 - end**2)) / (members * nonmembers)
        assert abs(value - end) == pytest.approx(1.959964 * np.sqrt(variance), rel=1e-5)


def test_a_wider_interval_and_the_mirrored_one():
    low, high = auroc_interval(0.8, 100, 100)
    wide = auroc_interval(0.8, 100, 100, widen=1.1)
    assert wide[0] < low and high < wide[1]
    assert auroc_interval(0.2, 100, 100) == pytest.approx((1 - high, 1 - low))
