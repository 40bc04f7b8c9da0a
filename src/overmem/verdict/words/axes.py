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
    excess = (
        f"Of the {estimate_text(severity.excess_nll_nats, nats)} nats a token in excess of the lowest NLL"
    )
    own, heat = severity.own_path_share, severity.temperature_recovers_share
    parts = []
    if math.isfinite(own):
        parts.append(_own_path(own, held="over-memorized" in (verdict.stage, leaning)))
    if math.isfinite(heat):
        parts.append(f"one softer temperature takes back {percent(heat, 0)}")
    undefined = sentence(severity.reason or "no reason was recorded")
    if not parts:
        return f"{excess}, how it splits is undefined: {undefined}"
    text = f"{excess}, {'; '.join(parts)}."
    if len(parts) == 1:
        lost = "temperature takes back" if math.isfinite(own) else "falls on tokens off the model's own path"
        text += f" The share that {lost} is undefined: {undefined}"
    return text


def _own_path(own: float, *, held: bool) -> str:
    """How much of the excess is off the model's own path; over 100% when other tokens became likelier."""
    share = percent(own, 0) if own <= 1 else f"all and more ({percent(own, 0)})"
    text = f"{share} falls on tokens that are not the model's own first choice"
    if own < 0.5:
        return text
    text += ": it grew confident in its own path, which its greedy answers follow"
    return f"{text}, and that is how accuracy can hold while perplexity rises" if held else text


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
    for axis, costs in by_axis.items():
        outcome = axis_outcome(costs)
        said.setdefault(outcome, []).append(_axis_text(axis, outcome, costs))
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
    return f"On the other axes, against {against}: {'; '.join(parts)}."


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
    headline = next((cost for cost in costs if cost.headline), costs[0])
    if outcome == UNCLEAR:
        return axis
    if outcome == "undefined":
        return f"{axis} ({headline.difference.reason})"
    if outcome != "mixed":
        return f"{axis} ({cost_figure(headline)})"
    parts = [f"{cost_figure(headline)}: {headline.outcome}"]
    for side in ("worse", "better"):
        names = [spaced(c.measure) for c in costs if c.outcome == side and not c.headline]
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        if names:
            parts.append(f"{side}: {', '.join(names[:NAMED])}{more}")
    return f"{axis} ({'; '.join(parts)})"
