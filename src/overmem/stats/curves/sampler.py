"""Points of the unit cube drawn from their posterior: which scales explain the measured curve.

A sequential Monte Carlo sampler (Del Moral, Doucet and Jasra 2006, doi 10.1111/j.1467-9868.2006.00553.x):
the likelihood is switched on in a few rungs; at each rung points are weighed, chosen again in
proportion to their weight, and moved by Metropolis steps. All its randomness has one fixed seed, so it
is a deterministic function of the measured curve, like a quadrature rule.

Shape suffixes: C checkpoints, H first points, M kept points, K coordinates.
"""

from __future__ import annotations

import numpy as np

from overmem.stats.arrays import FloatArray, IntArray
from overmem.stats.curves.gaussian_process import COORDINATES, CurvePrior, curve_covariances, log_evidence
from overmem.stats.curves.spikes import clear_spikes, draw_spikes

FIRST_POINTS = 1200
KEPT_POINTS = 300
_RUNGS = (0.05, 0.2, 0.5, 1.0)
"""Share of the log likelihood that counts at each rung."""
_MOVES = (0.4, 0.15, 0.05, 0.4, 0.15, 0.05)
"""Spread of the Metropolis moves tried at each rung, as a share of a coordinate's range."""
_MOVE_PROBABILITY = 0.15
"""Chance that a coordinate takes part in a move."""
_SEED = 20250804


def sample_scales(
    prior: CurvePrior, steps_C: IntArray, noise_cov_C_C: FloatArray, residual_C: FloatArray, chain: int = 0
) -> tuple[FloatArray, FloatArray]:
    """Draw scales of the prior from their posterior given one measured curve.

    Args:
        prior: ranges of the scales.
        steps_C: increasing optimizer steps.
        noise_cov_C_C: covariance of the measurement errors.
        residual_C: measured curve less the prior's level mean.
        chain: which of the fixed seeds.

    Returns:
        Covariances of the curve (M, C, C) at equally likely points, and the log evidence of each (M).
    """
    rng = np.random.default_rng(_SEED + chain)
    points = rng.random((FIRST_POINTS, COORDINATES))
    cov = curve_covariances(prior, steps_C, points)
    evidence = log_evidence(cov, residual_C, noise_cov_C_C)
    clear_C = clear_spikes(prior.spikes, cov + noise_cov_C_C, residual_C, evidence)

    def explain(points_H_K: FloatArray) -> tuple[FloatArray, FloatArray]:
        cov_H_C_C = curve_covariances(prior, steps_C, points_H_K) + np.diag(clear_C)
        return cov_H_C_C, log_evidence(cov_H_C_C, residual_C, noise_cov_C_C)

    if clear_C.any():
        cov = cov + np.diag(clear_C)
        evidence = log_evidence(cov, residual_C, noise_cov_C_C)
    counted = 0.0
    for rung in _RUNGS:
        chosen_M = systematic_choice(softmax((rung - counted) * evidence), KEPT_POINTS, rng.random())
        points, cov, evidence = points[chosen_M], cov[chosen_M], evidence[chosen_M]
        counted = rung
        for spread in _MOVES:
            step_M_K = (
                spread * rng.standard_normal(points.shape) * (rng.random(points.shape) < _MOVE_PROBABILITY)
            )
            tried = (points + step_M_K) % 1.0
            tried_cov, tried_evidence = explain(tried)
            taken_M = np.log(rng.random(KEPT_POINTS)) < rung * (tried_evidence - evidence)
            points = np.where(taken_M[:, None], tried, points)
            cov = np.where(taken_M[:, None, None], tried_cov, cov)
            evidence = np.where(taken_M, tried_evidence, evidence)
    spike_M_C = draw_spikes(prior.spikes, cov + noise_cov_C_C, residual_C, clear_C, rng)
    at_C = np.arange(steps_C.size)
    cov[:, at_C, at_C] += spike_M_C - clear_C
    return cov, log_evidence(cov, residual_C, noise_cov_C_C)


def systematic_choice(weight_M: FloatArray, size: int, offset: float) -> IntArray:
    """Choose `size` positions with frequencies as near to the weights as counts allow.

    Args:
        weight_M: non-negative weights that sum to 1.
        size: how many positions to choose.
        offset: in [0, 1), shifts the grid; the only randomness.

    Returns:
        Non-decreasing positions.
    """
    grid = (np.arange(size) + offset) / size
    return np.minimum(np.searchsorted(np.cumsum(weight_M), grid), weight_M.size - 1).astype(np.int64)


def softmax(log_weight_M: FloatArray) -> FloatArray:
    """Weights that sum to 1 from their logarithms."""
    weight_M = np.exp(log_weight_M - log_weight_M.max())
    return np.asarray(weight_M / weight_M.sum())
