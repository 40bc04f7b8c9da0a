"""Draws of the true curves given the rows.

Resampling problems would add the measurement noise a second time, and the peak of a noisy curve is
a maximum, so it would be too high twice over. Here the true curves are drawn from their posterior
instead: curve prior (`gp`) times a Gaussian likelihood whose covariance comes from the paired rows
(`moments`), with all scales of the prior integrated over.

Shape suffixes: C checkpoints, B = 2C (accuracies, then log NLLs), M pairs of scales (one point for
accuracy, one for NLL), D draws, K and U some of the M, R some of the D.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from overmem.stats.arrays import FloatArray, IntArray
from overmem.stats.curves.gaussian_process import (
    ACCURACY_PRIOR,
    LOG_NLL_PRIOR,
    log_evidence,
    some_at_once,
)
from overmem.stats.curves.sampler import sample_scales, softmax, systematic_choice
from overmem.stats.moments import Moments
from overmem.stats.threads import beside_each_other

_PAIRING_SEED = 1


@dataclass(frozen=True, kw_only=True)
class FittedPrior:
    """The curve prior after the scales have seen the data: a mixture of Gaussians."""

    mean_B: FloatArray
    accuracy_cov_M_C_C: FloatArray
    log_nll_cov_M_C_C: FloatArray
    """The two curves are independent before the rows are seen."""
    weight_M: FloatArray
    """Posterior weight of each pair of scales; sums to 1."""

    def covariances(self, chosen: IntArray | slice) -> FloatArray:
        """Prior covariances (K, B, B) of some of the pairs."""
        return _both(self.accuracy_cov_M_C_C[chosen], self.log_nll_cov_M_C_C[chosen])


@dataclass(frozen=True, kw_only=True)
class Curves:
    """Draws of the true curves; row d of both arrays belongs together."""

    accuracy_D_C: FloatArray
    nll_D_C: FloatArray

    @classmethod
    def of(cls, values_D_B: FloatArray) -> Curves:
        """From draws of accuracies, cut to [0, 1], and log NLLs; see `measured_vector`."""
        checkpoints = values_D_B.shape[1] // 2
        return cls(
            accuracy_D_C=np.clip(values_D_B[:, :checkpoints], 0.0, 1.0),
            nll_D_C=np.exp(values_D_B[:, checkpoints:]),
        )


def measured_vector(accuracy_C: FloatArray, nll_C: FloatArray) -> FloatArray:
    """Stack accuracies and log NLLs into the vector that the posterior works on."""
    return np.concatenate([accuracy_C, np.log(nll_C)])


def fit_prior(moments: Moments, steps_C: IntArray, chain: int = 0) -> FittedPrior:
    """Draw the prior's scales by how well they explain the measured curves.

    Accuracy and NLL scales are first drawn apart; pairs are then formed and reweighed jointly,
    because the two measures share their problems and so their errors.

    Args:
        moments: measured curves with the covariance of their errors.
        steps_C: increasing optimizer steps.
        chain: which of the sampler's fixed seeds.

    Returns:
        FittedPrior, deterministic in its inputs.
    """
    checkpoints = steps_C.size
    mean_B = np.repeat([ACCURACY_PRIOR.level_mean, LOG_NLL_PRIOR.level_mean], checkpoints)
    residual_B = measured_vector(moments.accuracy_C, moments.nll_C) - mean_B
    first, second = slice(None, checkpoints), slice(checkpoints, None)
    noise_cov_B_B = moments.noise_cov_B_B
    (accuracy_cov, accuracy_evidence), (nll_cov, nll_evidence) = beside_each_other(
        lambda of: sample_scales(of[0], steps_C, noise_cov_B_B[of[1], of[1]], residual_B[of[1]], chain),
        ((ACCURACY_PRIOR, first), (LOG_NLL_PRIOR, second)),
    )
    partner_M = np.random.default_rng(_PAIRING_SEED + chain).permutation(len(nll_cov))
    nll_cov = nll_cov[partner_M]
    joint_M = np.concatenate(
        [
            log_evidence(_both(accuracy_cov[some], nll_cov[some]), residual_B, noise_cov_B_B)
            for some in some_at_once(len(nll_cov), residual_B.size)
        ]
    )
    weight_M = softmax(joint_M - accuracy_evidence - nll_evidence[partner_M])
    return FittedPrior(
        mean_B=mean_B, accuracy_cov_M_C_C=accuracy_cov, log_nll_cov_M_C_C=nll_cov, weight_M=weight_M
    )


def _both(accuracy_cov_K_C_C: FloatArray, log_nll_cov_K_C_C: FloatArray) -> FloatArray:
    """Covariances (K, B, B) of two curves that are independent."""
    pairs, checkpoints = accuracy_cov_K_C_C.shape[:2]
    cov_K_B_B = np.zeros((pairs, 2 * checkpoints, 2 * checkpoints))
    cov_K_B_B[:, :checkpoints, :checkpoints] = accuracy_cov_K_C_C
    cov_K_B_B[:, checkpoints:, checkpoints:] = log_nll_cov_K_C_C
    return cov_K_B_B


def pooled(chains: Sequence[FittedPrior]) -> FittedPrior:
    """Several chains of one run as one; the sampler's error falls with the square root of their number."""
    return FittedPrior(
        mean_B=chains[0].mean_B,
        accuracy_cov_M_C_C=np.concatenate([chain.accuracy_cov_M_C_C for chain in chains]),
        log_nll_cov_M_C_C=np.concatenate([chain.log_nll_cov_M_C_C for chain in chains]),
        weight_M=np.concatenate([chain.weight_M for chain in chains]) / len(chains),
    )


