"""Means and covariances against formulas and peers not written in the package.

Covers: overmem.stats.arrays
"""

from __future__ import annotations

import numpy as np
import pytest

from overmem.stats import moments
from overmem.stats.moments import measure_curves, measure_seeds
from tests.helpers.curves import make_rows, planted


def test_one_seed_is_a_run_and_seeds_that_differ_add_their_variance():
    _, correct, nll, tokens = planted(6, spread=0.05)
    alone = measure_seeds(correct[:1], nll[:1], tokens)
    assert (alone.sample_cov_B_B == measure_curves(correct[0], nll[0], tokens).sample_cov_B_B).all()
    both = measure_seeds(correct, nll, tokens)
    log_nll = np.log(nll.sum(axis=2) / tokens.sum())
    mean_rows = measure_curves(correct.mean(axis=0), nll.mean(axis=0), tokens)
    added = both.sample_cov_B_B - mean_rows.sample_cov_B_B
    assert added[5, 5] == pytest.approx(log_nll[:, 2].var(ddof=1) / 6)
    assert (np.linalg.eigvalsh(both.noise_cov_B_B) > 0).all()


def test_means_are_the_mean_of_correct_and_the_ratio_of_sums():
    correct = np.array([[1.0, 0.0, 0.5], [1.0, 1.0, 0.0]])
    nll = np.array([[2.0, 3.0, 7.0], [1.0, 1.0, 4.0]])
    found = moments.measure_curves(correct, nll, np.array([10.0, 20.0, 30.0]))
    np.testing.assert_allclose(found.accuracy_C, [0.5, 2 / 3])
    np.testing.assert_allclose(found.nll_C, [12 / 60, 6 / 60])  # not the mean of ratios, 0.195


def test_sample_covariance_of_the_ratio_agrees_with_the_jackknife():
    correct, nll, tokens = make_rows(n=400)
    found = moments.measure_curves(correct, nll, tokens)
    keep = ~np.eye(400, dtype=bool)
    left_out = np.array(
        [np.concatenate([correct[:, k].mean(1), np.log(nll[:, k].sum(1) / tokens[k].sum())]) for k in keep]
    )
    deviation = left_out - left_out.mean(axis=0)
    jackknife = deviation.T @ deviation * 399 / 400
    np.testing.assert_allclose(found.sample_cov_B_B, jackknife, rtol=0.05, atol=2e-6)


def test_noise_covariance_is_well_conditioned_when_checkpoints_outnumber_problems():
    correct, nll, tokens = make_rows(n=30, checkpoints=40)
    found = moments.measure_curves(correct, nll, tokens)
    assert np.linalg.matrix_rank(found.sample_cov_B_B) < 80
    assert np.linalg.eigvalsh(found.noise_cov_B_B).min() > 1e-6
    # Regularising keeps what the rows say about a paired neighbour difference.
    cov = found.noise_cov_B_B
    pairs = [cov[c, c] + cov[c + 1, c + 1] - 2 * cov[c, c + 1] for c in range(39)]
    plain = [np.var(correct[c] - correct[c + 1], ddof=1) / 30 for c in range(39)]
    assert np.mean(pairs) == pytest.approx(np.mean(plain), rel=0.35)


def test_no_variance_is_not_certainty():
    correct, nll, tokens = np.ones((2, 50)), np.full((2, 50), 5.0), np.full(50, 10.0)
    found = moments.measure_curves(correct, nll, tokens)
    assert found.sample_cov_B_B.max() == 0.0
    assert np.sqrt(found.noise_cov_B_B[0, 0]) == pytest.approx(0.5 / 50)


def test_certainty_of_every_token_stays_finite():
    found = moments.measure_curves(np.ones((2, 50)), np.zeros((2, 50)), np.arange(1.0, 51.0))
    assert np.isfinite(np.log(found.nll_C)).all()
    assert np.sqrt(found.noise_cov_B_B[2, 2]) == pytest.approx(0.02 / np.sqrt(50))
