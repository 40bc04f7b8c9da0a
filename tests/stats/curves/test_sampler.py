"""The sampler against a posterior found by brute force."""

from __future__ import annotations

import numpy as np
import pytest

from overmem.stats.curves import gaussian_process as gp
from overmem.stats.curves import sampler

STEPS = np.arange(1, 13)
NOISE = 0.01**2 * np.eye(12)
CURVE = 0.1 * np.exp(-np.arange(12) / 3) + 0.02 * np.tile([1, -1], 6)


@pytest.fixture(scope="module")
def brute_force():
    """Points of the prior, their log evidence and their weights."""
    points = np.random.default_rng(11).random((60_000, gp.COORDINATES))
    logs = gp.curve_evidence(gp.ACCURACY_PRIOR, STEPS, points, CURVE, NOISE)
    return points, logs, np.exp(logs - logs.max())


@pytest.mark.parametrize("few", [40, 6])
def test_sampler_finds_the_posterior_that_brute_force_finds(monkeypatch, brute_force, few):
    """Also where the scales are first drawn by every second checkpoint alone."""
    points, logs, weight = brute_force
    jitter = np.log(gp.ACCURACY_PRIOR.jitter.scale(points[:, gp.JITTER]))
    monkeypatch.setattr(sampler, "FEW_CHECKPOINTS", few)
    cov, evidence = sampler.sample_scales(gp.ACCURACY_PRIOR, STEPS, NOISE, CURVE)
    assert len(cov) == (sampler.KEPT_OF_MANY if few < 12 else sampler.KEPT_POINTS)
    # The mean log evidence under the posterior, and the part of the covariance that is jitter.
    assert evidence.mean() == pytest.approx(np.average(logs, weights=weight), abs=0.4)
    curvature = cov[:, 5, 5] - cov[:, 5, 6]
    brute = np.average(np.exp(2 * jitter), weights=weight)
    assert np.exp(np.average(jitter, weights=weight)) == pytest.approx(0.02, rel=0.5)
    assert np.median(curvature) == pytest.approx(brute, rel=0.4)


def test_spikes_of_a_long_curve_are_found_whether_or_not_they_are_looked_at_first(monkeypatch):
    """Four are among those looked at first, one is not: the same as from all at once."""
    steps, noise = np.arange(1, 61), 0.02**2 * np.eye(60)
    curve = 0.1 + np.random.default_rng(3).normal(0, 0.02, 60)
    curve[[3, 6, 20, 31, 56]] -= 0.2
    first = np.linspace(0, 59, sampler.FEW_CHECKPOINTS).round()
    assert set(first) & {3, 6, 20, 31, 56} == {3, 6, 20, 56}
    found, searched = [], []
    plain = sampler.clear_spikes
    monkeypatch.setattr(
        sampler,
        "clear_spikes",
        lambda of, total, *rest: searched.append(total.shape[:2]) or plain(of, total, *rest),
    )
    for few in (sampler.FEW_CHECKPOINTS, 60):
        monkeypatch.setattr(sampler, "FEW_CHECKPOINTS", few)
        cov, evidence = sampler.sample_scales(gp.ACCURACY_PRIOR, steps, noise, curve)
        wiggle = np.sqrt(np.median(cov[:, 40, 40] + cov[:, 41, 41] - 2 * cov[:, 40, 41]))
        found.append((evidence.mean(), wiggle))
    assert found[0][0] == pytest.approx(found[1][0], abs=1.5)
    assert max(wiggle for _, wiggle in found) < 0.01
    # Of the points that count, some are searched where all checkpoints are looked at second.
    assert [shown for _, shown in searched] == [40, 60, 60]
    assert searched[1][0] == sampler.SEARCHED_OF_MANY == 100


def test_systematic_choice_follows_the_weights():
    weights = np.array([0.5, 0.0, 0.3, 0.2])
    counts = np.bincount(sampler.systematic_choice(weights, 100, 0.37), minlength=4)
    assert counts.tolist() == [50, 0, 30, 20]
