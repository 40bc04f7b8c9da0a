"""Sentences on what the excess NLL is made of, and on how each axis moved; from the record alone.

A claim stands only under its condition: "no clear difference" in an axis where all of its measures are
unclear, "that is how accuracy can hold" where accuracy held. docs/definitions.md, "What is said when", has
them all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from overmem.formatting import cost_figure, estimate_text, nats, percent, sentence, spaced
from overmem.records import TOO_FEW_SEEDS, Cost, Verdict

INFLATED = ("over-memorized", "overfit")
REFERENCES = "references"
"""The axis whose measures are said together, not by its headline."""
UNCLEAR = "no clear difference"
NAMED = 3
"""Measures of an axis that are named; more are counted."""


def excess_words(verdict: Verdict) -> str | None:
    """What the last checkpoint's excess NLL is made of; None where it is not inflated."""
    severity = verdict.severity
    leaning = verdict.checkpoints[-1].leaning
    inflated = verdict.stage in INFLATED or leaning in INFLATED
    if not inflated or (verdict.stage == "undetermined" and verdict.recommended is None):
        return None
    if not math.isfinite(severity.excess_nll_nats.value):
        why = severity.excess_nll_nats.reason or severity.reason or "no reason was recorded"
        return f"The excess NLL over the lowest is undefined: {sentence(why)}"
    own, heat = severity.own_path_share, severity.temperature_recovers_share
    undefined = sentence(severity.reason or "no reason was recorded")
    text = (
        f"Its NLL is {estimate_text(severity.excess_nll_nats, nats)} nats a token above the lowest of the run"
    )
    if not math.isfinite(own) and not math.isfinite(heat):
        return f"{text}; on which tokens it rose is undefined: {undefined}"
    held = "over-memorized" in (verdict.stage, leaning)
    parts = [f"{text}.", _own_path(own, undefined, held=held), _softer(heat, undefined)]
    return " ".join(part for part in parts if part)


def _own_path(own: float, undefined: str, *, held: bool) -> str:
    """How much of the rise is on tokens that the model would not write; over 100% when others fell."""
    if not math.isfinite(own):
        return f"How much of it is on tokens that the model itself would not write is undefined: {undefined}"
    text = f"Tokens that the model itself would not write account for {percent(own, 0)} of it"
    if own > 1:
        text += " (more than all of it, since the other tokens became more likely)"
    if own < 0.5:
        return f"{text}."
    text += "; its greedy answers take other words there"
    return f"{text}, and that is how accuracy can hold while perplexity rises." if held else f"{text}."


def _softer(heat: float, undefined: str) -> str:
    """How much of the rise one temperature takes back."""
    if not math.isfinite(heat):
        return f"How much of it a temperature would remove is undefined: {undefined}"
    return f"Dividing the logits by one temperature would remove {percent(heat, 0)} of it."


def axes_words(verdict: Verdict) -> str | None:
    """How each axis beyond the core moved, the last checkpoint against the first reference."""
    if not verdict.costs:
        return None
    against = verdict.costs[0].against
    found = [cost for cost in verdict.costs if cost.against == against and cost.axis != REFERENCES]
    by_axis = {axis: [c for c in found if c.axis == axis] for axis in dict.fromkeys(c.axis for c in found)}
    if not by_axis:
        return None
    said: dict[str, list[str]] = {}
    apart: list[str] = []
    for axis, costs in by_axis.items():
        outcome = axis_outcome(costs)
        said.setdefault(outcome, []).append(_axis_text(axis, outcome, costs))
        apart += [_mixed_text(axis, costs)] if outcome == "mixed" else []
    leads = {
        "worse": "worse in",
        "better": "better in",
        "changed": "changed in",
        "mixed": "mixed in",
        UNCLEAR: "no clear difference in",
        TOO_FEW_SEEDS: "too few seeds to say in",
        "undefined": "undefined in",
    }
    parts = [f"{lead} {', '.join(said[outcome])}" for outcome, lead in leads.items() if outcome in said]
    return " ".join([f"On the other axes, against {against}: {'; '.join(parts)}.", *apart])


def axis_outcome(costs: Sequence[Cost]) -> str:
    """How an axis moved: by its headline, unless its measures say different things.

    Args:
        costs: all measures of one axis against one reference.

    Returns:
        `better`, `worse` or `changed` where the headline says so and no measure says the opposite;
        `no clear difference`, `too few seeds to say` or `undefined` as the headline where no other measure is
        clear; else `mixed`.
    """
    headline = next((cost.outcome for cost in costs if cost.headline), "undefined")
    clear = {cost.outcome for cost in costs if cost.direction != "context"} & {"better", "worse"}
    if clear <= {headline}:
        return headline
    return "mixed"


def _axis_text(axis: str, outcome: str, costs: Sequence[Cost]) -> str:
    if outcome in (UNCLEAR, "mixed"):
        return axis
    headline = _headline(costs)
    return f"{axis} ({headline.difference.reason if outcome == 'undefined' else cost_figure(headline)})"


def _mixed_text(axis: str, costs: Sequence[Cost]) -> str:
    """A sentence on an axis whose measures say different things."""
    headline = _headline(costs)
    parts = [f"{cost_figure(headline)} ({headline.outcome})"]
    for side in ("worse", "better"):
        names = [spaced(c.measure) for c in costs if c.outcome == side and not c.headline]
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        if names:
            parts.append(f"{side}: {', '.join(names[:NAMED])}{more}")
    name = axis.upper() if axis == "ood" else axis.capitalize()
    return f"{name}: {'; '.join(parts)}."


def _headline(costs: Sequence[Cost]) -> Cost:
    return next((cost for cost in costs if cost.headline), costs[0])
