"""What the measurements of a run say while it is still training.

The rule of a finished audit, applied to what has been seen so far. With answers it is `judge`; with
likelihood alone only one half of the rule can be read: whether perplexity is inflated over its lowest.

Shape suffixes: C points (ordered by step), N problems, K of them answered, T tokens.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any

import numpy as np

from overmem.axes.excess import split_excess
from overmem.records import STAGES, Estimate
from overmem.rule import Rule
from overmem.stats.arrays import BoolArray, FloatArray
from overmem.stats.groups import Groups
from overmem.stats.intervals import (
    accuracy_estimate,
    nll_difference,
    nll_estimate,
    perplexity_estimate,
)
from overmem.stats.moments import Moments, measure_curves
from overmem.stats.perplexity import perplexity
from overmem.stats.selection import choose_checkpoint
from overmem.stats.stage_rule import inflated_mask
from overmem.verdict.judge import MIN_PROBLEMS, judge_by

NOT_INFLATED, INFLATED, UNDETERMINED = "not inflated", "inflated", "undetermined"
"""Readings of perplexity alone, and the one of too little evidence."""
LATE = ("over-memorized", "overfit", INFLATED)
"""Stages from which on training costs more than it gives."""
CODES = {
    **{stage: code for code, stage in enumerate(STAGES)},
    NOT_INFLATED: STAGES.index("fit"),
    INFLATED: STAGES.index("over-memorized"),
    UNDETERMINED: -1,
}
"""Numbers for backends that plot only numbers."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """What was measured at one step, on the same problems as at every other."""

    step: int
    epoch: float | None
    nll_nats_N: tuple[float, ...]
    """Of each val problem, summed over its completion."""
    correct_K: tuple[float, ...] = ()
    """Of each answered problem, the first K of the N."""
    train_nll_nats: float = math.nan
    """Nats per token on the train subset."""


@dataclass(frozen=True, kw_only=True)
class TokenRow:
    """Val tokens of one point, end to end, to take excess apart; not kept on disk."""

    step: int
    logprob_T: FloatArray = field(repr=False)
    is_top1_T: BoolArray = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What is known of a run at one step, from this and all earlier points."""

    step: int
    epoch: float | None
    val_nll_nats: Estimate
    perplexity: Estimate
    train_nll_nats: float
    """Nats per token on the train subset; NaN when there is none."""
    accuracy: Estimate | None
    """Share of the answered problems that are right; None when none were asked."""
    lowest_step: int
    """Where val NLL was lowest so far."""
    perplexity_ratio: Estimate
    """Perplexity over the lowest so far; 1 is best."""
    probability_inflated: float
    """That the ratio has truly reached the threshold; NaN for the first point."""
    own_path_share: float
    """Share of the excess on tokens that are not the model's own first choice; NaN unless the ratio's
    interval is clear of 1. Above 1 where the other tokens grew likelier."""
    stage: str
    """One of STAGES when answers are known, else `inflated` or `not inflated`; or `undetermined`."""
    confidence: float
    """Probability of the stage (of the likeliest, when undetermined); NaN for the first point."""
    onset: bool
    """Over-memorized, overfit or inflated, beyond the confidence threshold."""

    @property
    def gap(self) -> float:
        """Generalization gap: val less train NLL, nats per token; lower is better."""
        return self.val_nll_nats.value - self.train_nll_nats

    def to_logs(self) -> dict[str, float]:
        """Numbers for a training log; what is undefined is left out."""
        accuracy = math.nan if self.accuracy is None else self.accuracy.value
        values = {
            "val_nll": self.val_nll_nats.value,
            "val_ppl": self.perplexity.value,
            "train_nll": self.train_nll_nats,
            "gap": self.gap,
            "ppl_ratio": self.perplexity_ratio.value,
            "ppl_ratio_low": self.perplexity_ratio.low,
            "ppl_ratio_high": self.perplexity_ratio.high,
            "probability_inflated": self.probability_inflated,
            "own_path_share": self.own_path_share,
            "accuracy": accuracy,
            "stage": float(CODES[self.stage]),
            "confidence": self.confidence,
        }
        return {f"overmem/{name}": value for name, value in values.items() if math.isfinite(value)}

    def describe(self) -> str:
        """One line for a person."""
        parts = [f"step {self.step}: val ppl {self.perplexity.value:.3f}"]
        if math.isfinite(self.probability_inflated):
            ratio = f"{self.perplexity_ratio.value:.3f} times its lowest (step {self.lowest_step})"
            parts.append("the lowest so far" if self.lowest_step == self.step else ratio)
        if math.isfinite(self.gap):
            parts.append(f"gap {self.gap:.3f} nats")
        if self.accuracy is not None:
            parts.append(f"accuracy {self.accuracy.value:.1%}")
        return ", ".join([*parts, self.stage_text])

    @property
    def stage_text(self) -> str:
        """The stage with its confidence."""
        return self.stage if math.isnan(self.confidence) else f"{self.stage} ({self.confidence:.2f})"