def draw_curves(fitted: FittedPrior, moments: Moments, draws: int, rng: np.random.Generator) -> Curves:
    """Draw true curves from the posterior.

    Args:
        fitted: the prior with weighed scales.
        moments: measured curves with the covariance of their errors.
        draws: D.
        rng: source of randomness.

    Returns:
        Curves with accuracies cut to [0, 1] and NLL in nats per token.
    """
    measured_B = measured_vector(moments.accuracy_C, moments.nll_C)
    return _draw(fitted, measured_B, moments.noise_cov_B_B, draws, rng)


def _draw(
    fitted: FittedPrior,
    measured_B: FloatArray,
    noise_cov_B_B: FloatArray,
    draws: int,
    rng: np.random.Generator,
) -> Curves:
    """Give each pair of scales draws in proportion to its weight.

    A draw is a prior curve corrected by the gain times what it leaves unexplained (Matheron's rule),
    which is exact for Gaussians.
    """
    chosen_D = systematic_choice(fitted.weight_M, draws, rng.random())
    used_U, place_D = np.unique(chosen_D, return_inverse=True)
    size = measured_B.size
    curves = (slice(None, size // 2), slice(size // 2, None))
    noise_D_B = rng.standard_normal((draws, size)) @ np.linalg.cholesky(noise_cov_B_B).T
    normal_D_B = rng.standard_normal((draws, size))
    values_D_B = np.empty((draws, size))
    for place, used in enumerate(used_U):
        rows, cov_B_B = place_D == place, fitted.covariances(slice(used, used + 1))[0]
        prior_R_B = fitted.mean_B + np.hstack(
            [normal_D_B[rows, of] @ np.linalg.cholesky(cov_B_B[of, of]).T for of in curves]
        )
        left_R_B = measured_B - noise_D_B[rows] - prior_R_B
        # Solved for the few draws of this pair: its gain would cost as many solutions as it has columns.
        values_D_B[rows] = prior_R_B + np.linalg.solve(cov_B_B + noise_cov_B_B, left_R_B.T).T @ cov_B_B
    return Curves.of(values_D_B)
