"""The proof: is a repaired model better than the checkpoint one would ship without it?

Both are measured on problems that no choice has seen, and counted in pairs (docs/definitions.md, Repair).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from overmem.axes import all_axes
from overmem.records import Cost, Proof
from overmem.stats.arrays import FloatArray
from overmem.stats.measures import Measure
from overmem.stats.paired import AT_ONCE
from overmem.verdict.costs import DRAWS, Measured, compare_measured

CERTAIN = 0.95
"""Probability of "not worse" that a repair must reach."""


def prove(
    before: Measured,
    after: Measured,
    *,
    against: str,
    accuracy_margin: float,
    draws: int = DRAWS,
    seed: int = 0,
) -> Proof:
    """Accept a repair, or reject it with its figures.

    Accepted when accuracy is not worse (the paired difference is above -accuracy_margin with probability
    at least 0.95) and at least one of NLL, pass@k, robustness and OOD is better with a 95% interval
    clear of zero. Four chances at 95% accept a model that is equal in all four up to one time in ten.

    Args:
        before: measures of the checkpoint one would ship.
        after: the same of the repaired model, on the same problems.
        against: name of the checkpoint.
        accuracy_margin: loss of accuracy that still counts as none.
        draws: bootstrap draws over problems.
        seed: of the draws.
    """
    differences = compare_measured([after], [before], against=against, draws=draws, seed=seed)
    probability = not_worse(before["accuracy"], after["accuracy"], accuracy_margin, draws, seed)
    counting = [cost for cost in differences if cost.headline and all_axes()[cost.axis].proves_repair]
    gains = tuple(_spoken(cost) for cost in counting if clearly_better(cost))
    accepted = probability >= CERTAIN and bool(gains)
    return Proof(
        accepted=accepted,
        probability_not_worse=probability,
        gains=gains,
        reason=_reason(probability, gains, [_spoken(cost) for cost in counting], accuracy_margin),
        differences=tuple(differences),
    )


def not_worse(
    before: Mapping[str, Measure], after: Mapping[str, Measure], margin: float, draws: int, seed: int
) -> float:
    """Probability that the paired difference in accuracy is above -margin.

    By the Bayesian bootstrap (Rubin 1981) over the problems and three more: one lost, one won, one the same.
    A plain bootstrap of problems without a flip is certain whatever their number. Where answers are right
    or wrong, this is the posterior of the shares lost, won and the same under a uniform prior.
    """
    left_N, right_N = (_by_problem(next(iter(side.values()))) for side in (after, before))
    values_M = np.r_[left_N - right_N, -1.0, 0.0, 1.0]
    rng = np.random.default_rng([seed, len(values_M)])
    rows = max(1, AT_ONCE // len(values_M))
    blocks = [min(rows, draws - start) for start in range(0, draws, rows)]
    means_D = np.concatenate([rng.dirichlet(np.ones(len(values_M)), block) @ values_M for block in blocks])
    return float(np.mean(means_D > -margin))


def fewest_problems(margin: float) -> int:
    """Problems below which no proof is possible: even without a flip, a loss beyond the margin is too likely.

    Of n problems without a flip, that loss has probability (1 - margin)^(n + 2) / 2.

    Args:
        margin: accuracy that may be lost, in (0, 1).
    """
    return max(1, math.ceil(math.log(2 * (1 - CERTAIN)) / math.log(1 - margin)) - 2)


def _by_problem(measure: Measure) -> FloatArray:
    """The measure on each problem alone."""
    [(population, n)] = measure.sizes.items()
    rows = max(1, AT_ONCE // n)
    return np.concatenate(
        [measure.statistic({population: np.eye(min(rows, n - at), n, at)}) for at in range(0, n, rows)]
    )


def clearly_better(cost: Cost) -> bool:
    """Whether the 95% interval of this difference alone lies on the better side of zero."""
    if cost.direction == "higher":
        return cost.difference.low > 0
    return cost.direction == "lower" and cost.difference.high < 0


def _reason(probability: float, gains: Sequence[str], measured: Sequence[str], margin: float) -> str:
    said = f"accuracy is not worse by more than {100 * margin:g} points with probability {probability:.2f}"
    better = ", ".join(gains)
    if probability < CERTAIN:
        return f"{said}, and {CERTAIN:g} is needed" + (f"; better in {better}" if gains else "")
    if gains:
        return f"{said}, and better in {better}"
    return f"{said}, but nothing is clearly better (looked at: {', '.join(measured)})"


def _spoken(cost: Cost) -> str:
    return f"{cost.axis} {cost.measure.replace('_', ' ')}"
