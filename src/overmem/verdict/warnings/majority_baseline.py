"""The baseline: the accuracy that no skill gives, near which stages say little.

The rule calls a checkpoint comparable when its accuracy is within a margin of the highest. Where even the
highest is within that margin of what one answer for all problems would score, every checkpoint is, whatever
it knows. That score is zero where answers differ from problem to problem, and chance on multiple choice.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import polars as pl

from overmem.artifacts.manifest import Manifest
from overmem.artifacts.store import Store
from overmem.grading.answers import canonical_answer, marked_answer
from overmem.grading.choose import kind_of_answer
from overmem.grading.letters import single_letter
from overmem.records import Estimate, Verdict

COMPARED = ("math", "exact", "choice", "mixed", "regex:")
"""Graders that compare an answer with the reference's: the same answer to all is right now and then."""


def majority_baseline_accuracy(store: Store, manifest: Manifest, ids: Sequence[str]) -> float:
    """Accuracy of always giving the most frequent of the reference answers, the majority-class baseline.

    Args:
        store: the run's artifacts.
        manifest: the record that describes them.
        ids: of the val problems that count.

    Returns:
        A share (0 to 1; lower is easier to tell from skill); 0 where the grader compares no answers (code),
        every answer occurs once, or the texts were not kept.
    """
    grader = manifest.val.grader
    if not grader.startswith(COMPARED) or not store.has_texts():
        return 0.0
    texts = store.read_texts().filter(pl.col("set") == "val", pl.col("example_id").is_in(list(ids)))
    return most_frequent_share([_spelled(answer, grader) for answer in texts["answer"].drop_nulls()])


def most_frequent_share(answers: Sequence[str]) -> float:
    """Share of the most frequent of some answers; 0 where none occurs twice."""
    _, most = Counter(answers).most_common(1)[0] if answers else ("", 0)
    return most / len(answers) if most > 1 else 0.0


def is_near_baseline(verdict: Verdict, baseline: float) -> bool:
    """Whether the highest accuracy may be within the margin of the baseline.

    Args:
        verdict: with its checkpoints' accuracies and the margin.
        baseline: see `majority_baseline_accuracy`.
    """
    peak = _peak(verdict)
    return math.isfinite(peak.low) and peak.low - baseline <= verdict.thresholds["accuracy_margin"]


def baseline_note(verdict: Verdict, baseline: float) -> list[str]:
    """Warn when accuracies may be so near the baseline that the margin makes every checkpoint comparable."""
    if not is_near_baseline(verdict, baseline):
        return []
    peak, margin = _peak(verdict), verdict.thresholds["accuracy_margin"]
    return [
        f"the highest accuracy is {peak.value:.1%} ({peak.low:.1%} to {peak.high:.1%}): it may be within the "
        f"margin of {100 * margin:g} points of {baseline_text(baseline)}, where every checkpoint counts as "
        "comparable and stages say little; measure on more or easier problems, or train until the task is "
        "learned"
    ]


def baseline_text(baseline: float) -> str:
    """What the baseline is, to be read after "points of"."""
    return f"the {baseline:.1%} that one answer for all problems would score" if baseline else "zero"


def _peak(verdict: Verdict) -> Estimate:
    return max((summary.accuracy for summary in verdict.checkpoints), key=lambda accuracy: accuracy.value)


def _spelled(answer: str, grader: str) -> str:
    kind = kind_of_answer(answer) if grader == "mixed" else grader
    if kind == "choice":
        return single_letter(answer) or answer
    return canonical_answer(marked_answer(answer) or answer) if kind == "math" else answer.strip()
