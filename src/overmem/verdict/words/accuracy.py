"""Sentences for verdicts on answers alone: counts, differences and intervals, and no stage."""

from __future__ import annotations

from overmem.formatting import accuracy_text, joined, percent, sentence
from overmem.records import BASE, ByAccuracy, Estimate, Verdict

MOST_SAID = 6
"""Comparisons that are said one by one; of a long run those are said that are told apart least."""


def words_from_accuracy(verdict: Verdict) -> tuple[str, ...]:
    """What accuracies alone allow to be said: which is highest, whether clearly, and against the base.

    Args:
        verdict: whose evidence is `accuracy` or `scores`.
    """
    known = "answers and no likelihood" if verdict.evidence == "accuracy" else "shares right alone"
    points = [
        f"No stage can be given: the results hold {known}. Over-memorization shows in the likelihood of the "
        "references while accuracy holds."
    ]
    highest = _highest(verdict)
    if highest is not None:
        name, best = highest
        points.append(f"{name} has the highest accuracy: {accuracy_text(best)}, of {best.n:,}.")
    points += comparison_words(verdict)
    if verdict.recommended is not None:
        chosen = verdict.recommended
        points.append(f"By accuracy, {chosen.name} is the one to keep: {chosen.why}.")
    elif tied := tied_names(verdict):
        points.append(
            f"By accuracy, any of {joined(tied)} may be the best: keep them until a likelihood tells, and "
            "do not ship one for its figure alone."
        )
    points.append(f"What is missing: {sentence(verdict.reason)}")
    return tuple(points)


def comparison_words(verdict: Verdict) -> list[str]:
    """Each comparison of the verdict as a sentence; the base model first."""
    base = [found for found in verdict.by_accuracy if found.against == BASE]
    others = [found for found in verdict.by_accuracy if found.against != BASE]
    said = [_words(found) for found in base]
    told = sorted(others, key=lambda found: -found.p_adjusted)[:MOST_SAID]
    said += [_words(found) for found in others if found in told]
    if len(others) > len(told):
        said.append(f"{len(others) - len(told)} more are further from it.")
    return said


def tied_names(verdict: Verdict) -> list[str]:
    """The most accurate checkpoint and those that accuracy does not tell from it, in order; empty if none."""
    others = [found for found in verdict.by_accuracy if found.against != BASE]
    tied = {found.against for found in others if found.outcome == "not told apart"}
    tied |= {found.checkpoint for found in others if found.against in tied}
    return [summary.name for summary in verdict.checkpoints if summary.name in tied]


def _words(found: ByAccuracy) -> str:
    base = found.against == BASE
    other = "the base model" if base else found.against
    if found.outcome == "not told apart":
        lower = found.difference.value < 0
        reading = "is not clearly worse than" if lower else "is not better than"
    else:
        reading = f"is {found.outcome} than"
    return f"{found.checkpoint} {reading} {other}: {_counts(found)} ({_difference(found)})."


def _counts(found: ByAccuracy) -> str:
    """`403 against 393 of 1,319`, or the shares where they are no counts."""
    both = (found.accuracy, found.against_accuracy)
    counts = [round(item.value * item.n) for item in both]
    whole = all(abs(item.value * item.n - n) < 1e-6 for item, n in zip(both, counts, strict=True))
    if whole and both[0].n == both[1].n:
        return f"{counts[0]:,} against {counts[1]:,} of {both[0].n:,}"
    texts = [f"{percent(item.value)} of {item.n:,}" for item in both]
    return " against ".join(texts)


def _difference(found: ByAccuracy) -> str:
    difference = found.difference
    how = "paired" if found.paired else "not paired"
    if difference.reason is not None:
        return f"difference {100 * difference.value:+.1f} points; {difference.reason}"
    ends = f"{100 * difference.low:+.1f} to {100 * difference.high:+.1f}"
    return f"difference {100 * difference.value:+.1f} points, 95% interval {ends}, {how}"


def _highest(verdict: Verdict) -> tuple[str, Estimate] | None:
    name = verdict.alternatives.get("highest_accuracy")
    return next(((item.name, item.accuracy) for item in verdict.checkpoints if item.name == name), None)


def ship_text(verdict: Verdict) -> str:
    """What a headline says where no checkpoint is clearly the most accurate."""
    tied = tied_names(verdict)
    if not tied:
        return "none yet"
    named = joined(tied) if len(tied) <= 4 else f"{len(tied)} that accuracy does not tell apart"
    return f"one of {named}"
