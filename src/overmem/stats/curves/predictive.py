"""What more problems may still say: the true curves as they would be drawn with more rows.

Each imagined future takes a true curve from the posterior of the rows seen, adds the rows not seen as noise
around it, and draws the posterior anew from the two together. The rows seen stay what they are, so the fewer
are missing, the less a future can differ.

For a pair of scales the prior and the error of measurement are diagonal in a common basis, so that a future
with any number of problems costs a few products.

Shape suffixes: C checkpoints, B = 2C (accuracies, then log NLLs), P pairs of scales, F futures, D draws of
one future.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from overmem.stats.arrays import FloatArray
from overmem.stats.curves.posterior import Curves, FittedPrior, measured_vector
from overmem.stats.curves.sampler import softmax, systematic_choice
from overmem.stats.moments import Moments


@dataclass(frozen=True, kw_only=True)
class Futures:
    """What is drawn once for all numbers of problems; curves are whitened, errors of the rows seen are 1."""

    mean_B: FloatArray
    prior_P_B: FloatArray
    """Variances of the prior of each pair in its own basis."""
    basis_P_B_B: FloatArray
    """From a pair's basis to whitened curves."""
    to_curve_P_B_B: FloatArray
    """From a pair's basis to curves less their prior mean."""
    seen_B: FloatArray
    """What was measured."""
    true_F_B: FloatArray
    """True curves drawn given the rows seen."""
    rest_F_B: FloatArray
    """Errors of rows not seen, for as many of them as were seen."""
    normal_D_B: FloatArray
    """Noise of the draws, the same in every future."""

    @classmethod
    def of(
        cls,
        fitted: FittedPrior,
        moments: Moments,
        rng: np.random.Generator,
        *,
        pairs: int,
        futures: int,
        draws: int,
    ) -> Futures:
        """Imagine futures of a measured run.

        Means over the rows not seen are taken to be Gaussian around the true curve, with the covariance that
        the rows seen show; log NLL is averaged over problems like accuracy, as its error is small.

        Args:
            fitted: the prior with scales weighed by the rows seen.
            moments: measured curves of the rows seen.
            rng: source of randomness.
            pairs: P, chosen by their weight today; what a future adds to it is counted.
            futures: F.
            draws: D.
        """
        cov_P_B_B = fitted.covariances(systematic_choice(fitted.weight_M, pairs, rng.random()))
        root_B_B: FloatArray = np.asarray(np.linalg.cholesky(moments.noise_cov_B_B), dtype=np.float64)
        whiten_B_B: FloatArray = np.asarray(np.linalg.inv(root_B_B), dtype=np.float64)
        prior_P_B, basis_P_B_B = np.linalg.eigh(whiten_B_B @ cov_P_B_B @ whiten_B_B.T)
        prior_P_B = np.maximum(prior_P_B, 1e-12)
        measured_B = measured_vector(moments.accuracy_C, moments.nll_C) - fitted.mean_B
        seen_B: FloatArray = np.asarray(whiten_B_B @ measured_B, dtype=np.float64)
        of_F = np.arange(futures) % pairs
        gain_P_B = prior_P_B / (1.0 + prior_P_B)
        normal = rng.standard_normal((2, futures, seen_B.size))
        own_F_B = (gain_P_B * (seen_B @ basis_P_B_B))[of_F] + np.sqrt(gain_P_B)[of_F] * normal[0]
        return cls(
            mean_B=fitted.mean_B,
            prior_P_B=prior_P_B,
            basis_P_B_B=basis_P_B_B,
            to_curve_P_B_B=root_B_B @ basis_P_B_B,
            seen_B=seen_B,
            true_F_B=np.stack([basis_P_B_B[p] @ own_B for p, own_B in zip(of_F, own_F_B, strict=True)]),
            rest_F_B=normal[1],
            normal_D_B=rng.standard_normal((draws, seen_B.size)),
        )

    def with_problems(self, multiple: float) -> Iterator[Curves]:
        """Draw true curves of each future as they would be drawn with more problems.

        Args:
            multiple: problems in all, as a multiple of those seen; above 1.

        Yields:
            The D draws of one future after another.

        Raises:
            ValueError: there are no further problems.
        """
        if multiple <= 1.0:
            raise ValueError(f"{multiple:g} times the problems seen leave nothing to imagine")
        rest_F_B = self.true_F_B + self.rest_F_B / math.sqrt(multiple - 1.0)
        own_P_F_B = (self.seen_B + (multiple - 1.0) * rest_F_B) / multiple @ self.basis_P_B_B
        # The rows seen have weighed the pairs already, so only what all the rows add counts.
        seen_P = _log_density(self.seen_B @ self.basis_P_B_B, self.prior_P_B + 1.0)
        weight_P_F = _log_density(own_P_F_B, self.prior_P_B[:, None] + 1.0 / multiple) - seen_P[:, None]
        gain_P_1_B = (multiple * self.prior_P_B / (1.0 + multiple * self.prior_P_B))[:, None]
        to_curve_P_B_B = self.to_curve_P_B_B.swapaxes(1, 2)
        centre_P_F_B = gain_P_1_B * own_P_F_B @ to_curve_P_B_B
        noise_P_D_B = np.sqrt(gain_P_1_B / multiple) * self.normal_D_B @ to_curve_P_B_B
        every_D = np.arange(len(self.normal_D_B))
        for future, weight_P in enumerate(weight_P_F.T):
            pair_D = systematic_choice(softmax(weight_P), every_D.size, 0.5)
            yield Curves.of(self.mean_B + centre_P_F_B[pair_D, future] + noise_P_D_B[pair_D, every_D])


def _log_density(values: FloatArray, variances: FloatArray) -> FloatArray:
    """Log density of independent Gaussians over the last axis, up to a constant."""
    return np.asarray(-0.5 * (np.log(variances) + values**2 / variances).sum(axis=-1))
