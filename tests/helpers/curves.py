"""Rows of a run whose curves are known."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np


def planted(seeds, spread=0.0, n=400):
    """An over-memorized run: accuracy 0.8 throughout, NLL 0.30, 0.30, 0.45."""
    rng = np.random.default_rng(5)
    ease = rng.random(n)
    shift = rng.normal(0, spread, (seeds, 1, 1))
    correct = (ease[None, None] < 0.8 + 0 * shift + np.zeros((seeds, 3, 1))).astype(float)
    nll = 20 * (np.array([0.31, 0.30, 0.45])[None, :, None] + shift) * rng.gamma(50, 1 / 50, n)
    return [10, 20, 30], correct, nll, np.full(n, 20.0)


def make_rows(n=300, checkpoints=5, seed=0, accuracy=None, nll=None):
    """Paired rows: one latent difficulty a problem, noise at each checkpoint."""
    rng = np.random.default_rng(seed)
    accuracy = np.linspace(0.4, 0.7, checkpoints) if accuracy is None else np.asarray(accuracy)
    nll = np.linspace(0.5, 0.4, checkpoints) if nll is None else np.asarray(nll)
    hard = rng.normal(size=n)
    latent = 0.8 * hard + 0.6 * rng.normal(size=(checkpoints, n))
    threshold = np.array([NormalDist().inv_cdf(a) for a in accuracy])
    tokens = rng.integers(20, 200, n).astype(float)
    factor = np.exp(0.3 * hard - 0.045 + 0.1 * rng.normal(size=(checkpoints, n)) - 0.005)
    return (latent < threshold[:, None]).astype(float), nll[:, None] * tokens * factor, tokens
