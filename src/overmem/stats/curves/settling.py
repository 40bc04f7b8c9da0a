"""How many problems would settle a stage: the chance that it is given, against the number of problems.

Futures with more problems are imagined: a true curve drawn given the rows, the mean of more rows around it,
and the posterior given both. Each future is judged as the run was, and the share of them in which a stage is
given, whichever it is, is the chance. An estimate that takes today's curve for the truth would promise too
much: what more problems confirm may also be that the curve lies on a threshold.

For a pair of scales the prior and the error of measurement are diagonal in a common basis, so that a future
with any number of problems costs a few products.

Shape suffixes: C checkpoints, B = 2C (accuracies, then log NLLs), P pairs of scales, F futures, D draws of
a future, R some of the draws of all futures.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from overmem.rule import Rule
from overmem.stats.arrays import BoolArray, FloatArray, IntArray
from overmem.stats.curves.posterior import Curves, FittedPrior, measured_vector
from overmem.stats.curves.sampler import softmax, systematic_choice
from overmem.stats.moments import Moments
from overmem.stats.stage_rule import stage_codes, stage_shares

MULTIPLES = (1.5, 2.2, 3.3, 5.0, 8.0, 14.0, 25.0, 50.0, 100.0)
"""Times the problems measured."""
AN_EVEN_CHANCE, LIKELY = 0.5, 0.8
_PAIRS = 20
"""Pairs of scales, of today's weight; what a future adds to it is counted."""
_FUTURES = 100
_DRAWS = 150


@dataclass(frozen=True, kw_only=True)
class Settling:
    """How many problems in all would settle the stage of one checkpoint."""

    even: int | None
    """With a chance of a half; None where the most that were imagined are too few."""
    likely: int | None
    """With a chance of 0.8; likewise."""
    chance_at_most: float
    """That the stage is given with the most problems that were imagined."""


def problems_to_settle(
    fitted: FittedPrior,
    moments: Moments,
    steps_C: IntArray,
    asked_C: BoolArray,
    rule: Rule,
    *,
    least: int,
) -> list[Settling | None]:
    """Say for each checkpoint that is asked for how many problems would settle its stage.

    Args:
        fitted: the prior with scales weighed by the rows seen.
        moments: measured curves.
        steps_C: optimizer steps, increasing.
        asked_C: the checkpoints whose stage is undetermined.
        rule: thresholds, and the seed of the futures.
        least: fewest problems on which a stage is given.

    Returns:
        One item a checkpoint, None where it is not asked for.
    """
    if not asked_C.any():
        return [None] * asked_C.size
    imagined = _Futures.of(fitted, moments, np.random.default_rng(rule.seed))
    tried: list[int] = []
    chances: list[FloatArray] = []
    for multiple in MULTIPLES:
        tried.append(max(_two_digits(multiple * moments.n), least))
        chances.append(_given(imagined.draws(tried[-1] / moments.n), steps_C, rule))
        if chances[-1][asked_C].min() >= LIKELY:
            break
    # More problems settle no less; what falls is the noise of the futures.
    rising_K_C = np.maximum.accumulate(np.stack(chances))
    return [
        Settling(
            even=_reached(tried, rising_K_C[:, c], AN_EVEN_CHANCE),
            likely=_reached(tried, rising_K_C[:, c], LIKELY),
            chance_at_most=float(rising_K_C[-1, c]),
        )
        if asked_C[c]
        else None
        for c in range(asked_C.size)
    ]


