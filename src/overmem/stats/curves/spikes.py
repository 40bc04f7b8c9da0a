"""Single checkpoints far off their curve, found before and after the curve's scales are drawn.

One bad checkpoint (a loss spike, an evaluation that failed for a part) would else be explained by jitter at
every checkpoint. A spike adds a variance of its own to one checkpoint, so all formulas are of rank one.

Shape suffixes: C checkpoints, H points (draws of all scales), Z sizes of a spike, the first of them none,
A spikes added so far.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from overmem.stats.arrays import FloatArray

CLEAR = 20.0
"""Least Bayes factor of a spike that is taken for certain while the scales are drawn."""
PATIENCE = 3 * float(np.log(CLEAR))
"""The search ends once every point has lost so much log evidence by spikes that were not worth it."""
MOST = 4
"""One in so many checkpoints may be a clear spike; more of them are the curve."""


@dataclass(frozen=True, kw_only=True)
class Spikes:
    """How many checkpoints of a run are off its curve, and by how much."""

    sizes: tuple[float, ...]
    """Standard deviations, in the unit of the curve; each as likely as the others."""
    expected: float = 0.8
    """In a run with many checkpoints."""
    most_probable: float = 0.05
    """Highest probability that one checkpoint is a spike, however few there are."""

    @property
    def variances_Z(self) -> FloatArray:
        """Variance that each size adds, none first."""
        return np.array([0.0, *(size**2 for size in self.sizes)])

    def log_prior_Z(self, checkpoints: int) -> FloatArray:
        """Log probability of each size at one of so many checkpoints, none first."""
        probability = min(self.most_probable, self.expected / checkpoints)
        each = probability / len(self.sizes)
        return np.log([1 - probability, *(each for _ in self.sizes)])


def clear_spikes(
    spikes: Spikes, total_H_C_C: FloatArray, residual_C: FloatArray, log_weight_H: FloatArray
) -> FloatArray:
    """Variances (C) of the spikes that the measured curve shows beyond doubt, 0 elsewhere.

    Each point adds, one after another, the checkpoint and size that explain the curve best for it, and keeps
    as many as are worth most where each has to bring a factor of `CLEAR`. Taken are the checkpoints of those
    points that agree on them and have the most evidence together. No point is left out: one without jitter
    explains a curve with spikes worse than any other, until all of them are added.

    Args:
        spikes: what spikes look like.
        total_H_C_C: covariance of measured values, prior and measurement error, at each point.
        residual_C: measured curve less its prior mean.
        log_weight_H: log evidence of each point without spikes.
    """
    points, checkpoints = len(total_H_C_C), residual_C.size
    each_H = np.arange(points)
    inverse: FloatArray = np.asarray(np.linalg.inv(total_H_C_C), dtype=np.float64)
    white_H_C: FloatArray = inverse @ residual_C
    precision_H_C = np.diagonal(inverse, axis1=1, axis2=2).copy()
    variances_Z = spikes.variances_Z[1:]
    found_H_C, worth_H = np.zeros((points, checkpoints)), log_weight_H.copy()
    kept_H_C, most_worth_H = found_H_C.copy(), worth_H.copy()
    every_H_C_A = np.empty((points, checkpoints, checkpoints // MOST))
    for added in range(checkpoints // MOST):
        gain_H_C_Z = log_factor(precision_H_C[..., None], white_H_C[..., None], variances_Z)
        gain_H_C_Z[found_H_C > 0] = -np.inf
        best_H = gain_H_C_Z.reshape(points, -1).argmax(axis=1)
        at_H, size_H = np.divmod(best_H, variances_Z.size)
        worth_H += gain_H_C_Z[each_H, at_H, size_H] - np.log(CLEAR)
        found_H_C[each_H, at_H] = variances_Z[size_H]
        better_H = worth_H > most_worth_H
        kept_H_C[better_H], most_worth_H[better_H] = found_H_C[better_H], worth_H[better_H]
        if (worth_H < most_worth_H - PATIENCE).all():
            break
        past_H_C_A = every_H_C_A[:, :, :added]
        # Of the inverse after the changes so far only this column, the diagonal and the product are needed.
        column_H_C = inverse[each_H, :, at_H] - (past_H_C_A @ past_H_C_A[each_H, at_H, :, None])[..., 0]
        share_H = 1.0 / (1.0 / variances_Z[size_H] + column_H_C[each_H, at_H])
        white_H_C -= (share_H * white_H_C[each_H, at_H])[:, None] * column_H_C
        precision_H_C -= share_H[:, None] * column_H_C**2
        every_H_C_A[:, :, added] = np.sqrt(share_H)[:, None] * column_H_C
    set_H = np.unique(kept_H_C > 0, axis=0, return_inverse=True)[1].ravel()
    evidence_of_set = np.bincount(set_H, weights=np.exp(most_worth_H - most_worth_H.max()))
    agreed = np.flatnonzero(set_H == evidence_of_set.argmax())
    return np.asarray(kept_H_C[agreed[most_worth_H[agreed].argmax()]])


def draw_spikes(
    spikes: Spikes,
    total_H_C_C: FloatArray,
    residual_C: FloatArray,
    now_C: FloatArray,
    rng: np.random.Generator,
) -> FloatArray:
    """Draw for each point which checkpoints are off the curve: one Gibbs sweep over them.

    Args:
        spikes: what spikes look like.
        total_H_C_C: covariance of measured values at each point, spikes taken for certain included.
        residual_C: measured curve less its prior mean.
        now_C: variances of the spikes that are included.
        rng: source of randomness.

    Returns:
        Array (H, C): variance of each point's spike at each checkpoint.
    """
    variances_Z, log_prior_Z = spikes.variances_Z, spikes.log_prior_Z(residual_C.size)
    drawn_H_C = np.tile(now_C, (len(total_H_C_C), 1))
    inverse: FloatArray = np.asarray(np.linalg.inv(total_H_C_C), dtype=np.float64)
    white: FloatArray = inverse @ residual_C
    for c in range(residual_C.size):
        change_H_Z = variances_Z - drawn_H_C[:, [c]]
        odds_H_Z = log_prior_Z + log_factor(inverse[:, c, c, None], white[:, c, None], change_H_Z)
        chosen_H = (odds_H_Z + rng.gumbel(size=odds_H_Z.shape)).argmax(axis=1)
        change_H = variances_Z[chosen_H] - drawn_H_C[:, c]
        moved = change_H != 0
        if moved.any():
            inverse[moved], white[moved] = with_variance(inverse[moved], white[moved], c, change_H[moved])
            drawn_H_C[:, c] += change_H
    return drawn_H_C


def log_factor(precision: FloatArray, white: FloatArray, change: FloatArray) -> FloatArray:
    """Log Bayes factor of a change of variance at one checkpoint.

    Args:
        precision: diagonal entry of the inverse covariance.
        white: entry of the inverse covariance times the residual.
        change: of the variance; what is left stays positive.
    """
    grown = 1.0 + change * precision
    return np.asarray(0.5 * (change * white**2 / grown - np.log(grown)))


def with_variance(
    inverse_H_C_C: FloatArray, white_H_C: FloatArray, c: int, change_H: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Inverse covariances, and their products with the residual, after a change of variance at c."""
    column_H_C = inverse_H_C_C[:, :, c]
    share_H = change_H / (1.0 + change_H * column_H_C[:, c])
    inverse = inverse_H_C_C - share_H[:, None, None] * column_H_C[:, :, None] * column_H_C[:, None, :]
    white = white_H_C - (share_H * white_H_C[:, c])[:, None] * column_H_C
    return inverse, white
