"""Spikes against determinants and inverses computed afresh, and on curves where they are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from overmem.stats.curves import sampler
from overmem.stats.curves.gaussian_process import ACCURACY_PRIOR, curve_covariances, log_evidence
from overmem.stats.curves.spikes import Spikes, clear_spikes, draw_spikes, log_factor, with_variance

SPIKES = Spikes(sizes=(0.1,))
NOISE = 0.02**2 * np.eye(10)


def covariances(points=3, checkpoints=5):
    rng = np.random.default_rng(4)
    roots = rng.standard_normal((points, checkpoints, checkpoints))
    return roots @ roots.swapaxes(1, 2) + np.eye(checkpoints)


def test_factor_and_update_agree_with_scipy():
    total, residual = covariances(), np.array([0.3, -1.0, 2.0, 0.5, -0.2])
    inverse = np.linalg.inv(total)
    for change in (0.7, -0.2):
        grown = total.copy()
        grown[:, 2, 2] += change
        expected = [
            multivariate_normal(cov=after).logpdf(residual) - multivariate_normal(cov=before).logpdf(residual)
            for after, before in zip(grown, total, strict=True)
        ]
        white = inverse @ residual
        assert log_factor(inverse[:, 2, 2], white[:, 2], np.full(3, change)) == pytest.approx(expected)
        updated, product = with_variance(inverse, white, 2, np.full(3, change))
        np.testing.assert_allclose(updated, np.linalg.inv(grown), atol=1e-10)
        np.testing.assert_allclose(product, np.linalg.inv(grown) @ residual, atol=1e-10)


def flat_with(fallen, by, noise_seed=0):
    residual = 0.1 + np.random.default_rng(noise_seed).normal(0, 0.02, 10)
    residual[fallen] -= by
    return residual


@pytest.mark.parametrize("fallen", [[], [6], [2, 7]])
def test_clear_spikes_are_those_that_were_planted(fallen):
    points = np.random.default_rng(1).random((400, 12))
    total = curve_covariances(ACCURACY_PRIOR, np.arange(1, 11), points) + NOISE
    residual = flat_with(fallen, 0.3)
    found = clear_spikes(ACCURACY_PRIOR.spikes, total, residual, log_evidence(total, residual))
    assert np.flatnonzero(found).tolist() == fallen


@pytest.mark.parametrize("seed", range(12))
def test_the_search_agrees_with_one_that_is_written_out(seed):
    """Random covariances of points that need not agree: each step of each point against whole matrices."""
    rng = np.random.default_rng(seed)
    root = rng.normal(0, 0.02, (6, 12, 12))
    total = root @ root.swapaxes(1, 2) + rng.uniform(0.001, 0.03, (6, 1, 1)) ** 2 * np.eye(12)
    residual = rng.normal(0, 0.03, 12)
    # Of every second seed one is so far off that a second spike there would pay, if it could be.
    off = rng.choice([-1, 1], 3) * rng.uniform(0.05, 0.3, 3) * (8 if seed % 2 else 1, 1, 1)
    residual[rng.choice(12, 3, replace=False)] += off
    weight = rng.normal(0, 2 if seed < 6 else 10_000, 6)
    ours = [searched_afresh(cov, residual) for cov in total]
    evidence = {}
    for w, (kept, worth) in zip(weight, ours, strict=True):
        evidence.setdefault(tuple(kept > 0), []).append((w + worth, tuple(kept)))
    agreed = max(evidence.values(), key=lambda members: logsumexp([each for each, _ in members]))
    found = clear_spikes(ACCURACY_PRIOR.spikes, total, residual, weight)
    np.testing.assert_allclose(found, max(agreed)[1])


def searched_afresh(cov, residual):
    """Variances of the spikes that one point keeps, and what they are worth to it."""
    added, kept, most = np.zeros(12), np.zeros(12), 0.0
    for _ in range(3):
        tried = {
            (c, size): density(cov + np.diag(added + size**2 * np.eye(12)[c]), residual)
            for c in np.flatnonzero(added == 0)
            for size in ACCURACY_PRIOR.spikes.sizes
        }
        c, size = max(tried, key=tried.get)
        added[c] = size**2
        worth = tried[c, size] - density(cov, residual) - np.count_nonzero(added) * np.log(20)
        if worth > most:
            kept, most = added.copy(), worth
    return kept, most


def density(cov, residual):
    return multivariate_normal(cov=cov).logpdf(residual)


@pytest.mark.parametrize("chain", range(3))
def test_many_bad_checkpoints_are_all_found_whatever_the_seed(chain):
    """Eight of 40: the first of them explain little without jitter, and points that say so must count."""
    rng = np.random.default_rng(1)
    bad = rng.choice(40, 8, replace=False)
    residual = 0.2 + 0.006 * rng.standard_normal(40)
    residual[bad] -= rng.uniform(0.1, 0.3, 8)
    noise = 0.006**2 * np.eye(40)
    cov, _ = sampler.sample_scales(ACCURACY_PRIOR, np.arange(1, 41), noise, residual, chain)
    variance = np.diagonal(cov, axis1=1, axis2=2)
    off = variance - np.median(variance, axis=1, keepdims=True) > 0.05**2
    assert off[:, bad].mean() > 0.95 and np.delete(off, bad, axis=1).mean() < 0.05


def test_how_often_a_spike_is_drawn_is_its_posterior_probability():
    """One checkpoint matters: the odds by hand are those of two Gaussian densities times the prior odds."""
    total = np.tile(NOISE, (20_000, 1, 1))
    residual = np.zeros(10)
    residual[3] = 0.05
    drawn = draw_spikes(SPIKES, total, residual, np.zeros(10), np.random.default_rng(0))
    density = [multivariate_normal(cov=0.02**2 + size**2).pdf(0.05) for size in (0.0, 0.1)]
    probability = min(SPIKES.most_probable, SPIKES.expected / 10)
    odds = density[1] * probability / (density[0] * (1 - probability))
    assert (drawn[:, 3] > 0).mean() == pytest.approx(odds / (1 + odds), abs=0.01)


def test_what_was_certain_is_given_up_where_it_does_not_hold():
    total = np.tile(NOISE + np.diag(np.full(10, 0.1**2)), (500, 1, 1))
    drawn = draw_spikes(SPIKES, total, np.zeros(10), np.full(10, 0.1**2), np.random.default_rng(0))
    assert (drawn > 0).mean() < 0.05 and (drawn >= 0).all()


def test_one_bad_checkpoint_does_not_make_the_others_jitter():
    steps = np.arange(1, 11)
    wiggle = []
    for by in (0.0, 0.3):
        cov, _ = sampler.sample_scales(ACCURACY_PRIOR, steps, NOISE, flat_with([6], by))
        wiggle.append(np.sqrt(np.median(cov[:, 1, 1] + cov[:, 2, 2] - 2 * cov[:, 1, 2])))
    assert wiggle[1] < 2 * wiggle[0]
    assert np.sqrt(np.median(cov[:, 6, 6] - cov[:, 5, 5])) > 0.2
