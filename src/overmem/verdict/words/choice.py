"""Sentences on what to ship: against the most accurate checkpoint, the base model, and naive choices."""

from __future__ import annotations

import math
from collections.abc import Sequence

from overmem.formatting import (
    certainty_text,
    cost_figure,
    estimate_text,
    joined,
    sentence,
    stage_text,
)
from overmem.records import AgainstBase, Cost, Recommendation, Verdict

_CHOICES = (("lowest_perplexity", "lowest perplexity"), ("highest_accuracy", "highest accuracy"))
_OUTCOMES = {
    "better": "is better at its task than {base}",
    "better, and worse elsewhere": "is better at its task than {base}, but worse elsewhere",
    "form only": (
        "is not clearly better at its task than {base}: the references have become more likely, but its "
        "answers are not clearly right more often; what it has surely learned is their form"
    ),
    "form only, and worse elsewhere": (
        "is not clearly better at its task than {base} (only the references have become more likely), and "
        "worse elsewhere"
    ),
    "no better": "is no better than {base}",
    "no better, and worse elsewhere": "is no better at its task than {base}, and worse elsewhere",
    "worse": "is worse at its task than {base}",
    "likelier": "finds the references more likely than {base} does; its answers could not be compared",
    "less likely": "finds the references less likely than {base} does; its answers could not be compared",
    "no likelier": "finds the references no more likely than {base} does; its answers could not be compared",
}

UNKNOWN = "cannot be told from {base}"


def missing_text(reason: str | None) -> str:
    """What the evidence lacks, as the end of a sentence that has already said that it is insufficient."""
    text = reason or "the record does not say what is missing"
    return sentence(text.removeprefix("insufficient evidence: "))


def shipped_stage(chosen: Recommendation) -> str:
    """The stage of what is shipped, such as `fit, 93% confidence`; empty where unknown."""
    if math.isnan(chosen.confidence):
        return ""
    sure = certainty_text(chosen.leaning, chosen.confidence)
    return sure if chosen.leaning is not None else f"{chosen.stage}, {sure}"


def ship_words(verdict: Verdict) -> str:
    """What to ship, its stage, and why."""
    chosen = verdict.recommended
    if chosen is None:
        return f"No checkpoint is recommended: {missing_text(verdict.reason)}"
    stage = shipped_stage(chosen)
    return f"Ship {chosen.name}{f' ({stage})' if stage else ''}: {why_text(chosen.name, chosen.why)}"


def why_text(name: str, why: str) -> str:
    """The reason for a checkpoint after its name has been said; a reason may start with the name again."""
    rest = why.removeprefix(f"{name} ")
    return sentence(why if rest == why else f"it {rest}")


def privacy_words(verdict: Verdict) -> str | None:
    """What the checkpoint to ship gives away, with the last one's figure where that is another."""
    known = {item.checkpoint: item for item in verdict.privacy}
    last = verdict.checkpoints[-1].name if verdict.checkpoints else ""
    shipped = verdict.recommended.name if verdict.recommended is not None else last
    if shipped not in known or known[shipped].auroc.reason is not None:
        return None
    found = known[shipped]
    beside = f" ({{}}; 0.5 is chance; the strongest attack: {joined(found.auroc_attacks)})"
    said = (
        f"An attack that guesses which problems {shipped} was trained on reaches AUROC "
        f"{estimate_text(found.auroc, frame=beside)}"
    )
    if found.recall.reason is None and found.false_alarms is not None:
        said += (
            f", and finds {found.recall.value:.0%} of the training problems at "
            f"{found.false_alarms.value:.0%} false alarms"
        )
    if last in known and last != shipped:
        said += f"; on {last}: AUROC {estimate_text(known[last].auroc)}"
    return f"{said}."


