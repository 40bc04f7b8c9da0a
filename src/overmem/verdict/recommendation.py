"""Which checkpoint to ship, what the naive choices would have cost, and why, in plain words.

Shape suffixes: C checkpoints.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from overmem.formatting import percent
from overmem.records import Estimate, Recommendation
from overmem.rule import Rule
from overmem.stats.intervals import accuracy_difference, nll_difference, perplexity
from overmem.stats.moments import Moments
from overmem.stats.stage_rule import allowed_mask, recommended_index


@dataclass(frozen=True, kw_only=True)
class Advice:
    """The recommended checkpoint beside what one measure alone would have picked."""

    recommended: Recommendation
    alternatives: dict[str, str | None]
    alternative_costs: dict[str, str]


def advise(moments: Moments, steps: Sequence[int], names: Sequence[str], rule: Rule) -> Advice:
    """Recommend a checkpoint and price the alternatives with paired differences.

    Args:
        moments: measured curves.
        steps: optimizer steps.
        names: names of the checkpoints.
        rule: thresholds; its ratio bounds P_c / P_m.

    Returns:
        Advice whose sentences hold only measured figures.
    """
    checkpoints = len(names)
    cov_C_C = moments.sample_cov_B_B[:checkpoints, :checkpoints]
    pick = recommended_index(moments.accuracy_C, moments.nll_C, cov_C_C, rule)
    picks = {
        "lowest_perplexity": int(moments.nll_C.argmin()),
        "highest_accuracy": int(moments.accuracy_C.argmax()),
    }
    return Advice(
        recommended=Recommendation(
            name=names[pick], step=int(steps[pick]), why=_why(moments, names, pick, rule)
        ),
        alternatives={key: names[c] for key, c in picks.items()},
        alternative_costs={key: _price(moments, names, c, pick) for key, c in picks.items()},
    )


def _why(moments: Moments, names: Sequence[str], pick: int, rule: Rule) -> str:
    allowed_C = allowed_mask(moments.nll_C, rule)
    group = (
        f"the {int(allowed_C.sum())} of {len(names)} checkpoints whose perplexity is within "
        f"{rule.perplexity_ratio:g} times the lowest"
    )
    own, accuracy = perplexity(moments.nll_C[pick]), float(moments.accuracy_C[pick])
    best = float(moments.accuracy_C[allowed_C].max())
    if accuracy == best:
        figures = f"{percent(best)}, perplexity {own:.2f}"
        return f"{names[pick]} has the highest accuracy ({figures}) of {group}."
    return (
        f"{names[pick]} has the lowest perplexity ({own:.2f}) among those within one standard error "
        f"of the highest accuracy ({percent(accuracy)} against {percent(best)}) of {group}."
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
