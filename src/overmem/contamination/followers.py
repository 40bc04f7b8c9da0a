"""Which val problems behave like training problems: a mixture of two parts over how their NLL moved.

Where training memorizes, the NLL of what it saw falls and that of the rest does not. A val problem whose NLL
moved as train's did, and not as the rest of val's, was seen in training, whatever its wording. Each part is a
Student t with heavy tails, so that a problem which is merely easy is not taken for one that was seen.

Shape suffixes: N val problems, M training problems.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from overmem.stats.arrays import FloatArray

DEGREES = 4.0
"""Of freedom of the t: heavier tails than any normal, lighter than a Cauchy's."""
FLOOR_NATS = 1e-4
"""Nats a token under which NLL is not told from zero."""
FEWEST = 30
"""Fewer problems of a part allow no spread to be told."""
LEAST_APART = 3.0
"""Nearer to one another than so many spreads, the parts cannot be told apart, and nothing is said."""
ROUNDS = 100
LEAST_SPREAD = 0.05
"""Of log NLL, so that a part is never a spike."""
_TO_SIGMA = 1.4826


@dataclass(frozen=True, kw_only=True)
class Followers:
    """The val problems as a mixture of clean ones and those that move with train."""

    probability_N: FloatArray
    """That each val problem moves with train, in [0, 1]."""
    share: float
    """Estimated share of val that does."""
    apart: float
    """How far the centres of the two parts are apart, in their larger spread."""


def nll_change(first: FloatArray, last: FloatArray) -> FloatArray:
    """How much NLL fell or rose between two checkpoints, as the difference of its logarithms.

    Args:
        first: nats per token of each problem at the earlier checkpoint.
        last: at the later one.

    Returns:
        Below zero where NLL fell; -0.69 is half of it.
    """
    return np.log(np.maximum(last, FLOOR_NATS)) - np.log(np.maximum(first, FLOOR_NATS))


def find_followers(val_N: FloatArray, train_M: FloatArray) -> Followers | None:
    """Tell val problems that move with train from the rest of val, by expectation-maximisation.

    Args:
        val_N: change of each val problem; see `nll_change`.
        train_M: of each training problem measured.

    Returns:
        None where either set has fewer than 30 problems, or where the parts lie too near to one another.
    """
    if min(val_N.size, train_M.size) < FEWEST:
        return None
    seen_at, seen_spread = _robust(train_M, np.ones_like(train_M))
    seen_N = _density(val_N, seen_at, seen_spread)
    clean_at, clean_spread = _robust(val_N, np.ones_like(val_N))
    share, probability_N = 0.05, np.zeros_like(val_N)
    for _ in range(ROUNDS):
        clean_N = _density(val_N, clean_at, clean_spread)
        before = probability_N
        probability_N = share * seen_N / (share * seen_N + (1.0 - share) * clean_N)
        share = float(np.clip(probability_N.mean(), 1.0 / (2 * val_N.size), 0.5))
        if float((1.0 - probability_N).sum()) >= FEWEST:
            clean_at, clean_spread = _robust(val_N, 1.0 - probability_N)
        if np.abs(probability_N - before).max() < 1e-6:
            break
    apart = (clean_at - seen_at) / max(clean_spread, seen_spread)
    if apart < LEAST_APART:
        return None
    return Followers(probability_N=probability_N, share=share, apart=float(apart))


def _robust(values: FloatArray, weights: FloatArray) -> tuple[float, float]:
    """Weighted median, and spread from the weighted median distance to it, as a standard deviation's."""
    centre = _median(values, weights)
    return centre, max(LEAST_SPREAD, _TO_SIGMA * _median(np.abs(values - centre), weights))


def _median(values: FloatArray, weights: FloatArray) -> float:
    order = np.argsort(values, kind="stable")
    total = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(total, total[-1] / 2.0)])


def _density(values: FloatArray, centre: float, spread: float) -> FloatArray:
    """Student's t with the given centre and spread."""
    k = DEGREES
    scaled = (values - centre) / spread
    constant = math.gamma((k + 1) / 2) / (math.gamma(k / 2) * math.sqrt(k * math.pi) * spread)
    found: FloatArray = constant * (1 + scaled**2 / k) ** (-(k + 1) / 2)
    return found
