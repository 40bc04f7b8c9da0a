"""Points of the unit cube drawn from their posterior: which scales explain the measured curve.

A sequential Monte Carlo sampler (Del Moral, Doucet and Jasra 2006, doi 10.1111/j.1467-9868.2006.00553.x):
the likelihood is switched on in a few rungs; at each rung points are weighed, chosen again in
proportion to their weight, and moved by Metropolis steps. All its randomness has one fixed seed, so it
is a deterministic function of the measured curve, like a quadrature rule.

A long curve is first looked at on some of its checkpoints only (as by Chopin 2002, doi
10.1093/biomet/89.3.539): what all of them say is weighed in at the end, so the law is the same.

Shape suffixes: C checkpoints, H first points, M kept points, K coordinates.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from overmem.stats.arrays import FloatArray, IntArray
from overmem.stats.curves.gaussian_process import (
    COORDINATES,
    CurvePrior,
    curve_covariances,
    curve_evidence,
    log_evidence,
)
from overmem.stats.curves.spikes import clear_spikes, draw_spikes

FIRST_POINTS = 1200
KEPT_POINTS = 300
KEPT_OF_MANY = 100
"""Kept where there are more than a few checkpoints, as the cost of each grows with their cube."""
FEW_CHECKPOINTS = 40
"""Scales are first drawn by so many of the checkpoints, evenly chosen, where there are more. With much fewer,
spikes among them pass for jitter, and no point is left that says otherwise when all count."""
_RUNGS = (0.05, 0.2, 0.5, 1.0)
"""Share of the log likelihood that counts at each rung."""
_MOVES = (0.4, 0.15, 0.05, 0.4, 0.15, 0.05)
"""Spread of the Metropolis moves tried at each rung, as a share of a coordinate's range."""
_MOVES_OF_MANY = _MOVES[:3]
"""Tried once all of many checkpoints count: the points have moved by some of them already."""
_MOVE_PROBABILITY = 0.15
"""Chance that a coordinate takes part in a move."""
SEARCHED_POINTS = 400
"""Points that the search for spikes looks at, evenly chosen."""
SEARCHED_OF_MANY = 100
"""The same once all of many checkpoints count."""
_SEED = 20250804


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """One measured curve, as far as it counts already."""

    prior: CurvePrior
    steps_C: IntArray
    """Of all checkpoints; everything else is of those shown."""
    shown_C: IntArray
    residual_C: FloatArray
    noise_cov_C_C: FloatArray
    """Of the measurement, spikes taken for certain included."""

    def covariances(self, points_H_K: FloatArray) -> FloatArray:
        return curve_covariances(self.prior, self.steps_C, points_H_K, self.shown_C)

    def evidence(self, points_H_K: FloatArray) -> FloatArray:
        return curve_evidence(
            self.prior, self.steps_C, points_H_K, self.residual_C, self.noise_cov_C_C, self.shown_C
        )

    def clear_spikes(self, points_H_K: FloatArray, log_weight_H: FloatArray) -> FloatArray:
        searched = SEARCHED_OF_MANY if self.shown_C.size > FEW_CHECKPOINTS else SEARCHED_POINTS
        evenly = np.linspace(0, len(points_H_K) - 1, searched).round().astype(np.int64)
        total = self.covariances(points_H_K[evenly]) + self.noise_cov_C_C
        return clear_spikes(self.prior.spikes, total, self.residual_C, log_weight_H[evenly])


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
    points, counted = rng.random((FIRST_POINTS, COORDINATES)), np.zeros(FIRST_POINTS)
    clear_C = np.zeros(steps_C.size)
    for shown_C, rungs, moves, kept in _shown_in_turn(steps_C.size):
        seen = _Seen(
            prior=prior,
            steps_C=steps_C,
            shown_C=shown_C,
            residual_C=residual_C[shown_C],
            noise_cov_C_C=noise_cov_C_C[np.ix_(shown_C, shown_C)] + np.diag(clear_C[shown_C]),
        )
        evidence = seen.evidence(points)
        new_C = seen.clear_spikes(points, evidence - counted)
        if new_C.any():
            clear_C[shown_C] += new_C
            seen = replace(seen, noise_cov_C_C=seen.noise_cov_C_C + np.diag(new_C))
            evidence = seen.evidence(points)
        for rung in rungs:
            chosen_M = systematic_choice(softmax(rung * evidence - counted), kept, rng.random())
            points, evidence = _move(seen, points[chosen_M], evidence[chosen_M], rung, moves, rng)
            counted = rung * evidence
    cov = seen.covariances(points)
    spike_M_C = draw_spikes(prior.spikes, cov + seen.noise_cov_C_C, residual_C, clear_C, rng)
    at_C = np.arange(steps_C.size)
    cov[:, at_C, at_C] += spike_M_C
    return cov, log_evidence(cov, residual_C, noise_cov_C_C)


def _shown_in_turn(checkpoints: int) -> list[tuple[IntArray, tuple[float, ...], tuple[float, ...], int]]:
    """Which checkpoints count, set after set: rungs at which they are switched on, moves, and points kept."""
    every_C = np.arange(checkpoints)
    if checkpoints <= FEW_CHECKPOINTS:
        return [(every_C, _RUNGS, _MOVES, KEPT_POINTS)]
    few_C = np.linspace(0, checkpoints - 1, FEW_CHECKPOINTS).round().astype(np.int64)
    return [(few_C, _RUNGS, _MOVES, KEPT_POINTS), (every_C, (1.0,), _MOVES_OF_MANY, KEPT_OF_MANY)]


def _move(
    seen: _Seen,
    points: FloatArray,
    evidence: FloatArray,
    rung: float,
    moves: tuple[float, ...],
    rng: np.random.Generator,
) -> tuple[FloatArray, FloatArray]:
    """Metropolis moves of all points at one rung, and their log evidence after them."""
    for spread in moves:
        step_M_K = spread * rng.standard_normal(points.shape) * (rng.random(points.shape) < _MOVE_PROBABILITY)
        tried = (points + step_M_K) % 1.0
        tried_evidence = seen.evidence(tried)
        taken_M = np.log(rng.random(len(points))) < rung * (tried_evidence - evidence)
        points = np.where(taken_M[:, None], tried, points)
        evidence = np.where(taken_M, tried_evidence, evidence)
    return points, evidence


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
