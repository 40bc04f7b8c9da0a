"""A verdict in plain sentences, for an engineer who never read the paper.

Every sentence is made from the `Verdict` record alone, so that `verdict.json`, the report and the
terminal can never say different things. Undefined figures are called undefined, with the reason.
"""

from __future__ import annotations

import math

from overmem.formatting import (
    accuracy_text,
    confidence_text,
    estimate_text,
    number,
    percent,
    points_text,
    sentence,
)
from overmem.records import CheckpointSummary, ProblemGroups, Verdict
from overmem.verdict.words.accuracy import comparison_words, words_from_accuracy
from overmem.verdict.words.axes import INFLATED, REFERENCES, axes_words, excess_words
from overmem.verdict.words.choice import (
    base_words,
    missing_text,
    naive_words,
    privacy_words,
    ship_words,
    trade_words,
)
from overmem.verdict.words.extremes import lowest_nll, peak_accuracy, place
from overmem.verdict.words.headline import INSUFFICIENT, headline
from overmem.verdict.words.logged import words_from_log, words_without_checkpoints
from overmem.verdict.words.sensitivity import sensitivity_words
from overmem.verdict.words.to_settle import settle_text

CONFIDENCE_NEEDED = 0.8


def plain_words(verdict: Verdict) -> tuple[str, ...]:
    """Say a verdict in some ten plain points.

    Order: what the last checkpoint is and how sure that is, since when, the figures that fired, on how many
    groups of problems, what the excess is made of, whether few problems decide it, on whose references it
    rose, what else changed, what to ship, what that gives away of its training data, what the most accurate
    one would give and take, what the base model did, and what the naive choices would have shipped.

    Args:
        verdict: the record; its own `words` are ignored.

    Returns:
        One string for each point made; a point may take two short sentences.
    """
    if verdict.evidence == "logged":
        return words_from_log(verdict)
    if not verdict.checkpoints:
        return words_without_checkpoints(verdict)
    if verdict.evidence in ("accuracy", "scores"):
        return words_from_accuracy(verdict)
    points = (
        _first_sentence(verdict),
        _since_when(verdict),
        _figures(verdict),
        _groups(verdict),
        excess_words(verdict),
        sensitivity_words(verdict),
        _references_apart(verdict),
        axes_words(verdict),
        ship_words(verdict),
        privacy_words(verdict),
        trade_words(verdict),
        *comparison_words(verdict),
        base_words(verdict),
        naive_words(verdict),
    )
    return tuple(point for point in points if point)


def _first_sentence(verdict: Verdict) -> str:
    last, first = verdict.checkpoints[-1], headline(verdict)
    if verdict.stage != "undetermined":
        what = f"{first.stage} ({first.confidence})"
        return f"The last checkpoint, {place(last)}, is {what}: {_meaning(verdict)}."
    if first.stage == INSUFFICIENT:
        missing = missing_text(verdict.reason)
        return f"There is not enough evidence for a verdict on the last checkpoint, {place(last)}: {missing}"
    needed = percent(verdict.thresholds.get("confidence_threshold", CONFIDENCE_NEEDED), 0)
    text = (
        f"The stage of the last checkpoint, {place(last)}, is {first.stage}: it leans {last.leaning} "
        f"({confidence_text(last.confidence)}), below the {needed} needed to say so."
    )
    return f"{text} {_what_would_settle(last)}".rstrip()


def _what_would_settle(last: CheckpointSummary) -> str:
    said = settle_text(last)
    if not said:
        return ""
    measured = max(last.accuracy.n, last.nll_nats.n)
    return f"{said[0].upper()}{said[1:]}; {measured:,} were measured."


def _meaning(verdict: Verdict) -> str:
    margin, ratio = verdict.thresholds.get("accuracy_margin"), verdict.thresholds.get("perplexity_ratio")
    within = f"within {points_text(margin)} of" if margin is not None else "about as well as"
    below = f"more than {points_text(margin)} below" if margin is not None else "clearly below"
    times = f"{ratio:.2f} times" if ratio is not None else "well above"
    risen = f"perplexity at least {times} the lowest"
    calm = f"its perplexity has not risen to {times} the lowest"
    return {
        "learning": f"its answers are still {below} the best checkpoint's",
        "fit": f"it answers {within} the best checkpoint, and {calm}",
        "over-memorized": (
            f"it still answers {within} the best checkpoint, but it finds the reference solutions less "
            f"likely than an earlier checkpoint did ({risen})"
        ),
        "overfit": (
            f"its accuracy is {below} the best checkpoint's, and it finds the reference solutions less "
            f"likely than an earlier checkpoint did ({risen})"
        ),
        "unstable": f"its accuracy fell to {below} the best checkpoint's, though {calm}",
    }.get(verdict.stage, "the record names a stage that this version does not know")


