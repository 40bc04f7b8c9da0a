"""A verdict on answers alone: which checkpoint is clearly the most accurate, and is it better than the base?

Over-memorization shows in likelihood, so no stage is given. What accuracy can say is said in words, with the
counts: `checkpoint-3 is not better than checkpoint-4: 403 against 393 of 1,319`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from overmem.errors import RunError
from overmem.formatting import accuracy_text, joined
from overmem.records import (
    BASE,
    ByAccuracy,
    CheckpointSummary,
    Estimate,
    Onset,
    Recommendation,
    Severity,
    Verdict,
)
from overmem.verdict.judge import MIN_PROBLEMS
from overmem.verdict.partial.answers import Accuracies

NO_LIKELIHOOD = "no likelihood was measured"


@dataclass(frozen=True, kw_only=True)
class Place:
    """A checkpoint and when it was saved."""

    name: str
    step: int
    epoch: float | None = None


def judge_accuracy(accuracies: Accuracies, places: Sequence[Place]) -> Verdict:
    """Compare the most accurate checkpoint with the others, and checkpoints with the base model.

    Args:
        accuracies: of the checkpoints, and of `BASE` where that was measured.
        places: the checkpoints in order of their steps.

    Returns:
        A verdict without a stage, that recommends a checkpoint only where it is clearly the most accurate.

    Raises:
        RunError: one checkpoint alone and no base model: nothing to compare.
    """
    if len(places) < 2 and BASE not in accuracies.names:
        raise RunError(
            "a verdict compares checkpoints, and there is one",
            got=", ".join(place.name for place in places) or "none",
            expected="at least 2, or one and the base model",
        )
    summaries = tuple(_summary(accuracies, place) for place in places)
    # The earliest of equals: what trained less.
    highest = max(summaries, key=lambda found: found.accuracy.value)
    against = compare_with_others(accuracies, highest.name, [place.name for place in places])
    best = bool(against) and all(found.outcome == "better" for found in against)
    if BASE in accuracies.names:
        against += compare_with_base(accuracies, [summaries[-1].name, highest.name])
    nothing = Estimate(math.nan, math.nan, math.nan, 0, NO_LIKELIHOOD)
    return Verdict(
        stage="undetermined",
        confidence=math.nan,
        checkpoints=summaries,
        onset=Onset(step=None, low=None, high=None, reason=NO_LIKELIHOOD),
        severity=Severity(excess_nll_nats=nothing, perplexity_ratio=math.nan, reason=NO_LIKELIHOOD),
        recommended=_recommend(highest, len(summaries)) if best else None,
        alternatives={"lowest_perplexity": None, "highest_accuracy": highest.name},
        evidence="accuracy" if accuracies.paired else "scores",
        by_accuracy=against,
        reason=_reason(highest, against, accuracies),
    )


def compare_with_others(accuracies: Accuracies, highest: str, names: Sequence[str]) -> tuple[ByAccuracy, ...]:
    """The most accurate checkpoint against each other one; p times the number of pairs.

    Args:
        accuracies: of the checkpoints.
        highest: the most accurate.
        names: of all, in order.
    """
    pairs = len(names) * (len(names) - 1) // 2
    return tuple(_against(accuracies, highest, name, pairs) for name in names if name != highest)


def compare_with_base(accuracies: Accuracies, names: Sequence[str]) -> tuple[ByAccuracy, ...]:
    """Checkpoints against the base model; p times their number.

    Args:
        accuracies: of the checkpoints and of the base model.
        names: of the checkpoints; one that stands there twice counts once.
    """
    asked = [name for name in dict.fromkeys(names) if name != BASE]
    return tuple(_against(accuracies, name, BASE, len(asked)) for name in asked)


def _against(accuracies: Accuracies, name: str, other: str, tests: int) -> ByAccuracy:
    found = accuracies.gap(name, other)
    few = found.difference.n < MIN_PROBLEMS
    return ByAccuracy(
        checkpoint=name,
        against=other,
        accuracy=accuracies.accuracy(name),
        against_accuracy=accuracies.accuracy(other),
        difference=found.difference,
        p_adjusted=math.nan if few else min(1.0, tests * found.p),
        paired=accuracies.paired,
    )


def _summary(accuracies: Accuracies, place: Place) -> CheckpointSummary:
    nothing = Estimate(math.nan, math.nan, math.nan, 0, NO_LIKELIHOOD)
    return CheckpointSummary(
        name=place.name,
        step=place.step,
        epoch=place.epoch,
        stage="undetermined",
        confidence=math.nan,
        leaning=None,
        accuracy=accuracies.accuracy(place.name),
        nll_nats=nothing,
        perplexity=replace(nothing),
    )


def _recommend(highest: CheckpointSummary, n: int) -> Recommendation:
    why = f"its accuracy, {accuracy_text(highest.accuracy)}, is clearly the highest of {n} checkpoints"
    return Recommendation(name=highest.name, step=highest.step, why=why)


def _reason(highest: CheckpointSummary, against: Sequence[ByAccuracy], accuracies: Accuracies) -> str:
    """What is missing for a stage, and for a recommendation where there is none."""
    missing = f"{NO_LIKELIHOOD}, and accuracy alone does not show over-memorization"
    if highest.accuracy.n < MIN_PROBLEMS:
        return f"{highest.accuracy.n} problems are too few, at least {MIN_PROBLEMS} are needed; {missing}"
    tied = [found.against for found in against if found.outcome != "better" and found.against != BASE]
    if not tied:
        return missing
    how = "" if accuracies.paired else " (without samples they cannot be paired, which would tell more)"
    return f"accuracy does not tell {highest.name} from {joined(tied)}{how}; {missing}"
