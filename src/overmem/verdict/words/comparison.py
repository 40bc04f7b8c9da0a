"""Which of two runs is better, in plain sentences; made from the record of their comparison alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from overmem.formatting import joined, percent
from overmem.records import FEWEST_SEEDS, TOO_FEW_SEEDS, Comparison, Cost

ACCURACY = "accuracy"


def better_side(costs: Sequence[Cost], margin: float) -> Literal["A", "B"] | None:
    """The better run at two checkpoints; None where neither is, or it cannot be told.

    Accuracy decides. Where it is equal within the margin, a run is better whose other headlines differ in its
    favour, at least one, and none against it.

    Args:
        costs: A minus B.
        margin: accuracy difference that counts as equal, a share.
    """
    accuracy = accuracy_cost(costs)
    if accuracy is None:
        return None
    if accuracy.outcome in ("better", "worse"):
        return "A" if accuracy.outcome == "better" else "B"
    if not is_equal(accuracy, margin):
        return None
    for_a, for_b = better_axes(costs)
    if bool(for_a) == bool(for_b):
        return None
    return "A" if for_a else "B"


def accuracy_cost(costs: Sequence[Cost]) -> Cost | None:
    """The difference in accuracy on val; None where it was not measured."""
    return next((cost for cost in costs if cost.axis == cost.measure == ACCURACY), None)


def is_equal(accuracy: Cost, margin: float) -> bool:
    """Whether the whole 95% interval lies within the margin; equal answers to every problem are equal."""
    found = accuracy.difference
    if accuracy.outcome == TOO_FEW_SEEDS:
        return False
    if not (math.isfinite(found.low) and math.isfinite(found.high)):
        return found.value == 0
    return -margin <= found.low and found.high <= margin


def better_axes(costs: Sequence[Cost]) -> tuple[list[str], list[str]]:
    """Axes beside accuracy whose headline is clearly better for A, and for B."""
    told = [cost for cost in costs if cost.headline and cost.axis != ACCURACY]
    return (
        [cost.axis for cost in told if cost.outcome == "better"],
        [cost.axis for cost in told if cost.outcome == "worse"],
    )


def comparison_words(found: Comparison) -> tuple[str, ...]:
    """The answer, what else differs where, and what a reader must know before acting on it."""
    words = [_answer(found), *_elsewhere(found), _at_matched(found)]
    for name, (a, b) in found.measured_otherwise.items():
        words.append(f"Measured otherwise: {name}: {a} (A), {b} (B). A difference may come from that.")
    return tuple(words)


def _answer(found: Comparison) -> str:
    margin = float(found.thresholds["accuracy_margin"])
    accuracy = accuracy_cost(found.at_recommended)
    if not all(found.recommended):
        why = found.not_recommended
        return f"Which run is better to ship cannot be told: no checkpoint is recommended in {why}."
    if accuracy is None:
        return (
            "Which run is better cannot be told: accuracy was not measured at both recommended checkpoints."
        )
    a, b = (_names(names) for names in found.recommended)
    if accuracy.outcome == TOO_FEW_SEEDS:
        return (
            f"Which recipe is better cannot be told from fewer than {FEWEST_SEEDS} seeds each: at the "
            f"recommended checkpoints {_difference(accuracy)}."
        )
    if accuracy.outcome in ("better", "worse"):
        return (
            f"{found.better} is better: at the checkpoints to ship ({a} of A, {b} of B) it solves "
            f"{_points(accuracy, 1 if found.better == 'A' else -1)}."
        )
    at = f"at the checkpoints to ship ({a} of A, {b} of B) {_difference(accuracy)}"
    if found.better is not None:
        for_a, for_b = better_axes(found.at_recommended)
        return f"{found.better} is better: as accurate ({at}), and better in {joined(for_a or for_b)}."
    if is_equal(accuracy, margin):
        return f"A and B do not differ in accuracy: {at}, within {100 * margin:.3g} points."
    return (
        f"Which run is better cannot be told from {found.problems} problems: {at}. Neither a difference nor "
        f"equality within {100 * margin:.3g} points is clear."
    )


def _elsewhere(found: Comparison) -> list[str]:
    """What differs beside accuracy at the recommended checkpoints."""
    for_a, for_b = better_axes(found.at_recommended)
    compared = {cost.axis for cost in found.at_recommended if cost.headline} - {ACCURACY}
    if not compared:
        return []
    if not (for_a or for_b):
        return [f"There, no clear difference in {joined(sorted(compared))}."]
    return [f"There, {_sides(for_a, for_b)}."]


def _at_matched(found: Comparison) -> str:
    a, b = found.accuracy
    margin = 100 * float(found.thresholds["accuracy_margin"])
    if found.matched is None:
        return f"Not compared at matched accuracy: {found.reason} ({percent(a)} and {percent(b)})."
    where = (
        f"At matched accuracy ({found.matched[0]} of A {percent(a)}, {found.matched[1]} of B {percent(b)}; "
    )
    where += f"within {margin:.3g} points with probability {found.probability:.2f})"
    for_a, for_b = better_axes(found.differences)
    if any(cost.outcome == TOO_FEW_SEEDS for cost in found.differences):
        return f"{where}, too few seeds to say what else differs."
    return f"{where}, {_sides(for_a, for_b) if for_a or for_b else 'no other axis clearly differs'}."


def _sides(for_a: Sequence[str], for_b: Sequence[str]) -> str:
    parts = [f"{name} is better in {joined(axes)}" for name, axes in (("A", for_a), ("B", for_b)) if axes]
    return "; ".join(parts)


def _names(names: Sequence[str]) -> str:
    return joined(list(dict.fromkeys(names)))


def _points(accuracy: Cost, sign: int) -> str:
    """How much more the better side solves, oriented to it."""
    found = accuracy.difference
    low, high = sorted((100 * sign * found.low, 100 * sign * found.high))
    return f"{100 * sign * found.value:.1f} points more (95% interval {low:.1f} to {high:.1f})"


def _difference(accuracy: Cost) -> str:
    found = accuracy.difference
    said = f"A minus B is {100 * found.value:+.1f} points"
    if not (math.isfinite(found.low) and math.isfinite(found.high)):
        return f"{said} (no interval: {found.reason})"
    return f"{said} (95% interval {100 * found.low:+.1f} to {100 * found.high:+.1f})"
