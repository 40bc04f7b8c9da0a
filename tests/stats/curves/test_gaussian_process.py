"""The prior on curves against scipy and by hand."""

from __future__ import annotations

import numpy as np
import pytest

from overmem.stats import moments
from overmem.stats.curves import gaussian_process as gp

RNG = np.random.default_rng(5)


def test_cosine_basis_is_orthonormal_and_matches_scipy():
    from scipy.fft import dct

    basis = moments.cosine_basis(7)
    np.testing.assert_allclose(basis @ basis.T, np.eye(7), atol=1e-12)
    np.testing.assert_allclose(basis, dct(np.eye(7), norm="ortho", axis=0), atol=1e-12)


def test_prior_covariances_are_positive_definite_and_indifferent_to_the_unit_of_steps():
    steps = np.array([10, 20, 40, 80, 160])
    points = np.random.default_rng(0).random((200, gp.COORDINATES))
    cov = gp.curve_covariances(gp.ACCURACY_PRIOR, steps, points)
    assert np.linalg.eigvalsh(cov).min() > 0
    np.testing.assert_array_equal(cov, gp.curve_covariances(gp.ACCURACY_PRIOR, steps * 8, points))


def test_prior_covariance_is_the_sum_of_its_parts_by_hand():
    part = gp.Part(1.0, 0.2, 0.2)
    parts = dict.fromkeys(("trend", "decay", "growth", "jump", "smooth", "jitter"), part)
    prior = gp.CurvePrior(level_mean=0.0, level_sd=0.5, spikes=gp.ACCURACY_PRIOR.spikes, **parts)
    # Linear clock; rates 0.03 ** (1 - u) = 0.03 ** 0.5; jump at the second of three; length 2, Matern 3/2.
    point = np.full((1, gp.COORDINATES), 0.5)
    point[0, gp.CLOCK], point[0, gp.JUMP_AT], point[0, gp.LENGTH] = 0.9, 0.2, 1 - 1e-15
    cov = gp.curve_covariances(prior, np.array([10, 20, 40]), point)[0]
    clock = np.array([0, 1 / 3, 1])
    rate = 0.03**0.5
    shapes = [clock - 0.5, np.exp(-clock / rate), np.exp((clock - 1) / rate), np.array([0.0, 1.0, 1.0])]
    distance = np.sqrt(3) * np.abs(clock[:, None] - clock) / 2.0
    expected = 0.25 + 0.04 * (
        sum(np.outer(s, s) for s in shapes) + (1 + distance) * np.exp(-distance) + np.eye(3)
    )
    np.testing.assert_allclose(cov, expected, rtol=1e-9)


def test_a_part_is_absent_as_often_as_its_probability_says():
    scale = gp.Part(0.25, 0.01, 1.0).scale(np.linspace(0, 1, 1001)[:-1])
    assert (scale == 0).mean() == pytest.approx(0.75, abs=2e-3)
    present = scale[scale > 0]
    assert present.min() == pytest.approx(0.01) and np.median(present) == pytest.approx(0.1, rel=0.05)


def test_log_evidence_agrees_with_scipy():
    from scipy.stats import multivariate_normal

    points = np.random.default_rng(1).random((5, gp.COORDINATES))
    cov = gp.curve_covariances(gp.LOG_NLL_PRIOR, np.arange(6), points)
    residual = RNG.normal(size=6)
    expected = [multivariate_normal(np.zeros(6), c).logpdf(residual) for c in cov]
    found = gp.log_evidence(cov, residual) - 3 * np.log(2 * np.pi)
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    noise = np.diag(RNG.random(6))
    np.testing.assert_allclose(
        gp.log_evidence(cov, residual, noise), gp.log_evidence(cov + noise, residual), rtol=1e-12
    )


@pytest.mark.parametrize("rough", [False, True])
@pytest.mark.parametrize("length", [0.03, 0.3])
def test_smooth_part_is_the_matern_kernel_of_scikit_learn(rough, length):
    from sklearn.gaussian_process.kernels import Matern

    absent, part = gp.Part(1e-9, 0.1, 0.1), gp.Part(1.0, 0.3, 0.3)
    parts = dict.fromkeys(("trend", "decay", "growth", "jump", "jitter"), absent)
    prior = gp.CurvePrior(level_mean=0.0, level_sd=0.1, spikes=gp.ACCURACY_PRIOR.spikes, smooth=part, **parts)
    steps = np.array([10, 20, 21, *range(40, 400, 4)])
    point = np.full((1, gp.COORDINATES), 0.5)
    point[0, gp.ROUGHNESS] = 0.0 if rough else 0.9
    point[0, gp.LENGTH] = np.log(length / 0.03) / np.log(2.0 / 0.03)
    expected = 0.01 + 0.09 * Matern(length, nu=0.5 if rough else 1.5)(gp.step_clocks(steps)[0][:, None])
    found = gp.curve_covariances(prior, steps, point)[0]
    np.testing.assert_allclose(found, expected, atol=1e-13)


def test_evidence_of_points_is_that_of_their_covariances_and_of_those_shown():
    steps = np.cumsum(np.arange(1, 61))
    points = np.random.default_rng(3).random((50, gp.COORDINATES))
    residual, noise = RNG.normal(size=60), 0.02**2 * (np.eye(60) + 0.5)
    whole = gp.curve_covariances(gp.ACCURACY_PRIOR, steps, points)
    for shown in (np.arange(60), np.arange(0, 60, 7)):
        part = np.ix_(shown, shown)
        found = gp.curve_evidence(gp.ACCURACY_PRIOR, steps, points, residual[shown], noise[part], shown)
        some = whole[:, shown[:, None], shown]
        np.testing.assert_allclose(found, gp.log_evidence(some + noise[part], residual[shown]), rtol=1e-9)
        np.testing.assert_array_equal(gp.curve_covariances(gp.ACCURACY_PRIOR, steps, points, shown), some)


@pytest.mark.parametrize("at_once", [1, 100, 1 << 20])
def test_figures_are_the_same_however_many_matrices_are_worked_on_together(monkeypatch, at_once):
    points = np.random.default_rng(2).random((40, gp.COORDINATES))
    residual = np.linspace(-1, 1, 6)
    cov = gp.curve_covariances(gp.LOG_NLL_PRIOR, np.arange(6), points)
    evidence = gp.log_evidence(cov, residual)
    monkeypatch.setattr(gp, "AT_ONCE", at_once)
    counts = [len(range(40)[some]) for some in gp.some_at_once(40, 6)]
    assert sum(counts) == 40 and max(counts) == max(1, min(40, at_once // 36))
    np.testing.assert_allclose(gp.curve_covariances(gp.LOG_NLL_PRIOR, np.arange(6), points), cov, rtol=1e-12)
    np.testing.assert_allclose(gp.log_evidence(cov, residual), evidence, rtol=1e-12)
