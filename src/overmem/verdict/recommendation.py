"""Which checkpoint to ship, what the naive choices would have cost, and why, in plain words.

Shape suffixes: C checkpoints.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from overmem.formatting import percent, points_text
from overmem.records import Estimate, Recommendation
from overmem.stats.intervals import accuracy_difference, nll_difference
from overmem.stats.moments import Moments
from overmem.stats.perplexity import perplexity
from overmem.stats.selection import Choice


@dataclass(frozen=True, kw_only=True)
class Advice:
    """The recommended checkpoint beside what one measure alone would have picked."""

    recommended: Recommendation
    alternatives: dict[str, str | None]
    alternative_costs: dict[str, str]


def advise(moments: Moments, choice: Choice, steps: Sequence[int], names: Sequence[str]) -> Advice:
    """Say which checkpoint to ship and price the alternatives with paired differences.

    Args:
        moments: measured curves.
        choice: the checkpoint to ship and what it was chosen from.
        steps: optimizer steps.
        names: names of the checkpoints.

    Returns:
        Advice whose sentences hold only measured figures, and the expected accuracy where that decided.
    """
    pick = choice.pick
    picks = {
        "lowest_perplexity": int(moments.nll_C.argmin()),
        # Of several that are equal, the one to ship.
        "highest_accuracy": pick
        if moments.accuracy_C[pick] == moments.accuracy_C.max()
        else int(moments.accuracy_C.argmax()),
    }
    return Advice(
        recommended=Recommendation(name=names[pick], step=int(steps[pick]), why=_why(moments, choice, names)),
        alternatives={key: names[c] for key, c in picks.items()},
        alternative_costs={key: _price(moments, names, c, pick) for key, c in picks.items()},
    )


def _why(moments: Moments, choice: Choice, names: Sequence[str]) -> str:
    pick, best = choice.pick, choice.best
    group = (
        f"the {int(choice.eligible_C.sum())} of {len(names)} checkpoints that are neither inflated nor "
        "clearly unstable"
    )
    own, accuracy = perplexity(moments.nll_C[pick]), float(moments.accuracy_C[pick])
    figures = f"{percent(accuracy)}, perplexity {own:.2f}"
    expected_C = np.where(choice.eligible_C, choice.accuracy_C, -np.inf)
    highest, measured = (
        int(expected_C.argmax()),
        int(np.where(choice.eligible_C, moments.accuracy_C, -np.inf).argmax()),
    )
    if pick != best:
        return (
            f"{names[pick]} has the lowest perplexity ({own:.2f}) of those that are about as good to ship as "
            f"{names[best]} ({percent(accuracy)} here; {points_text(round(choice.expected_loss, 4))} of "
            f"accuracy expected to be lost, at most {points_text(choice.most_lost)} allowed), among {group}."
        )
    if accuracy == moments.accuracy_C[measured]:
        return f"{names[pick]} has the highest accuracy ({figures}) of {group}."
    if pick != highest:
        return (
            f"{names[pick]} ({figures}) is the best to ship of {group}: {names[highest]} is expected to be "
            f"{points_text(round(float(expected_C[highest] - expected_C[pick]), 4))} more accurate, and is "
            f"inflated with a probability of {percent(float(choice.inflated_C[highest]), 0)} against "
            f"{percent(float(choice.inflated_C[pick]), 0)}."
        )
    return (
        f"{names[pick]} has the highest expected accuracy ({figures}) of {group}; {names[measured]} measured "
        f"{percent(float(moments.accuracy_C[measured]))}, which its neighbours do not bear out."
    )


def _price(moments: Moments, names: Sequence[str], c: int, pick: int) -> str:
    if c == pick:
        return f"{names[c]} is the recommended checkpoint."
    accuracy = accuracy_difference(moments, c, pick)
    nll = nll_difference(moments, c, pick)
    points = _interval(accuracy, lambda x: f"{100 * x:+.1f}")
    return (
        f"{names[c]} against {names[pick]}: accuracy {100 * accuracy.value:+.1f} points{points}, "
        f"perplexity times {perplexity(nll.value):.3f}{_interval(nll, lambda x: f'{perplexity(x):.3f}')}."
    )


def _interval(estimate: Estimate, say: Callable[[float], str]) -> str:
    if math.isnan(estimate.low):
        return f" (no interval: {estimate.reason})"
    return f" (95% interval {say(estimate.low)} to {say(estimate.high)})"
