"""Chances of being settled: against brute force, and where the answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from overmem.rule import Rule
from overmem.stats.curves.posterior import FittedPrior, fit_prior, measured_vector
from overmem.stats.curves.settling import _Futures, _reached, problems_to_settle
from overmem.stats.moments import measure_curves
from tests.helpers.curves import make_rows

STEPS = np.array([1, 2, 3])


def fitted_rows(**rows):
    found = measure_curves(*make_rows(checkpoints=3, **rows))
    return fit_prior(found, STEPS), found


def test_futures_have_the_moments_of_bayes_theorem():
    """The mean over futures of what is believed is what is believed today, however many rows come."""
    fitted, found = fitted_rows(n=150)
    one = FittedPrior(mean_B=fitted.mean_B, cov_M_B_B=fitted.cov_M_B_B[:1], weight_M=np.ones(1))
    cov, noise = one.cov_M_B_B[0], found.noise_cov_B_B
    gain = cov @ np.linalg.inv(cov + noise)
    measured = measured_vector(found.accuracy_C, found.nll_C) - fitted.mean_B
    sd = np.sqrt(np.diag(cov - gain @ cov))
    imagined = [_Futures.of(one, found, np.random.default_rng(seed)) for seed in range(20)]
    for multiple in (1.5, 100.0):
        draws = [futures.draws(multiple) for futures in imagined]
        values = np.concatenate([np.hstack([d.accuracy_D_C, np.log(d.nll_D_C)]) for d in draws])
        error = (values.mean(0) - fitted.mean_B - gain @ measured) / sd
        assert np.abs(error).max() < 0.1
        np.testing.assert_allclose(values.std(0), sd, rtol=0.1)


def test_more_problems_settle_more_and_what_is_not_asked_is_left_out():
    fitted, found = fitted_rows(
        n=100, accuracy=np.array([0.5, 0.7, 0.6]), nll=np.array([0.4, 0.34, 0.34]), seed=3
    )
    first, _, last = problems_to_settle(fitted, found, STEPS, np.array([False, True, True]), Rule(), least=30)
    assert first is None and last is not None
    assert last.even is not None and last.likely is not None
    assert 100 < last.even <= last.likely and last.chance_at_most >= 0.8


@pytest.mark.parametrize(
    ("chances", "wanted", "expected"),
    [([0.1, 0.3, 0.7], 0.5, 150), ([0.6, 0.7, 0.7], 0.5, 50), ([0.1, 0.2, 0.3], 0.5, None)],
)
def test_the_number_lies_between_those_that_were_tried(chances, wanted, expected):
    """By hand: halfway in the logarithm between 100 and 200 is 141.4, to two digits upwards 150."""
    assert _reached([50, 100, 200], np.array(chances), wanted) == expected