def read_points(
    points: Sequence[Point],
    n_tokens_N: Sequence[int],
    rule: Rule,
    tokens: tuple[TokenRow, TokenRow] | None = None,
    group_N: Sequence[str] | None = None,
) -> Reading:
    """Read the last point against all earlier ones.

    Args:
        points: at least one, ordered by step, all on the same problems.
        n_tokens_N: completion tokens of the val problems.
        rule: thresholds.
        tokens: tokens of the last point and of the one with the lowest NLL, when both are at hand.
        group_N: labels of the val problems, equal in one group; each alone by default.
    """
    moments, last = measure_points(points, n_tokens_N, group_N), len(points) - 1
    lowest = int(moments.nll_C.argmin())
    nll = nll_estimate(moments, last)
    ratio, probability = _ratio(moments, last, lowest, rule.perplexity_ratio)
    stage, confidence = _stage(points, n_tokens_N, group_N, (probability, moments.units), rule)
    share = math.nan
    if tokens is not None and ratio.low > 1:
        now, then = tokens
        split = split_excess(now.logprob_T, now.is_top1_T, then.logprob_T, then.is_top1_T)
        share = split.own_path_share
    return Reading(
        step=points[-1].step,
        epoch=points[-1].epoch,
        val_nll_nats=nll,
        perplexity=perplexity_estimate(nll),
        train_nll_nats=points[-1].train_nll_nats,
        accuracy=_accuracy(points, n_tokens_N, group_N),
        lowest_step=points[lowest].step,
        perplexity_ratio=ratio,
        probability_inflated=probability,
        own_path_share=share,
        stage=stage,
        confidence=confidence,
        onset=stage in LATE,
    )


def measure_points(
    points: Sequence[Point], n_tokens_N: Sequence[int], group_N: Sequence[str] | None = None
) -> Moments:
    """NLL of all points with the covariance of their errors; accuracies are left at zero."""
    nll_nats_C_N = np.array([point.nll_nats_N for point in points], dtype=np.float64)
    tokens_N = np.array(n_tokens_N, dtype=np.float64)
    return measure_curves(
        np.zeros_like(nll_nats_C_N), nll_nats_C_N, tokens_N, _groups(group_N, tokens_N.size)
    )


def steps_to_keep(
    points: Sequence[Point], n_tokens_N: Sequence[int], rule: Rule, group_N: Sequence[str] | None = None
) -> list[int]:
    """Steps whose checkpoints may yet be recommended, of those that have one.

    The one with the lowest NLL, and the recommended one. Without answers accuracy is not known; it mostly
    rises until perplexity does, so the latest whose perplexity is not inflated stands for it.

    Args:
        points: those with a checkpoint, ordered by step; may be empty.
        n_tokens_N: completion tokens of the val problems.
        rule: thresholds.
        group_N: labels of the val problems, as of `read_points`.
    """
    if not points:
        return []
    moments, steps_C = measure_points(points, n_tokens_N, group_N), np.array([point.step for point in points])
    kept = {int(moments.nll_C.argmin())}
    if points[0].correct_K:
        correct_C_K, nll_C_K, n_tokens_K = _answered(points, n_tokens_N)
        both = measure_curves(correct_C_K, nll_C_K, n_tokens_K, _groups(group_N, n_tokens_K.size))
        kept.add(choose_checkpoint(both, steps_C, rule).pick if len(points) > 1 else 0)
    else:
        inflated_C = inflated_mask(moments.nll_C[None], steps_C, rule.perplexity_ratio)[0]
        kept.add(int(np.flatnonzero(~inflated_C)[-1]))
    return sorted(points[place].step for place in kept)


def _ratio(moments: Moments, last: int, lowest: int, threshold: float) -> tuple[Estimate, float]:
    """Perplexity over the lowest with its paired interval, and the probability that it is inflated."""
    if last == lowest:
        reason = "the perplexity is the lowest so far"
        return Estimate(1.0, math.nan, math.nan, moments.n, reason), math.nan if last == 0 else 0.0
    difference = nll_difference(moments, last, lowest)
    value, low, high = (perplexity(x) for x in (difference.value, difference.low, difference.high))
    ratio = Estimate(value, low, high, moments.n, difference.reason)
    size = moments.nll_C.size
    contrast_B = np.zeros(2 * size)
    contrast_B[size + last], contrast_B[size + lowest] = moments.nll_C[last], -moments.nll_C[lowest]
    se = math.sqrt(float(contrast_B @ moments.noise_cov_B_B @ contrast_B))
    return ratio, NormalDist().cdf((difference.value - math.log(threshold)) / se)


def _stage(
    points: Sequence[Point],
    n_tokens_N: Sequence[int],
    group_N: Sequence[str] | None,
    inflated: tuple[float, int],
    rule: Rule,
) -> tuple[str, float]:
    """The stage and its confidence; `inflated` is its probability and the problems or groups it rests on."""
    if len(points) < 2:
        return UNDETERMINED, math.nan
    if answered := len(points[0].correct_K):
        verdict = judge_by(
            rule,
            [point.step for point in points],
            *_answered(points, n_tokens_N),
            group=None if group_N is None else group_N[:answered],
        )
        return verdict.stage, verdict.confidence
    probability, units = inflated
    likely, confidence = (INFLATED, probability) if probability >= 0.5 else (NOT_INFLATED, 1.0 - probability)
    enough = units >= MIN_PROBLEMS and confidence >= rule.confidence_threshold
    return (likely if enough else UNDETERMINED), confidence


def _accuracy(
    points: Sequence[Point], n_tokens_N: Sequence[int], group_N: Sequence[str] | None
) -> Estimate | None:
    if not points[-1].correct_K:
        return None
    answered = _answered(points[-1:], n_tokens_N)
    return accuracy_estimate(measure_curves(*answered, _groups(group_N, answered[2].size)), 0)


def _groups(group_N: Sequence[str] | None, first: int) -> Groups | None:
    """The groups of the first problems."""
    return None if group_N is None else Groups.of(group_N[:first])


def _answered(points: Sequence[Point], n_tokens_N: Sequence[int]) -> tuple[Any, Any, Any]:
    """Correctness, NLL and tokens of the problems that were answered."""
    correct_C_K = np.array([point.correct_K for point in points], dtype=np.float64)
    answered = correct_C_K.shape[1]
    nll_C_K = np.array([point.nll_nats_N[:answered] for point in points], dtype=np.float64)
    return correct_C_K, nll_C_K, np.array(n_tokens_N[:answered], dtype=np.float64)
