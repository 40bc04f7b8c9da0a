"""Futures of a run against the laws of conditional expectation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from overmem.stats.curves.posterior import FittedPrior, measured_vector
from overmem.stats.curves.predictive import Futures
from overmem.stats.moments import Moments

SIZES = {"pairs": 40, "futures": 400, "draws": 300}


def gaussian_case(n=100):
    """One pair of scales, so that the posterior is one Gaussian, known in closed form."""
    checkpoints = 2
    cov_B_B = np.kron(np.diag([0.01, 0.04]), np.eye(checkpoints) + 0.5)
    # Accuracies and NLLs share their problems, and no two of the errors are alike.
    root_B_B = np.array(
        [[0.05, 0, 0, 0], [0.02, 0.04, 0, 0], [0.01, -0.02, 0.06, 0], [0.02, 0.01, 0.03, 0.04]]
    )
    noise_B_B = root_B_B @ root_B_B.T
    fitted = FittedPrior(
        mean_B=np.array([0.5, 0.5, -1.0, -1.0]),
        accuracy_cov_M_C_C=cov_B_B[None, :2, :2],
        log_nll_cov_M_C_C=cov_B_B[None, 2:, 2:],
        weight_M=np.ones(1),
    )
    moments = Moments(
        n=n,
        accuracy_C=np.array([0.45, 0.6]),
        nll_C=np.exp([-1.2, -0.9]),
        sample_cov_B_B=noise_B_B,
        noise_cov_B_B=noise_B_B,
        influence_B_G=np.zeros((2 * checkpoints, n)),
    )
    gain = cov_B_B @ np.linalg.inv(cov_B_B + noise_B_B)
    mean_B = fitted.mean_B + gain @ (measured_vector(moments.accuracy_C, moments.nll_C) - fitted.mean_B)
    return fitted, moments, mean_B, cov_B_B - gain @ cov_B_B


def futures_of(fitted, moments, multiple, seed=1):
    imagined = Futures.of(fitted, moments, np.random.default_rng(seed), **SIZES)
    found = list(imagined.with_problems(multiple))
    assert len(found) == SIZES["futures"]
    return np.stack([np.concatenate([f.accuracy_D_C, np.log(f.nll_D_C)], axis=1) for f in found])


def test_futures_average_to_what_is_known_now():
    fitted, moments, mean_B, cov_B_B = gaussian_case()
    values_F_D_B = futures_of(fitted, moments, multiple=3.0)
    # Total expectation and total variance: knowing more can move the mean, but not on average.
    pooled = values_F_D_B.reshape(-1, 4)
    error_B = np.sqrt(np.diag(cov_B_B) / SIZES["futures"])
    assert (np.abs(pooled.mean(axis=0) - mean_B) < 4 * error_B).all()
    np.testing.assert_allclose(np.cov(pooled.T), cov_B_B, atol=0.2 * np.diag(cov_B_B).max())


def test_a_future_is_as_sure_as_all_problems_make_it():
    fitted, moments, _, _ = gaussian_case()
    cov_B_B, noise_B_B = fitted.covariances([0])[0], moments.noise_cov_B_B / 3
    left_B_B = cov_B_B - cov_B_B @ np.linalg.inv(cov_B_B + noise_B_B) @ cov_B_B
    within = np.mean(
        [np.cov(values_D_B.T) for values_D_B in futures_of(fitted, moments, multiple=3.0)], axis=0
    )
    np.testing.assert_allclose(np.diag(within), np.diag(left_B_B), rtol=0.25)


def two_pairs():
    """A curve 1.5 standard deviations from the mean of a narrow prior, well inside a wide one."""
    noise_B_B = 0.01 * np.eye(4)
    cov_M_C_C = np.stack([0.0001 * np.eye(2), np.eye(2)])
    measured_B = np.array([0.65, 0.65, -0.85, -0.85])
    mean_B = np.array([0.5, 0.5, -1.0, -1.0])
    fitted = FittedPrior(
        mean_B=mean_B,
        accuracy_cov_M_C_C=cov_M_C_C,
        log_nll_cov_M_C_C=cov_M_C_C,
        weight_M=np.array([0.5, 0.5]),
    )
    density_M = [
        multivariate_normal(mean_B, cov + noise_B_B).pdf(measured_B) for cov in fitted.covariances([0, 1])
    ]
    prior_M = np.array([0.5 / density_M[0], 0.5 / density_M[1]])
    moments = Moments(
        n=100,
        accuracy_C=measured_B[:2],
        nll_C=np.exp(measured_B[2:]),
        sample_cov_B_B=noise_B_B,
        noise_cov_B_B=noise_B_B,
        influence_B_G=np.zeros((4, 100)),
    )
    return fitted, moments, prior_M


def test_each_future_weighs_the_pairs_by_all_its_rows():
    """The narrow prior holds the curve at its mean: Bayes by hand, given the mean of all rows."""
    fitted, moments, prior_M = two_pairs()
    imagined = Futures.of(fitted, moments, np.random.default_rng(0), pairs=2, futures=50, draws=400)
    measured_B = measured_vector(moments.accuracy_C, moments.nll_C)
    cov_M_B_B = fitted.covariances([0, 1])
    for multiple in (1.5, 4.0):
        root_B_B = np.linalg.cholesky(moments.noise_cov_B_B)
        rest_F_B = imagined.true_F_B + imagined.rest_F_B / np.sqrt(multiple - 1)
        all_F_B = (measured_B + (multiple - 1) * (fitted.mean_B + rest_F_B @ root_B_B.T)) / multiple
        noise_B_B = moments.noise_cov_B_B / multiple
        weight_F_M = prior_M * np.stack(
            [multivariate_normal(fitted.mean_B, cov + noise_B_B).pdf(all_F_B) for cov in cov_M_B_B], -1
        )
        narrow_F = weight_F_M[:, 0] / weight_F_M.sum(axis=1)
        gain_M = [cov[0, 0] / (cov[0, 0] + noise_B_B[0, 0]) for cov in cov_M_B_B]
        share_F = narrow_F * gain_M[0] + (1 - narrow_F) * gain_M[1]
        expected_F_B = fitted.mean_B + share_F[:, None] * (all_F_B - fitted.mean_B)
        found = [
            np.hstack([f.accuracy_D_C, np.log(f.nll_D_C)]).mean(axis=0)
            for f in imagined.with_problems(multiple)
        ]
        np.testing.assert_allclose(found, expected_F_B, atol=0.02)
        assert 0.02 < narrow_F.mean() < 0.98


def test_nothing_left_leaves_nothing_to_imagine():
    fitted, moments, _, _ = gaussian_case()
    imagined = Futures.of(fitted, moments, np.random.default_rng(0), **SIZES)
    with pytest.raises(ValueError, match="nothing to imagine"):
        next(imagined.with_problems(1.0))
