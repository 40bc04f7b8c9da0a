"""The proof: is a repaired model better than the checkpoint one would ship without it?

Both are measured on held-out problems and counted in pairs (docs/definitions.md, Repair).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from overmem.axes import all_axes
from overmem.records import Cost, Proof
from overmem.repairing.tries import LEVEL, level_of, stretch_of
from overmem.stats.groups import Groups
from overmem.stats.measures import Measure
from overmem.stats.paired import some_at_once
from overmem.stats.threads import one_blas_thread
from overmem.verdict.costs import DRAWS, Measured, compare_measured


def prove(
    before: Measured,
    after: Measured,
    *,
    against: str,
    accuracy_margin: float,
    number: int = 1,
    draws: int = DRAWS,
    seed: int = 0,
) -> Proof:
    """Accept a repair, or reject it with its figures.

    Accepted when accuracy is not worse (the paired difference is above -accuracy_margin with probability
    at least 0.95) and at least one of NLL, pass@k, robustness and OOD is better with a 95% interval
    clear of zero. Four chances at 95% accept a model that is equal in all four up to one time in ten. On
    problems on which others were tried before, both 0.95 and 95% rise (`overmem.repairing.tries`).

    Args:
        before: measures of the checkpoint one would ship.
        after: the same of the repaired model, on the same problems.
        against: name of the checkpoint.
        accuracy_margin: loss of accuracy that still counts as none.
        number: which try on the same problems this is.
        draws: bootstrap draws over problems; so many times as many for the probability as `number` says.
        seed: of the draws.
    """
    differences = compare_measured([after], [before], against=against, draws=draws, seed=seed)
    probability = not_worse(before["accuracy"], after["accuracy"], accuracy_margin, draws * number, seed)
    counting = [cost for cost in differences if cost.headline and all_axes()[cost.axis].proves_repair]
    gains = tuple(_spoken(cost) for cost in counting if clearly_better(cost, stretch_of(number)))
    accepted = probability >= 1 - level_of(number) and bool(gains)
    return Proof(
        accepted=accepted,
        probability_not_worse=probability,
        gains=gains,
        reason=_reason(probability, gains, [_spoken(cost) for cost in counting], accuracy_margin, number),
        differences=tuple(differences),
        number=number,
        level=level_of(number),
    )


@one_blas_thread()
def not_worse(
    before: Mapping[str, Measure], after: Mapping[str, Measure], margin: float, draws: int, seed: int
) -> float:
    """Probability that the paired difference in accuracy is above -margin.

    By the Bayesian bootstrap (Rubin 1981) over the problems and three more: one lost, one won, one the same.
    A plain bootstrap of problems without a flip is certain whatever their number. Where answers are right
    or wrong, this is the posterior of the shares lost, won and the same under a uniform prior. Problems of
    one group are weighed together, and the three more are groups of the mean size.
    """
    left, right = (next(iter(side.values())) for side in (after, before))
    assert left.each_N is not None and right.each_N is not None, "accuracy is a mean over problems"
    difference_N = left.each_N - right.each_N
    groups = left.groups.get(next(iter(left.sizes))) or Groups.of_one(difference_N.size)
    size = difference_N.size / groups.number
    sums_M = np.r_[groups.sums(difference_N[None])[0], -size, 0.0, size]
    sizes_M = np.r_[groups.sizes_G, size, size, size]
    rng = np.random.default_rng([seed, len(sums_M)])
    above = 0
    for some in some_at_once(draws, len(sums_M)):
        weights_D_M = rng.dirichlet(np.ones(len(sums_M)), len(range(draws)[some]))
        above += int((weights_D_M @ sums_M > -margin * (weights_D_M @ sizes_M)).sum())
    return above / draws


def fewest_problems(margin: float) -> int:
    """Problems below which no proof is possible: even without a flip, a loss beyond the margin is too likely.

    Of n problems without a flip, that loss has probability (1 - margin)^(n + 2) / 2.

    Args:
        margin: accuracy that may be lost, in (0, 1).
    """
    return max(1, math.ceil(math.log(2 * LEVEL) / math.log(1 - margin)) - 2)


def clearly_better(cost: Cost, stretch: float = 1.0) -> bool:
    """Whether the interval of this difference alone lies on the better side of zero.

    Args:
        cost: with its 95% interval.
        stretch: times by which the interval is taken to be longer on either side.
    """
    found = cost.difference
    if cost.direction == "higher":
        return found.value - stretch * (found.value - found.low) > 0
    return cost.direction == "lower" and found.value + stretch * (found.high - found.value) < 0


def _reason(
    probability: float, gains: Sequence[str], measured: Sequence[str], margin: float, number: int
) -> str:
    certain, better = 1 - level_of(number), ", ".join(gains)
    digits = 2 if number == 1 else 4
    most = 1 - 10.0**-digits
    chance = f"over {most:g}" if probability > most else f"{probability:.{digits}f}"
    said = f"accuracy is not worse by more than {100 * margin:g} points with probability {chance}"
    sure = f" at {100 * certain:.4g}%" if number > 1 else ""
    if probability < certain:
        also = f"; better in {better}" if gains else ""
        return f"{said}, and {certain:.4g} is needed{also}"
    if gains:
        return f"{said}, and it is better in {better}{sure}"
    return f"{said}, but nothing is clearly better{sure} (looked at: {', '.join(measured)})"


def _spoken(cost: Cost) -> str:
    return f"{cost.axis} {cost.measure.replace('_', ' ')}"
