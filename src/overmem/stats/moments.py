"""What the rows say about each checkpoint: means, and the covariance of their errors.

The problem is the unit, or the group of problems that stand for one another (`groups`). All checkpoints are
scored on the same problems, so errors are strongly correlated; the covariance kept here is what makes small
differences visible.

Shape suffixes: S seeds, C checkpoints, N problems, G groups, B = 2C (accuracies first, then log NLLs).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from overmem.stats.arrays import FloatArray, IntArray
from overmem.stats.groups import Groups

_NLL_FLOOR = 1e-6
"""Nats per token; keeps the logarithm finite for a model that is certain of everything."""
_ACCURACY_FLOOR_VARIANCE = 0.25
"""Variance of the one pseudo-problem added to each accuracy: all right or all wrong is not certainty."""
_LOG_NLL_FLOOR_SD = 0.02
"""Relative spread of a problem's NLL that is always allowed for."""


@dataclass(frozen=True, kw_only=True)
class Moments:
    """Measured accuracy and NLL of every checkpoint with the covariance of their errors."""

    n: int
    """Problems."""
    accuracy_C: FloatArray
    """Mean of correct."""
    nll_C: FloatArray
    """Sum of NLL over sum of tokens, nats per token."""
    sample_cov_B_B: FloatArray
    """Plain sample covariance of (accuracy, log NLL) estimates; for standard errors of differences."""
    noise_cov_B_B: FloatArray
    """The same, regularised; positive definite, for the posterior."""
    influence_B_G: FloatArray
    """By how much each problem, or group, times their number, moves (accuracy, log NLL); for skewness."""
    groups: int | None = None
    """Effective number of groups that the problems fall into; None where each problem stands alone."""

    @property
    def units(self) -> int:
        """Independent problems, or groups of them, that the errors rest on."""
        return self.n if self.groups is None else self.groups


def measure_curves(
    correct_C_N: FloatArray, nll_nats_C_N: FloatArray, n_tokens_N: FloatArray, groups: Groups | None = None
) -> Moments:
    """Reduce the rows to means and covariances, whatever the order of the problems.

    NLL is a ratio of sums; its error is linearised: problem i moves log NLL_c by
    (nll_ic - NLL_c T_i) / (sum T * NLL_c).

    Args:
        correct_C_N: correctness in [0, 1]; fractions are means over samples of one problem.
        nll_nats_C_N: NLL of the reference completion, nats, summed over its tokens.
        n_tokens_N: completion tokens, at least 1.
        groups: of problems that stand for one another; each alone by default.

    Returns:
        Moments; bit-identical for any order of the problems.
    """
    rows = np.concatenate([correct_C_N, nll_nats_C_N, n_tokens_N[None, :]])
    order_N = _canonical_order(rows)
    rows = np.ascontiguousarray(rows[:, order_N])
    checkpoints, n = correct_C_N.shape
    groups = Groups.of_one(n) if groups is None else groups.at(order_N)
    correct_C_N, nll_nats_C_N, n_tokens_N = rows[:checkpoints], rows[checkpoints:-1], rows[-1]
    accuracy_C = correct_C_N.mean(axis=1)
    ratio_C = nll_nats_C_N.sum(axis=1) / n_tokens_N.sum()
    nll_C = np.maximum(ratio_C, _NLL_FLOOR)
    residual_C_N = nll_nats_C_N - ratio_C[:, None] * n_tokens_N
    relative_C_N = residual_C_N / (nll_C[:, None] * n_tokens_N.mean())
    influence_B_G = groups.influences(np.concatenate([correct_C_N - accuracy_C[:, None], relative_C_N]))
    if not groups.is_trivial:
        influence_B_G = np.ascontiguousarray(influence_B_G[:, _canonical_order(influence_B_G)])
    return Moments(
        n=n,
        accuracy_C=accuracy_C,
        nll_C=nll_C,
        sample_cov_B_B=influence_B_G @ influence_B_G.T / (max(groups.number - 1, 1) * groups.number),
        noise_cov_B_B=_regularised_covariance(influence_B_G),
        groups=None if groups.is_trivial else groups.effective,
        influence_B_G=influence_B_G,
    )