def trade_words(verdict: Verdict) -> str | None:
    """What the most accurate checkpoint gives and takes against the one to ship; None where they are one."""
    trade = verdict.trade
    if trade is None:
        return None
    heads = {cost.axis: cost for cost in trade.differences if cost.headline}
    figures = [cost_figure(heads[axis]) for axis in ("accuracy", "likelihood") if axis in heads]
    clear = [cost for axis, cost in heads.items() if axis not in ("accuracy", "likelihood")]
    figures += [
        f"{outcome} in {', '.join(f'{c.axis} ({cost_figure(c)})' for c in found)}"
        for outcome in ("worse", "better")
        if (found := [cost for cost in clear if cost.outcome == outcome])
    ]
    stage = next(
        stage_text(summary.stage, summary.leaning)
        for summary in verdict.checkpoints
        if summary.name == trade.most_accurate
    )
    lead = f"The most accurate checkpoint is {trade.most_accurate} ({stage}); against {trade.shipped}"
    text = f"{lead}: {'; '.join(figures)}."
    nll = heads.get("likelihood")
    from overmem.verdict.trade import speaks_for_shipped  # arrays, which a verdict from a log does without

    if nll is not None and nll.difference.value > 0 and not speaks_for_shipped(trade):
        in_favour = f"only perplexity is in favour of {trade.shipped}{_not_measured(verdict)}"
        text += f" Of all that was measured, {in_favour}."
    return text


def _not_measured(verdict: Verdict) -> str:
    assert verdict.trade is not None
    unknown = [use.name for use in verdict.trade.uses if use.why.startswith("not measured")]
    return f"; not measured: what {', '.join(unknown)} would want" if unknown else ""


def base_words(verdict: Verdict) -> str | None:
    """What the fine-tune came to against the model that it started from; None where that is not known."""
    base = verdict.base
    if base is None or not base.comparisons:
        return None
    known = math.isfinite(base.accuracy.value)
    figure = estimate_text(base.accuracy, ".1%", frame=", {}")
    named = f"the base model (accuracy {figure})" if known else "the base model"
    first, *others = base.comparisons
    return " ".join(
        f"{item.checkpoint} {_outcome_text(item.outcome).format(base=named)}"
        f"{'. Against it: ' if 'elsewhere' in item.outcome else ': '}{_base_figures(item)}."
        for item in (first, *(item for item in others if item.outcome != first.outcome))
    )


def _outcome_text(outcome: str) -> str:
    if outcome in _OUTCOMES:
        return _OUTCOMES[outcome]
    from overmem.verdict.base_model import ELSEWHERE

    alone = outcome.removesuffix(ELSEWHERE)
    return f"{_OUTCOMES[alone]}, and it is worse elsewhere" if alone in _OUTCOMES else UNKNOWN


def _base_figures(item: AgainstBase) -> str:
    """The task's figures, what was lost beside it, and how the other axes moved."""
    heads = [c for c in item.differences if c.axis in ("accuracy", "likelihood") and c.headline]
    parts = [cost_figure(cost) for cost in sorted(heads, key=lambda cost: cost.axis)]
    from overmem.verdict.base_model import losses_elsewhere

    lost = losses_elsewhere(item.differences)
    parts += [f"worse in {_named(lost)}"] if lost else []
    gained = [
        c
        for c in item.differences
        if c.axis in ("ood", "robustness", "retention") and c.headline and c.outcome == "better"
    ]
    parts += [f"better in {_named(gained)}"] if gained else []
    return "; ".join(parts)


def _named(costs: Sequence[Cost]) -> str:
    return ", ".join(f"{cost.axis} ({cost_figure(cost)})" for cost in costs)


def naive_words(verdict: Verdict) -> str | None:
    """What picking by one measure alone would have shipped."""
    told = {"highest_accuracy"} if verdict.trade is not None else set()
    picked = [(label, key) for key, label in _CHOICES if verdict.alternatives.get(key) and key not in told]
    shipped = verdict.recommended.name if verdict.recommended is not None else None
    same = [label for label, key in picked if verdict.alternatives[key] == shipped]
    parts = [_naive_choice(verdict, key, label) for label, key in picked if label not in same]
    if same:
        alike = f"Picking by {' alone or by '.join(same)} alone would have found the same checkpoint."
        parts = [alike, *parts]
    return " ".join(parts) or None


def _naive_choice(verdict: Verdict, key: str, label: str) -> str:
    name, difference = verdict.alternatives[key], verdict.alternative_costs.get(key)
    text = f"Picking by {label} alone would have shipped {name}"
    if not difference:
        return f"{text}."
    shipped = verdict.recommended.name if verdict.recommended is not None else None
    rest = difference_words(difference, name, shipped)
    return f"{text}{f'; against {shipped}' if rest != difference else ''}: {sentence(rest)}"


def difference_words(text: str, name: str | None, recommended: str | None) -> str:
    """A naive choice's difference without the "A against B: " that the sentence or the table already says."""
    return text.removeprefix(f"{name} against {recommended}: ")
