"""What the page says, as plain values for its template: reasons, tables.

Everything here is made from saved records; nothing is computed anew and nothing is escaped yet.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

from overmem.formatting import (
    DASH,
    Form,
    confidence_text,
    difference_text,
    estimate_parts,
    estimate_text,
    nats,
    number,
    points_text,
    short_number,
    spaced,
    stage_text,
)
from overmem.records import Attempt, CheckpointSummary, Cost, Estimate, Repair, Verdict
from overmem.repairing.narrative import how_made
from overmem.reporting.downloads import Cell
from overmem.reporting.figures.curves import measured
from overmem.reporting.figures.theme import STAGE_CODES
from overmem.stats.intervals import critical_value, wilson_interval
from overmem.verdict.base_model import SKILLS
from overmem.verdict.words.axes import INFLATED
from overmem.verdict.words.choice import difference_words
from overmem.verdict.words.extremes import lowest_nll, peak_accuracy

Values = dict[str, Any]
"""What a part of the template is filled with."""

FORMS: dict[str, Form] = {
    "accuracy": ".1%",
    "nll_nats": nats,
    "perplexity": number,
    "train_nll_nats": nats,
}
"""How each measure of a checkpoint is written."""
COLUMNS = {
    "accuracy": "Accuracy",
    "nll_nats": "NLL",
    "perplexity": "Perplexity",
    "train_nll_nats": "NLL on train",
}
"""How each is called above its column."""


def stage_slug(stage: str | None) -> str:
    """A stage as the page's style knows it."""
    return stage if stage in STAGE_CODES else "undetermined"


def reasons(verdict: Verdict) -> list[tuple[str, str]]:
    """The two figures that carry the stage of the last checkpoint: what they show, and the figures."""
    if not verdict.checkpoints or verdict.evidence == "logged":
        return []
    found = (_accuracy_reason(verdict), _perplexity_reason(verdict))
    return [reason for reason in found if reason is not None]


def _accuracy_reason(verdict: Verdict) -> tuple[str, str] | None:
    last, peak = verdict.checkpoints[-1], peak_accuracy(verdict.checkpoints)
    margin = verdict.thresholds.get("accuracy_margin")
    if margin is None or peak is None or not math.isfinite(last.accuracy.value):
        return None
    here = f"{last.accuracy.value:.1%}"
    gap = peak.accuracy.value - last.accuracy.value
    if gap < 1e-9:
        return "Accuracy is the highest of the run", f"{here} of {last.accuracy.n:,} problems"
    comparable = (last.leaning or verdict.stage) in ("fit", "over-memorized")
    what = "Accuracy holds" if comparable else "Accuracy is below its peak"
    text = (
        f"{here}, {points_text(round(gap, 3))} below the highest (up to {100 * margin:.3g} counts as equal)"
    )
    if (gap <= margin + 1e-9) != comparable:
        n = sum(math.isfinite(summary.accuracy.value) for summary in verdict.checkpoints)
        text += f". The highest of {n} figures is partly luck; the confidence allows for it"
    return what, text


def _perplexity_reason(verdict: Verdict) -> tuple[str, str] | None:
    last, lowest = verdict.checkpoints[-1], lowest_nll(verdict.checkpoints)
    limit = verdict.thresholds.get("perplexity_ratio")
    if limit is None or lowest is None or not math.isfinite(last.perplexity.value):
        return None
    here = estimate_parts(last.perplexity)[0]
    if lowest is last:
        return "Perplexity is the lowest of the run", here
    ratio = last.perplexity.value / lowest.perplexity.value
    what = "Perplexity is inflated" if ratio >= limit else "Perplexity is not inflated"
    if verdict.stage == "undetermined" and (ratio >= limit) != (last.leaning in INFLATED):
        what = "Whether perplexity is inflated is not clear"
    return what, f"{here}, {ratio:.2f} times the lowest ({limit:.2f} counts as inflated)"


def shipped(verdict: Verdict) -> str | None:
    """Name of the recommended checkpoint."""
    return verdict.recommended.name if verdict.recommended is not None else None


def columns(verdict: Verdict) -> list[tuple[str, str]]:
    """The measures that some checkpoint has: a column of nothing but `undefined` says nothing."""
    return [
        (key, name)
        for key, name in COLUMNS.items()
        if any(math.isfinite(measured(summary, key).value) for summary in verdict.checkpoints)
    ]


def checkpoint_row(verdict: Verdict, summary: CheckpointSummary) -> Values:
    """One row of the table of checkpoints."""
    chosen = summary.name == shipped(verdict)
    naive = ("lowest_perplexity", "highest_accuracy")
    tags = [spaced(key) for key in naive if verdict.alternatives.get(key) == summary.name]
    reasons = {summary.accuracy.reason, summary.nll_nats.reason} - {None}
    return {
        "summary": summary,
        "slug": stage_slug(summary.stage),
        "confidence": confidence_text(summary.confidence),
        "figures": {m: estimate_parts(measured(summary, m), form, DASH) for m, form in FORMS.items()},
        "tags": [
            *(["ship"] if chosen else []),
            *(["base model"] if _is_base(verdict, summary) else []),
            *tags,
        ],
        "reason": "; ".join(sorted(str(reason) for reason in reasons)),
        "chosen": chosen,
    }


