"""Sentences for verdicts that rest on less: on a training log alone, or on nothing."""

from __future__ import annotations

import math

from overmem.formatting import estimate_text, number, sentence
from overmem.records import CheckpointSummary, Verdict
from overmem.verdict.words.axes import INFLATED
from overmem.verdict.words.choice import missing_text
from overmem.verdict.words.extremes import lowest_nll, place


def words_without_checkpoints(verdict: Verdict) -> tuple[str, ...]:
    """What is said where no checkpoint was measured."""
    return (
        "No checkpoint of this run was measured, so there is no verdict.",
        f"What is missing: {missing_text(verdict.reason)}",
        "No checkpoint is recommended.",
    )


def words_from_log(verdict: Verdict) -> tuple[str, ...]:
    """What a training log alone allows to be said: how eval_loss went, and no stage."""
    last, lowest = verdict.checkpoints[-1], lowest_nll(verdict.checkpoints)
    points = [
        "No stage can be given with confidence: this run was never audited, and its training log has no "
        "graded answers and no figures for single problems."
    ]
    why = sentence(last.perplexity.reason or "no eval_loss was logged")
    if lowest is None:
        points.append(
            f"Its perplexity is undefined: {sentence(last.perplexity.reason or 'no eval_loss was logged')}"
        )
    elif not math.isfinite(last.perplexity.value):
        points.append(
            f"By eval_loss alone, perplexity was lowest, {estimate_text(lowest.perplexity)}, at "
            f"{place(lowest)}; at the last checkpoint it is undefined: {why}"
        )
    else:
        points += _logged_curve(verdict, last, lowest)
    points.append(f"No checkpoint is recommended: {sentence(verdict.reason or 'the run was not audited')}")
    return tuple(points)


def _logged_curve(verdict: Verdict, last: CheckpointSummary, lowest: CheckpointSummary) -> list[str]:
    least = estimate_text(lowest.perplexity)
    if last is lowest:
        return [
            f"By eval_loss alone, perplexity is lowest, {least}, at the last point, {place(last)}: "
            "nothing in the log points to over-memorization, and nothing rules it out."
        ]
    ratio = last.perplexity.value / lowest.perplexity.value
    curve = (
        f"By eval_loss alone, perplexity was lowest, {least}, at {place(lowest)}, "
        f"and is {estimate_text(last.perplexity)} at the last, {place(last)}: {number(ratio, 2)} times the "
        "lowest."
    )
    if last.leaning not in INFLATED:
        return [curve, f"That leans {last.leaning}." if last.leaning else "One point is not a trend."]
    since = last.step
    for summary in reversed(verdict.checkpoints):
        if math.isfinite(summary.nll_nats.value) and summary.leaning not in INFLATED:
            break
        since = summary.step
    limit = verdict.thresholds.get("perplexity_ratio")
    rule = f"at least {limit:.2f} times the lowest" if limit is not None else "inflated"
    return [
        curve,
        f"It has been {rule} since step {since}: over-memorized if accuracy held, overfit if accuracy fell; "
        "the log cannot tell which.",
    ]
