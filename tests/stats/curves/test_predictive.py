"""Futures of a run against the laws of conditional expectation."""

from __future__ import annotations

import numpy as np
import pytest

from overmem.stats.curves.gaussian_process import log_evidence
from overmem.stats.curves.posterior import FittedPrior, draw_curves, measured_vector
from overmem.stats.curves.predictive import FUTURES, _evidence_of_many, draw_futures
from overmem.stats.moments import Moments


def gaussian_case(n=100):
    """One pair of scales, so that the posterior is one Gaussian, known in closed form."""
    checkpoints = 2
    cov_B_B = np.kron(np.diag([0.01, 0.04]), np.eye(checkpoints) + 0.5)
    noise_B_B = np.kron(np.diag([0.002, 0.003]), np.eye(checkpoints) + 0.3)
    fitted = FittedPrior(
        mean_B=np.array([0.5, 0.5, -1.0, -1.0]), cov_M_B_B=cov_B_B[None], weight_M=np.ones(1)
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


def futures_of(fitted, moments, n_all):
    curves = draw_curves(fitted, moments, 4000, np.random.default_rng(0))
    found = list(draw_futures(fitted, moments, curves, n_all, np.random.default_rng(1)))
    assert len(found) == FUTURES
    return np.stack([np.concatenate([f.accuracy_D_C, np.log(f.nll_D_C)], axis=1) for f in found])


def test_futures_average_to_what_is_known_now():
    fitted, moments, mean_B, cov_B_B = gaussian_case()
    values_F_D_B = futures_of(fitted, moments, n_all=300)
    # Total expectation and total variance: knowing more can move the mean, but not on average.
    pooled = values_F_D_B.reshape(-1, 4)
    error_B = np.sqrt(np.diag(cov_B_B) / FUTURES)
    assert (np.abs(pooled.mean(axis=0) - mean_B) < 4 * error_B).all()
    np.testing.assert_allclose(np.cov(pooled.T), cov_B_B, atol=0.2 * np.diag(cov_B_B).max())


def test_a_future_is_as_sure_as_all_problems_make_it():
    fitted, moments, _, _ = gaussian_case()
    cov_B_B, noise_B_B = fitted.cov_M_B_B[0], moments.noise_cov_B_B / 3
    left_B_B = cov_B_B - cov_B_B @ np.linalg.inv(cov_B_B + noise_B_B) @ cov_B_B
    within = np.mean([np.cov(values_D_B.T) for values_D_B in futures_of(fitted, moments, n_all=300)], axis=0)
    np.testing.assert_allclose(np.diag(within), np.diag(left_B_B), rtol=0.25)


def test_the_evidence_of_many_is_that_of_each():
    rng = np.random.default_rng(0)
    roots = rng.normal(size=(3, 4, 4))
    cov = roots @ roots.swapaxes(1, 2) + np.eye(4)
    residuals = rng.normal(size=(5, 4))
    each = [log_evidence(cov, residual) for residual in residuals]
    np.testing.assert_allclose(_evidence_of_many(cov, residuals), each)


def test_nothing_left_leaves_nothing_to_imagine():
    fitted, moments, _, _ = gaussian_case()
    curves = draw_curves(fitted, moments, 100, np.random.default_rng(0))
    with pytest.raises(ValueError, match="nothing to imagine"):
        next(draw_futures(fitted, moments, curves, 100, np.random.default_rng(0)))