def _since_when(verdict: Verdict) -> str | None:
    onset = verdict.onset
    if onset.step is None:
        if verdict.stage in INFLATED:
            return f"Since when is undefined: {sentence(onset.reason or 'the record gives no onset')}"
        if verdict.stage == "undetermined":
            return None
        chance = confidence_text(onset.probability)
        odds = f"; the probability that it does is {chance}" if chance != "none" else ""
        return f"The run does not end over-memorized or overfit{odds}."
    where = next(
        (place(summary) for summary in verdict.checkpoints if summary.step == onset.step),
        f"step {onset.step}",
    )
    if onset.low is None or onset.high is None:
        interval = "no interval could be given"
    elif onset.low == onset.high:
        interval = "95% interval: that checkpoint alone"
    else:
        interval = f"95% interval: step {onset.low} to {onset.high}"
    lead = (
        "It has been over-memorized or overfit" if verdict.stage in INFLATED else "If it is, it has been so"
    )
    return f"{lead} since {where}; {interval}."


def _figures(verdict: Verdict) -> str:
    parts = (_accuracy_sentence(verdict), _perplexity_sentence(verdict), _references_sentence(verdict))
    return " ".join(part for part in parts if part)


def _groups(verdict: Verdict) -> str | None:
    """How many independent problems there are, where some stand for one another."""
    known = (("problems", verdict.groups), ("training rows", verdict.train_groups))
    return " ".join(_in_groups(what, found) for what, found in known if found is not None) or None


def _in_groups(what: str, found: ProblemGroups) -> str:
    by = f" ({found.by})" if found.by else ""
    text = f"The {found.problems:,} {what} are in {found.groups:,} groups{by}; errors are those of the groups"
    if found.effective < found.groups:
        return f"{text}, which tell as much as {found.effective:,} of equal size."
    return f"{text}."


def _accuracy_sentence(verdict: Verdict) -> str:
    last, peak = verdict.checkpoints[-1], peak_accuracy(verdict.checkpoints)
    if peak is None or not math.isfinite(last.accuracy.value):
        return f"Its accuracy is undefined: {sentence(last.accuracy.reason or 'no reason was recorded')}"
    text = f"Its accuracy is {accuracy_text(last.accuracy)} on {last.accuracy.n:,} problems"
    if peak is last:
        return f"{text}, the highest of the run."
    text += f", against {accuracy_text(peak.accuracy)} at the peak, {place(peak)}"
    margin = verdict.thresholds.get("accuracy_margin")
    return f"{text}; up to {points_text(margin)} less counts as equal." if margin is not None else f"{text}."


def _perplexity_sentence(verdict: Verdict) -> str:
    last, lowest = verdict.checkpoints[-1], lowest_nll(verdict.checkpoints)
    if lowest is None or not math.isfinite(last.perplexity.value):
        return f"Its perplexity is undefined: {sentence(last.perplexity.reason or 'no reason was recorded')}"
    text = f"Its perplexity is {estimate_text(last.perplexity)} on {last.perplexity.n:,} problems"
    if lowest is last:
        return f"{text}, the lowest of the run."
    ratio = number(last.perplexity.value / lowest.perplexity.value, 2)
    limit = verdict.thresholds.get("perplexity_ratio")
    rule = f" ({limit:.2f} counts as inflated)" if limit is not None else ""
    return f"{text}, {ratio} times the lowest{rule}: {estimate_text(lowest.perplexity)} at {place(lowest)}."


def _references_sentence(verdict: Verdict) -> str | None:
    """Which references the perplexity was read on, and whether they are in the training style."""
    read = verdict.references
    if read is None:
        return None
    lead = f"Perplexity is measured on the references of val ({read.source})"
    if read.other_style is None:
        why = sentence(read.unlike.reason or "that was not tested")
        return f"{lead}; whether they are written in the training data's style is not known: {why}"
    if read.other_style:
        share = estimate_text(read.unlike, ".0%")
        return f"{lead}, of which {share} look as if written in another style than the training data."
    seen = (
        f" (a part of less than {read.unlike.high:.0%} would not be seen)"
        if math.isfinite(read.unlike.high)
        else ""
    )
    return f"{lead}; no clear difference from the training data's writing style was found{seen}."


def _references_apart(verdict: Verdict) -> str | None:
    """How NLL moved on each kind of reference, against the first checkpoint that the costs are against."""
    costs = [cost for cost in verdict.costs if cost.axis == REFERENCES]
    found = {c.measure: c for c in costs if c.against == verdict.costs[0].against}
    places = {
        "nll_in_distribution": "on val's own references",
        **{f"nll_{name[4:]}": f"on those of `{name[4:]}`" for name in found if name.startswith("gap_")},
        "nll_same_right_answers": "on the right answers of the checkpoint with the lowest perplexity",
        "nll_own_right_answers": "on its own right answers",
    }
    parts = [
        f"{estimate_text(found[name].difference, '+.3f')} {where}"
        for name, where in places.items()
        if name in found
    ]
    if not parts:
        return None
    return f"NLL against {verdict.costs[0].against}, nats a token: {'; '.join(parts)}."