@dataclass(frozen=True, kw_only=True)
class _Futures:
    """What is drawn once for all numbers of problems; curves are whitened, errors of the rows seen are 1."""

    mean_B: FloatArray
    root_B_B: FloatArray
    """From whitened curves to curves less their prior mean."""
    prior_P_B: FloatArray
    """Variances of the prior of each pair in its own basis."""
    basis_P_B_B: FloatArray
    """From a pair's basis to whitened curves."""
    seen_B: FloatArray
    """What was measured."""
    true_F_B: FloatArray
    """True curves drawn given the rows seen."""
    rest_F_B: FloatArray
    """Errors of rows not seen, for as many of them as were seen."""
    normal_R_B: FloatArray
    """Noise of the draws of all futures."""

    @classmethod
    def of(cls, fitted: FittedPrior, moments: Moments, rng: np.random.Generator) -> _Futures:
        cov_P_B_B = fitted.cov_M_B_B[systematic_choice(fitted.weight_M, _PAIRS, rng.random())]
        root_B_B: FloatArray = np.asarray(np.linalg.cholesky(moments.noise_cov_B_B), dtype=np.float64)
        half_P_B_B = np.linalg.solve(root_B_B, cov_P_B_B)
        prior_P_B, basis_P_B_B = np.linalg.eigh(np.linalg.solve(root_B_B, half_P_B_B.swapaxes(1, 2)))
        prior_P_B = np.maximum(prior_P_B, 1e-12)
        measured_B = measured_vector(moments.accuracy_C, moments.nll_C) - fitted.mean_B
        seen_B: FloatArray = np.asarray(np.linalg.solve(root_B_B, measured_B), dtype=np.float64)
        of_F = np.arange(_FUTURES) % _PAIRS
        gain_P_B = prior_P_B / (1.0 + prior_P_B)
        normal = rng.standard_normal((2, _FUTURES, seen_B.size))
        own_F_B = (gain_P_B * (seen_B @ basis_P_B_B))[of_F] + np.sqrt(gain_P_B)[of_F] * normal[0]
        return cls(
            mean_B=fitted.mean_B,
            root_B_B=root_B_B,
            prior_P_B=prior_P_B,
            basis_P_B_B=basis_P_B_B,
            seen_B=seen_B,
            true_F_B=np.einsum("fij,fj->fi", basis_P_B_B[of_F], own_F_B),
            rest_F_B=normal[1],
            normal_R_B=rng.standard_normal((_FUTURES * _DRAWS, seen_B.size)),
        )

    def draws(self, multiple: float) -> Curves:
        """Draws of each future with so many times the problems; D rows of the first, then of the next."""
        rest_F_B = self.true_F_B + self.rest_F_B / math.sqrt(multiple - 1.0)
        all_F_B = (self.seen_B + (multiple - 1.0) * rest_F_B) / multiple
        own_P_F_B = all_F_B @ self.basis_P_B_B
        # The rows seen have weighed the pairs already, so only what all the rows add counts.
        seen_P = _log_density(self.seen_B @ self.basis_P_B_B, self.prior_P_B + 1.0)
        weight_P_F = _log_density(own_P_F_B, self.prior_P_B[:, None] + 1.0 / multiple) - seen_P[:, None]
        pair_F_D = np.stack([systematic_choice(softmax(of_F), _DRAWS, 0.5) for of_F in weight_P_F.T])
        gain_P_B = multiple * self.prior_P_B / (1.0 + multiple * self.prior_P_B)
        white_R_B = np.empty_like(self.normal_R_B)
        for pair in np.unique(pair_F_D):
            future_R, draw_R = np.nonzero(pair_F_D == pair)
            at_R = future_R * _DRAWS + draw_R
            centre_R_B = gain_P_B[pair] * own_P_F_B[pair, future_R]
            spread_R_B = np.sqrt(gain_P_B[pair] / multiple) * self.normal_R_B[at_R]
            white_R_B[at_R] = (centre_R_B + spread_R_B) @ self.basis_P_B_B[pair].T
        return Curves.of(self.mean_B + white_R_B @ self.root_B_B.T)


def _log_density(values: FloatArray, variances: FloatArray) -> FloatArray:
    """Log density of independent Gaussians over the last axis, up to a constant."""
    return np.asarray(-0.5 * (np.log(variances) + values**2 / variances).sum(axis=-1))


def _given(curves: Curves, steps_C: IntArray, rule: Rule) -> FloatArray:
    """Share (C) of the futures in which a stage is given."""
    codes_R_C = stage_codes(curves.accuracy_D_C, curves.nll_D_C, steps_C, rule)
    shares_F_C_S = np.stack([stage_shares(codes_D_C) for codes_D_C in np.split(codes_R_C, _FUTURES)])
    return np.asarray((shares_F_C_S.max(axis=2) >= rule.confidence_threshold).mean(axis=0))


def _reached(problems: list[int], chance_K: FloatArray, wanted: float) -> int | None:
    """Problems at which a rising chance reaches what is wanted, evenly between those tried."""
    if chance_K[-1] < wanted:
        return None
    k = int((chance_K >= wanted).argmax())
    if k == 0:
        return problems[0]
    share = (wanted - chance_K[k - 1]) / (chance_K[k] - chance_K[k - 1])
    low, high = math.log(problems[k - 1]), math.log(problems[k])
    return _two_digits(math.exp(low + share * (high - low)))


def _two_digits(value: float) -> int:
    """Round up to two significant digits; an estimate deserves no more."""
    unit = int(10 ** max(0, math.floor(math.log10(value)) - 1))
    return math.ceil(value / unit - 1e-9) * unit
