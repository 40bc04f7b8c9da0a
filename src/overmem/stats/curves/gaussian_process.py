"""The prior over training curves: what accuracy and log NLL may look like before any row is seen.

A curve is level + trend + early decay + late growth + one jump + smooth part + independent jitter.
Every part is Gaussian given its scale, so a curve has a covariance matrix. The scales themselves have
wide priors and are integrated over, never set to one best value: how much of the wiggle of a curve is
jitter and how much is measurement error cannot be known from a few hundred problems, and that doubt
belongs in the confidence.

All scales of one curve are coded as one point in the unit cube, on which the prior is uniform.

Shape suffixes: C checkpoints, H points (draws of all scales), K coordinates of a point.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from overmem.stats.arrays import FloatArray, IntArray
from overmem.stats.curves.spikes import Spikes

CLOCK, DECAY_RATE, GROWTH_RATE, JUMP_AT, LENGTH, ROUGHNESS = range(6)
TREND, DECAY, GROWTH, JUMP, SMOOTH, JITTER = range(6, 12)
AT_ONCE = 1 << 18
"""Entries of the matrices that are worked on together."""
COORDINATES = 12
"""K. The first six say what the parts look like, the last six how large they are."""


@dataclass(frozen=True)
class Part:
    """One part of a curve: how often it is there, and the range of its scale (log-uniform)."""

    probability: float
    low: float
    high: float

    def scale(self, unit_H: FloatArray) -> FloatArray:
        """Scale at coordinates in [0, 1): absent (0) below 1 - probability, then from low to high."""
        place_H = (unit_H - (1.0 - self.probability)) / self.probability
        return np.where(place_H >= 0, log_range(place_H, self.low, self.high), 0.0)


@dataclass(frozen=True, kw_only=True)
class CurvePrior:
    """Ranges of the scales, in the unit of the curve (accuracy, or log of nats per token)."""

    level_mean: float
    level_sd: float
    trend: Part
    decay: Part
    growth: Part
    jump: Part
    smooth: Part
    jitter: Part
    spikes: Spikes


ACCURACY_PRIOR = CurvePrior(
    level_mean=0.5,
    level_sd=0.5,
    trend=Part(0.5, 0.01, 0.4),
    decay=Part(0.6, 0.03, 0.8),
    growth=Part(0.3, 0.02, 0.4),
    jump=Part(0.25, 0.03, 0.4),
    smooth=Part(0.8, 0.005, 0.2),
    jitter=Part(1.0, 0.001, 0.05),
    spikes=Spikes(sizes=(0.03, 0.1, 0.3)),
)
LOG_NLL_PRIOR = CurvePrior(
    level_mean=-1.0,
    level_sd=2.0,
    trend=Part(0.5, 0.03, 1.0),
    decay=Part(0.6, 0.03, 1.0),
    growth=Part(0.3, 0.03, 1.0),
    jump=Part(0.25, 0.03, 0.5),
    smooth=Part(0.8, 0.01, 0.5),
    jitter=Part(1.0, 0.001, 0.05),
    spikes=Spikes(sizes=(0.05, 0.15, 0.5)),
)


def step_clocks(steps_C: IntArray) -> FloatArray:
    """Two clocks in [0, 1] for the same steps: linear, and logarithmic.

    Args:
        steps_C: increasing optimizer steps, at least two.

    Returns:
        Array (2, C). Multiplying all steps by a constant changes nothing.
    """
    since_C = (steps_C - steps_C[0]).astype(np.float64)
    log_C = np.log1p(since_C / since_C[1])
    return np.stack([since_C / since_C[-1], log_C / log_C[-1]])


def curve_covariances(
    prior: CurvePrior, steps_C: IntArray, points_H_K: FloatArray, shown_C: IntArray | None = None
) -> FloatArray:
    """Covariance matrix of the curve at each point of the unit cube.

    Args:
        prior: ranges of the scales.
        steps_C: increasing optimizer steps.
        points_H_K: coordinates in [0, 1).
        shown_C: positions of the checkpoints that count, increasing; all by default.

    Returns:
        Array (H, C, C), positive definite, level included.
    """
    factors = _Factors.of(prior, steps_C, points_H_K, shown_C)
    cov_H_C_C = factors.lower(slice(None))
    above = np.triu_indices(cov_H_C_C.shape[1], 1)
    cov_H_C_C[:, above[0], above[1]] = cov_H_C_C[:, above[1], above[0]]
    return cov_H_C_C


def curve_evidence(
    prior: CurvePrior,
    steps_C: IntArray,
    points_H_K: FloatArray,
    residual_C: FloatArray,
    noise_cov_C_C: FloatArray,
    shown_C: IntArray | None = None,
) -> FloatArray:
    """Log density (H) of a measured curve at each point of the unit cube.

    The arguments are those of `curve_covariances` and `log_evidence`; the last three are of those shown.
    """
    factors = _Factors.of(prior, steps_C, points_H_K, shown_C)
    found_H = np.empty(len(points_H_K))
    for some in some_at_once(len(points_H_K), residual_C.size):
        found_H[some] = log_evidence(factors.lower(some), residual_C, noise_cov_C_C)
    return found_H


@dataclass(frozen=True, kw_only=True)
class _Factors:
    """Covariances as products that hold on and below the diagonal, which is all that a factorisation reads.

    There every part is a product of what belongs to the row and what belongs to the column: also the smooth
    one, as exp(-r (t - u)) = exp(-r t) exp(r u) for t >= u. So no exponential is taken of a whole matrix.
    """

    row_H_C_F: FloatArray
    column_H_F_C: FloatArray
    jitter_H: FloatArray
    """Variance."""

    @classmethod
    def of(
        cls, prior: CurvePrior, steps_C: IntArray, points_H_K: FloatArray, shown_C: IntArray | None
    ) -> _Factors:
        unit_K_H = points_H_K.T
        index_C = np.arange(steps_C.size) if shown_C is None else shown_C
        clock_H_C = step_clocks(steps_C)[:, index_C][(unit_K_H[CLOCK] < 0.5).astype(np.int64)]
        decay_H_1, growth_H_1 = (
            log_range(unit_K_H[at], 0.03, 1.0)[:, None] for at in (DECAY_RATE, GROWTH_RATE)
        )
        jump_at_H_1 = 1 + np.floor(unit_K_H[JUMP_AT] * (steps_C.size - 1))[:, None]
        shapes_and_scales = (
            (clock_H_C - 0.5, prior.trend.scale(unit_K_H[TREND])),
            (np.exp(-clock_H_C / decay_H_1), prior.decay.scale(unit_K_H[DECAY])),
            (np.exp((clock_H_C - 1.0) / growth_H_1), prior.growth.scale(unit_K_H[GROWTH])),
            (np.asarray(index_C >= jump_at_H_1, dtype=np.float64), prior.jump.scale(unit_K_H[JUMP])),
            (np.ones_like(clock_H_C), np.full(len(points_H_K), prior.level_sd)),
        )
        shapes = [shape * scale[:, None] for shape, scale in shapes_and_scales]
        # The smooth part is Matern 1/2 (rough) or 3/2, of any length: exp(-d) or (1 + d) exp(-d).
        smooth_H_1 = (unit_K_H[ROUGHNESS] >= 0.5)[:, None]
        rate_H_1 = np.where(smooth_H_1, np.sqrt(3.0), 1.0) / log_range(unit_K_H[LENGTH], 0.03, 2.0)[:, None]
        along_H_C = rate_H_1 * (clock_H_C - 0.5)
        bend_H_C = smooth_H_1 * along_H_C
        falling_H_C = prior.smooth.scale(unit_K_H[SMOOTH])[:, None] ** 2 * np.exp(-along_H_C)
        rising_H_C = np.exp(along_H_C)
        return cls(
            row_H_C_F=np.stack([*shapes, (1.0 + bend_H_C) * falling_H_C, falling_H_C], axis=2),
            column_H_F_C=np.stack([*shapes, rising_H_C, -bend_H_C * rising_H_C], axis=1),
            jitter_H=prior.jitter.scale(unit_K_H[JITTER]) ** 2,
        )

    def lower(self, some: slice) -> FloatArray:
        """Some of the matrices; what stands above the diagonal has no meaning."""
        cov_H_C_C = self.row_H_C_F[some] @ self.column_H_F_C[some]
        diagonal_C = np.arange(cov_H_C_C.shape[1])
        cov_H_C_C[:, diagonal_C, diagonal_C] += self.jitter_H[some, None]
        return np.asarray(cov_H_C_C)


def log_evidence(
    cov_H_C_C: FloatArray, residual_C: FloatArray, noise_cov_C_C: FloatArray | float = 0.0
) -> FloatArray:
    """Log density of a measured curve under each zero-mean Gaussian.

    The residual is appended as one more row before the Cholesky factorisation, whose last row then is
    the whitened residual: one factorisation gives both the determinant and the quadratic form.

    Args:
        cov_H_C_C: covariance of measured values (prior plus measurement error); only what stands on and below
            the diagonal is read.
        residual_C: measured values less their prior mean.
        noise_cov_C_C: covariance of the measurement error, where `cov_H_C_C` is the prior's alone.

    Returns:
        Array H, up to the constant -C/2 ln(2 pi).
    """
    draws, size = cov_H_C_C.shape[:2]
    found_H = np.empty(draws)
    for some in some_at_once(draws, size):
        bordered = np.empty((len(cov_H_C_C[some]), size + 1, size + 1))
        np.add(cov_H_C_C[some], noise_cov_C_C, out=bordered[:, :size, :size])
        bordered[:, size, :size] = residual_C
        bordered[:, size, size] = 1e30  # only needs to exceed the quadratic form
        root = np.linalg.cholesky(bordered)
        log_det_H = 2.0 * np.log(np.diagonal(root, axis1=1, axis2=2)[:, :size]).sum(axis=1)
        found_H[some] = -0.5 * (log_det_H + (root[:, size, :size] ** 2).sum(axis=1))
    return found_H


def some_at_once(matrices: int, size: int) -> list[slice]:
    """The matrices in order, as many together as a cache holds.

    Args:
        matrices: how many.
        size: rows and columns of each.
    """
    count = max(1, AT_ONCE // size**2)
    return [slice(start, start + count) for start in range(0, matrices, count)]


def log_range(unit: FloatArray, low: float, high: float) -> FloatArray:
    """Map [0, 1) to low..high, evenly in the logarithm."""
    return np.asarray(low * (high / low) ** np.asarray(unit))