def measure_seeds(
    correct_S_C_N: FloatArray,
    nll_nats_S_C_N: FloatArray,
    n_tokens_N: FloatArray,
    groups: Groups | None = None,
) -> Moments:
    """Reduce the rows of several seeds of one recipe to the recipe's mean curves.

    Two errors add up: which problems were drawn, by the problems' spread of the mean over seeds, and
    which seeds, by the spread between the seeds' curves over S. With one seed only the first is known,
    and what is said holds for that run alone.

    Args:
        correct_S_C_N: correctness of each seed, as in `measure_curves`.
        nll_nats_S_C_N: NLL of each seed.
        n_tokens_N: completion tokens, at least 1.
        groups: of problems that stand for one another; each alone by default.
    """
    correct_C_N, nll_nats_C_N = correct_S_C_N.mean(axis=0), nll_nats_S_C_N.mean(axis=0)
    over_problems = measure_curves(correct_C_N, nll_nats_C_N, n_tokens_N, groups)
    seeds = len(correct_S_C_N)
    if seeds == 1:
        return over_problems
    nll_S_C = np.maximum(nll_nats_S_C_N.sum(axis=2) / n_tokens_N.sum(), _NLL_FLOOR)
    curves_S_B = np.concatenate([correct_S_C_N.mean(axis=2), np.log(nll_S_C)], axis=1)
    deviation_B_S = (curves_S_B - curves_S_B.mean(axis=0)).T
    basis_B_B = np.kron(np.eye(2), cosine_basis(correct_S_C_N.shape[1]))
    shrunk_B_B = basis_B_B.T @ _shrunk_covariance(basis_B_B @ deviation_B_S) @ basis_B_B
    return replace(
        over_problems,
        sample_cov_B_B=over_problems.sample_cov_B_B + deviation_B_S @ deviation_B_S.T / (seeds - 1) / seeds,
        noise_cov_B_B=over_problems.noise_cov_B_B + shrunk_B_B / seeds,
    )


def _canonical_order(rows_K_N: FloatArray) -> IntArray:
    """The order of problems by their content, so that sums do not depend on the one they came in."""
    return np.lexsort(rows_K_N)


def _regularised_covariance(influence_B_G: FloatArray) -> FloatArray:
    """Covariance of the means, shrunk towards a diagonal in a cosine basis over checkpoints.

    With 2C near G the sample covariance has directions of almost no variance by chance, which a
    posterior would take for exact knowledge. A covariance that depends on the distance between
    checkpoints is nearly diagonal in the cosine basis, so correlations there are shrunk towards zero
    with the intensity of Schaefer and Strimmer (2005, doi 10.2202/1544-6115.1175).
    """
    size, n = influence_B_G.shape
    checkpoints = size // 2
    basis_B_B = np.kron(np.eye(2), cosine_basis(checkpoints))
    if n < 2:
        return np.diag(np.repeat([_ACCURACY_FLOOR_VARIANCE, 1.0], checkpoints))
    waves_B_G = basis_B_B @ influence_B_G
    covariance_B_B = _shrunk_covariance(waves_B_G) / n
    floor_B = np.repeat([_ACCURACY_FLOOR_VARIANCE / n, _LOG_NLL_FLOOR_SD**2], checkpoints) / n
    return np.asarray(basis_B_B.T @ covariance_B_B @ basis_B_B + np.diag(floor_B))


def cosine_basis(size: int) -> FloatArray:
    """Orthonormal DCT-II matrix; row 0 is the level, later rows are ever faster waves."""
    index = np.arange(size)
    rows = np.cos(np.pi * np.outer(index, index + 0.5) / size) * np.sqrt(2.0 / size)
    rows[0] /= np.sqrt(2.0)
    return np.asarray(rows)


def _shrunk_covariance(values_B_N: FloatArray) -> FloatArray:
    """Covariance with correlations scaled by 1 - lambda, lambda = sum var(r) / sum r^2."""
    n = values_B_N.shape[1]
    sd_B = np.sqrt((values_B_N**2).sum(axis=1) / (n - 1))
    scaled_B_N = values_B_N / np.where(sd_B > 0, sd_B, 1.0)[:, None]
    correlation_B_B = scaled_B_N @ scaled_B_N.T / (n - 1)
    squares_B_B = scaled_B_N**2 @ (scaled_B_N**2).T
    variance_B_B = (squares_B_B - n * (correlation_B_B * (n - 1) / n) ** 2) * n / (n - 1) ** 3
    off_B_B = ~np.eye(sd_B.size, dtype=bool)
    total = float((correlation_B_B[off_B_B] ** 2).sum())
    intensity = min(1.0, max(0.0, float(variance_B_B[off_B_B].sum()) / total)) if total > 0 else 1.0
    correlation_B_B[off_B_B] *= 1.0 - intensity
    return np.asarray(correlation_B_B * np.outer(sd_B, sd_B))
