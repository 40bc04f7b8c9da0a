"""How many problems would settle a stage: the chance that it is given, against the number of problems.

Futures with more problems are imagined (`predictive`). Each is judged as the run was, and the share of them
in which a stage is given, whichever it is, is the chance. An estimate that takes today's curve for the truth
would promise too much: what more problems confirm may also be that the curve lies on a threshold.

Shape suffixes: C checkpoints, K numbers of problems.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from overmem.rule import Rule
from overmem.stats.arrays import BoolArray, FloatArray, IntArray
from overmem.stats.curves.posterior import FittedPrior
from overmem.stats.curves.predictive import Futures
from overmem.stats.moments import Moments
from overmem.stats.stage_draws import probabilities_of
from overmem.stats.threads import one_blas_thread

MULTIPLES = (1.5, 2.2, 3.3, 5.0, 8.0, 14.0, 25.0, 50.0, 100.0)
"""Times the problems measured."""
AN_EVEN_CHANCE, LIKELY = 0.5, 0.8
_PAIRS, _FUTURES, _DRAWS = 20, 100, 300
_MOST_POINTS = 5000
"""Checkpoints times futures; more checkpoints get fewer futures, half of the draws, and every second of the
multiples."""


@dataclass(frozen=True, kw_only=True)
class Settling:
    """How many problems in all would settle the stage of one checkpoint."""

    even: int | None
    """With a chance of a half; None where the most that were imagined are too few."""
    likely: int | None
    """With a chance of 0.8; likewise."""
    chance_at_most: float
    """That the stage is given with the most problems that were imagined."""


@one_blas_thread()
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
    futures = min(_FUTURES, max(_PAIRS, _MOST_POINTS // asked_C.size))
    few = futures == _FUTURES
    imagined = Futures.of(
        fitted,
        moments,
        np.random.default_rng(rule.seed),
        pairs=_PAIRS,
        futures=futures,
        draws=_DRAWS if few else _DRAWS // 3,
    )
    tried: list[int] = []
    chances: list[FloatArray] = []
    for multiple in MULTIPLES if few else MULTIPLES[::2]:
        tried.append(max(_two_digits(multiple * moments.n), least))
        chances.append(_given(imagined, tried[-1] / moments.n, steps_C, rule))
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


def _given(imagined: Futures, multiple: float, steps_C: IntArray, rule: Rule) -> FloatArray:
    """Share (C) of the futures with so many times the problems in which a stage is given."""
    given_F_C = [
        probabilities_of(curves, steps_C, rule).max(axis=1) >= rule.confidence_threshold
        for curves in imagined.with_problems(multiple)
    ]
    return np.asarray(np.mean(given_F_C, axis=0))


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
