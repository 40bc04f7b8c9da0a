"""What the rest of the problems may still say: verdicts as they would be on all of them.

Each imagined future takes true curves from the posterior of the rows seen, adds the rows not seen as
noise around them, and draws the posterior anew from the two together. The rows seen stay what they are,
so the fewer are missing, the less a future can differ.

Shape suffixes: C checkpoints, B = 2C (accuracies, then log NLLs), M pairs of scales, F futures, D draws
of one future.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from overmem.stats.arrays import FloatArray
from overmem.stats.curves.gaussian_process import log_evidence
from overmem.stats.curves.posterior import Curves, FittedPrior, measured_vector
from overmem.stats.curves.sampler import softmax, systematic_choice
from overmem.stats.moments import Moments

FUTURES = 400
_DRAWS = 300
_PAIRS = 100
"""Pairs of scales kept; their weights follow each future."""


def draw_futures(
    fitted: FittedPrior, moments: Moments, curves: Curves, n_all: int, rng: np.random.Generator
) -> Iterator[Curves]:
    """Draw true curves as they would be drawn once all problems are measured.

    Means over all problems are taken to be Gaussian around the true curve, with the covariance that the
    rows seen show; log NLL is averaged over problems like accuracy, as its error is small.

    Args:
        fitted: the prior with scales weighed by the rows seen.
        moments: measured curves of the rows seen.
        curves: draws of the true curves given them.
        n_all: problems there are in all, more than `moments.n`.
        rng: source of randomness.

    Yields:
        `FUTURES` times the draws of one future.
    """
    if n_all <= moments.n:
        raise ValueError(f"{n_all} problems in all leave nothing to imagine after {moments.n}")
    share = moments.n / n_all
    seen_B = measured_vector(moments.accuracy_C, moments.nll_C)
    chosen_F = rng.integers(len(curves.accuracy_D_C), size=FUTURES)
    true_F_B = np.concatenate([curves.accuracy_D_C[chosen_F], np.log(curves.nll_D_C[chosen_F])], axis=1)
    noise_B_B = moments.noise_cov_B_B
    rest_root_B_B = np.linalg.cholesky(noise_B_B * share / (1 - share))
    rest_F_B = true_F_B + rng.standard_normal(true_F_B.shape) @ rest_root_B_B.T
    all_F_B = share * seen_B + (1 - share) * rest_F_B
    kept_M = np.unique(systematic_choice(fitted.weight_M, _PAIRS, 0.5))
    cov_M_B_B = fitted.cov_M_B_B[kept_M]
    total_M_B_B = cov_M_B_B + share * noise_B_B
    # The rows seen have weighed the scales already, so only what all the rows add counts.
    known_M = np.log(fitted.weight_M[kept_M]) - log_evidence(cov_M_B_B + noise_B_B, seen_B - fitted.mean_B)
    evidence_F_M = known_M + _evidence_of_many(total_M_B_B, all_F_B - fitted.mean_B)
    gain_M_B_B = np.linalg.solve(total_M_B_B, cov_M_B_B).swapaxes(1, 2)
    noise_M_D_B = _posterior_noise(cov_M_B_B, gain_M_B_B @ cov_M_B_B, rng)
    for all_B, evidence_M in zip(all_F_B, evidence_F_M, strict=True):
        at_D = systematic_choice(softmax(evidence_M), _DRAWS, rng.random())
        centre_M_B = fitted.mean_B + gain_M_B_B @ (all_B - fitted.mean_B)
        yield Curves.of(centre_M_B[at_D] + noise_M_D_B[at_D, np.arange(_DRAWS)])


def _evidence_of_many(cov_M_B_B: FloatArray, residual_F_B: FloatArray) -> FloatArray:
    """`log_evidence` (F, M) of many residuals under the same Gaussians, factorised once."""
    root_M_B_B = np.linalg.cholesky(cov_M_B_B)
    white_M_B_F = np.linalg.solve(root_M_B_B, residual_F_B.T)
    half_log_det_M = np.log(np.diagonal(root_M_B_B, axis1=1, axis2=2)).sum(axis=1)
    return np.asarray(-half_log_det_M - 0.5 * (white_M_B_F**2).sum(axis=1).T)


def _posterior_noise(
    cov_M_B_B: FloatArray, explained_M_B_B: FloatArray, rng: np.random.Generator
) -> FloatArray:
    """Draws (M, D, B) around the posterior mean; their spread does not depend on what is measured."""
    left_M_B_B = cov_M_B_B - explained_M_B_B
    size = left_M_B_B.shape[1]
    # Rounding can leave an eigenvalue just below zero.
    safe_M_B_B = (left_M_B_B + left_M_B_B.swapaxes(1, 2)) / 2 + 1e-12 * np.eye(size)
    return np.asarray(rng.standard_normal((_DRAWS, size)) @ np.linalg.cholesky(safe_M_B_B).swapaxes(1, 2))