def _is_base(verdict: Verdict, summary: CheckpointSummary) -> bool:
    """Whether a checkpoint of the run is the model that the fine-tune started from."""
    base = verdict.base
    return base is not None and base.in_run and PurePath(base.name).name == summary.name


def naive_choices(verdict: Verdict) -> list[tuple[str, str, str]]:
    """What each naive choice picks: (rule, checkpoint, its difference from the recommended one)."""
    choices = []
    for key, name in verdict.alternatives.items():
        if name is None:
            cost = "it could not be picked: the measure is undefined"
        elif name == shipped(verdict):
            cost = "it is the recommended checkpoint"
        else:
            text = verdict.alternative_costs.get(key) or "not known: the record gives none"
            cost = difference_words(text, name, shipped(verdict))
        choices.append((spaced(key), name or "none", cost))
    return choices


def trade(verdict: Verdict) -> Values | None:
    """The most accurate checkpoint beside the one to ship; None where they are one."""
    found = verdict.trade
    if found is None:
        return None
    stages = {summary.name: stage_text(summary.stage, summary.leaning) for summary in verdict.checkpoints}
    return {
        "most_accurate": found.most_accurate,
        "stage": stages[found.most_accurate],
        "shipped": found.shipped,
        "heads": [cost_row(cost) for cost in found.differences if cost.headline],
        "uses": found.uses,
    }


def base_row(verdict: Verdict) -> Values | None:
    """Figures of the base model, each with its interval; None where it is a checkpoint or not measured."""
    base = verdict.base
    if base is None or base.in_run:
        return None
    figures = {"accuracy": base.accuracy, "nll_nats": base.nll_nats, "perplexity": base.perplexity}
    found = {name: estimate_parts(figure, FORMS[name], DASH) for name, figure in figures.items()}
    return {**found, "train_nll_nats": ("", "")}


def against_base(verdict: Verdict) -> list[Values]:
    """The checkpoint to ship and the last one against the base model: headlines, and each skill in full."""
    found = verdict.base.comparisons if verdict.base is not None else ()
    return [
        {
            "checkpoint": item.checkpoint,
            "outcome": item.outcome,
            "heads": [cost_row(cost) for cost in item.differences if cost.headline],
            "more": [
                cost_row(cost) | {"axis": cost.axis}
                for cost in item.differences
                if not cost.headline and cost.axis in SKILLS
            ],
        }
        for item in found
    ]


def by_reference(costs: Sequence[Cost]) -> list[tuple[str, list[Cost]]]:
    """Differences by what they are taken against, in the order of the record."""
    against = dict.fromkeys(cost.against for cost in costs)
    return [(name, [cost for cost in costs if cost.against == name]) for name in against]


def repair_differences(repair: Repair) -> list[tuple[str, list[Cost]]]:
    """Before and after a repair, against what it was to beat and against the last checkpoint."""
    proved = repair.proof.differences if repair.proof is not None else ()
    return by_reference([*proved, *repair.against_last])


def attempt_row(attempt: Attempt, winner: str | None) -> Values:
    """One merge that a repair tried."""
    return {
        "how": how_made(attempt),
        "won": attempt.name == winner,
        "nll": f"{attempt.nll_nats:.4f}",
        "accuracy": _percent_or_dash(attempt.accuracy),
        "pass_at_k": _percent_or_dash(attempt.pass_at_k),
    }


def _percent_or_dash(share: float) -> str:
    return f"{100 * share:.1f}" if math.isfinite(share) else DASH


def cost_row(cost: Cost) -> Values:
    """A difference as a row of the table."""
    return {
        "axis": cost.axis,
        "measure": spaced(cost.measure),
        "value": short_number(cost.value),
        "reference": short_number(cost.reference_value),
        "difference": difference_text(cost),
        "p": f"{cost.p_holm:.3f}" if math.isfinite(cost.p_holm) else DASH,
        "headline": cost.headline,
        "verdict": cost.difference.reason or cost.outcome,
        "n": cost.difference.n,
    }


def share_text(count: int, n: int) -> str:
    """A share in percent with Wilson's 95% interval, which is never of width zero."""
    low, high = wilson_interval(count / n, n, critical_value(max(n, 2)))
    share = Estimate(count / n, low, high, n)
    return estimate_text(share, ".0%", to=DASH)


def cell_text(cell: Cell) -> str:
    """A figure of a small table: four digits, nothing where it is undefined."""
    if isinstance(cell, float):
        return f"{cell:.4g}" if math.isfinite(cell) else ""
    return "" if cell is None else str(cell)


def stages_present(verdict: Verdict) -> list[tuple[str, str]]:
    """Stages in the figure with their codes, in the order of a training run."""
    present = {stage_slug(summary.stage) for summary in verdict.checkpoints}
    present |= {summary.leaning for summary in verdict.checkpoints if summary.leaning is not None}
    return [(stage, code) for stage, code in STAGE_CODES.items() if stage in present]


def figure_label(verdict: Verdict) -> str:
    """The dynamics figure for who cannot see it."""
    what = "Accuracy and perplexity by step, with the stage of each checkpoint."
    return " ".join([what, *verdict.words[:2]])
