"""How many problems would settle a stage: the chance that it is given, against the number of problems.

Futures with more problems are imagined: a true curve drawn given the rows, the mean of more rows around it,
and the posterior given both. Each future is judged as the run was, and the share of them in which a stage is
given, whichever it is, is the chance. An estimate that takes today's curve for the truth would promise too
much: what more problems confirm may also be that the curve lies on a threshold.

For one pair of scales the prior and the error of measurement are diagonal in a common basis, so that a future
with any number of problems costs a few products. The scales stay as today's rows weigh them.

Shape suffixes: C checkpoints, B = 2C (accuracies, then log NLLs), P pairs of scales, F futures of a pair,
D draws of a future.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from overmem.rule import Rule
from overmem.stats.arrays import BoolArray, FloatArray, IntArray
from overmem.stats.moments import Moments
from overmem.stats.posterior import Curves, FittedPrior, measured_vector
from overmem.stats.sampler import systematic_choice
from overmem.stats.stage_rule import stage_codes, stage_shares

MULTIPLES = (1.5, 2.2, 3.3, 5.0, 8.0, 14.0, 25.0, 50.0, 100.0)
"""Times the problems measured."""
AN_EVEN_CHANCE, LIKELY = 0.5, 0.8
_PAIRS = 20
_FUTURES = 5
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
    rng = np.random.default_rng(rule.seed)
    pairs = [
        _Pair.of(fitted.cov_M_B_B[m], moments, fitted.mean_B, rng)
        for m in systematic_choice(fitted.weight_M, _PAIRS, rng.random())
    ]
    tried: list[int] = []
    chances: list[FloatArray] = []
    for multiple in MULTIPLES:
        tried.append(max(_two_digits(multiple * moments.n), least))
        futures = [pair.futures(tried[-1] / moments.n, fitted.mean_B) for pair in pairs]
        chances.append(np.mean([_given(curves, steps_C, rule) for curves in futures], axis=0))
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
class _Pair:
    """One pair of scales in the basis in which the error of the rows seen is 1 and the prior diagonal."""

    back_B_B: FloatArray
    """From that basis to curves less their prior mean."""
    prior_B: FloatArray
    """Variances of the prior."""
    seen_B: FloatArray
    """What was measured."""
    true_F_B: FloatArray
    """True curves drawn given the rows seen."""
    rest_F_B: FloatArray
    """Errors of the rows not seen, of unit variance."""
    draw_D_B: FloatArray

    @classmethod
    def of(cls, cov_B_B: FloatArray, moments: Moments, mean_B: FloatArray, rng: np.random.Generator) -> _Pair:
        root_B_B = np.linalg.cholesky(moments.noise_cov_B_B)
        half_B_B = np.linalg.solve(root_B_B, cov_B_B)
        prior_B, basis_B_B = np.linalg.eigh(np.linalg.solve(root_B_B, half_B_B.T))
        prior_B = np.maximum(prior_B, 0.0)
        measured_B = measured_vector(moments.accuracy_C, moments.nll_C) - mean_B
        seen_B = basis_B_B.T @ np.linalg.solve(root_B_B, measured_B)
        gain_B = prior_B / (1.0 + prior_B)
        normal = rng.standard_normal((2, _FUTURES, prior_B.size))
        return cls(
            back_B_B=root_B_B @ basis_B_B,
            prior_B=prior_B,
            seen_B=seen_B,
            true_F_B=gain_B * seen_B + np.sqrt(gain_B) * normal[0],
            rest_F_B=normal[1],
            draw_D_B=rng.standard_normal((_DRAWS, prior_B.size)),
        )

    def futures(self, multiple: float, mean_B: FloatArray) -> Curves:
        """Draws of each future with so many times the problems; D rows of the first, then of the next."""
        rest_F_B = self.true_F_B + self.rest_F_B / math.sqrt(multiple - 1.0)
        all_F_B = (self.seen_B + (multiple - 1.0) * rest_F_B) / multiple
        gain_B = multiple * self.prior_B / (1.0 + multiple * self.prior_B)
        spread_D_B = np.sqrt(gain_B / multiple) * self.draw_D_B
        values_F_D_B = (gain_B * all_F_B)[:, None] + spread_D_B
        return Curves.of(mean_B + values_F_D_B.reshape(-1, mean_B.size) @ self.back_B_B.T)


def _given(curves: Curves, steps_C: IntArray, rule: Rule) -> FloatArray:
    """Share (C) of the futures of a pair in which a stage is given."""
    codes = stage_codes(curves.accuracy_D_C, curves.nll_D_C, steps_C, rule)
    shares_F_C_S = np.stack([stage_shares(of_one) for of_one in np.split(codes, _FUTURES)])
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
