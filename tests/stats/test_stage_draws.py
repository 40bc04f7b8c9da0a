"""Draws and stages of one run: chains are pooled where a stage could turn on the sampler's error."""

from __future__ import annotations

import numpy as np
import pytest

from overmem.rule import Rule
from overmem.stats import stage_draws
from overmem.stats.curves import posterior
from overmem.stats.moments import measure_curves
from tests.helpers.curves import make_rows

STEPS = np.array([1, 2, 3])
PLAIN = {"accuracy": np.array([0.4, 0.7, 0.7]), "nll": np.array([0.5, 0.4, 0.4])}
CLOSE = {"accuracy": np.array([0.4, 0.7, 0.69]), "nll": np.array([0.5, 0.4, 0.4])}


@pytest.fixture
def chains(monkeypatch):
    used = []

    def fit(moments, steps_C, chain=0):
        used.append(chain)
        return posterior.fit_prior(moments, steps_C, chain)

    monkeypatch.setattr(stage_draws, "fit_prior", fit)
    return used


@pytest.mark.parametrize(
    ("rows", "n", "most", "expected"),
    [(PLAIN, 2000, 50, [0]), (CLOSE, 150, 50, [0, 1, 2]), (CLOSE, 150, 2, [0])],
)
def test_chains_are_pooled_near_the_threshold_alone(chains, monkeypatch, rows, n, most, expected):
    monkeypatch.setattr(stage_draws, "MOST_CHECKPOINTS", most)
    drawn = stage_draws.draw_stages(
        measure_curves(*make_rows(n=n, checkpoints=3, **rows)), STEPS, Rule(resamples=400)
    )
    assert chains == expected
    distance = np.abs(drawn.probability_C_S.max(axis=1) - 0.8).min()
    assert (distance <= 0.15) == (n == 150)


def test_a_pool_of_chains_is_the_mean_of_them():
    found = measure_curves(*make_rows(n=150, checkpoints=3, **CLOSE))
    first, second = (posterior.fit_prior(found, STEPS, chain) for chain in range(2))
    pooled = posterior.pooled([first, second])
    half = len(first.weight_M)
    assert len(pooled.weight_M) == 2 * half and pooled.weight_M.sum() == pytest.approx(1)
    np.testing.assert_allclose(pooled.weight_M[:half], first.weight_M / 2)
    every = slice(None)
    np.testing.assert_array_equal(pooled.covariances(slice(half)), first.covariances(every))
    np.testing.assert_array_equal(pooled.covariances(slice(half, None)), second.covariances(every))
