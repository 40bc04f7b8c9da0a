"""What the dynamics figure draws, before any drawing: measures by step, their ranges, stage bands."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from overmem.records import CheckpointSummary, Estimate, Verdict
from overmem.reporting.downloads import Cell, Table

MEASURES = ("accuracy", "nll_nats", "perplexity", "train_nll_nats")
UNMEASURED = Estimate(math.nan, math.nan, math.nan, 0, "not measured")

_LOG_SPAN = 3.0
"""Highest over lowest perplexity from which a linear axis would flatten the part that matters."""
_OFF_SCALE = 3.0
"""A first checkpoint this many times above all that counts is left off the perplexity axis."""


@dataclass(frozen=True, kw_only=True)
class Band:
    """Neighbouring checkpoints of one stage (and one leaning), and the steps they cover."""

    stage: str
    leaning: str | None
    start: float
    end: float


def stage_bands(checkpoints: Sequence[CheckpointSummary]) -> list[Band]:
    """Group neighbours of one stage and leaning; bands meet half way between checkpoints."""
    steps = [float(summary.step) for summary in checkpoints]
    middles = [(a + b) / 2 for a, b in pairwise(steps)]
    lead = middles[0] - steps[0] if middles else max(1.0, steps[0] / 2)
    tail = steps[-1] - middles[-1] if middles else lead
    edges = [steps[0] - (lead or 0.5), *middles, steps[-1] + (tail or 0.5)]
    groups = groupby(range(len(steps)), key=lambda i: (checkpoints[i].stage, checkpoints[i].leaning))
    spans = [(stage, leaning, list(members)) for (stage, leaning), members in groups]
    return [Band(stage=s, leaning=w, start=edges[ids[0]], end=edges[ids[-1] + 1]) for s, w, ids in spans]


def measured(summary: CheckpointSummary, measure: str) -> Estimate:
    """A measure of a checkpoint by name; one that is not there is undefined."""
    found: Estimate | None = getattr(summary, measure)
    return UNMEASURED if found is None else found


def dynamics_table(verdict: Verdict) -> Table:
    """One row a checkpoint: stage, confidence, and each measure with its interval and n."""
    ends = [f"{measure}{end}" for measure in MEASURES for end in ("", "_low_95", "_high_95", "_problems")]
    rows: list[tuple[Cell, ...]] = []
    for found in verdict.checkpoints:
        estimates = [measured(found, measure) for measure in MEASURES]
        figures = [cell for e in estimates for cell in (e.value, e.low, e.high, e.n)]
        about = (found.name, found.step, found.epoch, found.stage, found.leaning, found.confidence)
        rows.append((*about, *figures))
    columns = ("checkpoint", "step", "epoch", "stage", "leaning", "confidence", *ends)
    return Table(columns=columns, rows=tuple(rows))


class Panel:
    """One measure by step: its points, the range of its axis, and the threshold that the rule draws."""

    def __init__(self, verdict: Verdict, measure: str, axis: str, colour: str) -> None:
        """Collect the figures of one measure.

        Args:
            verdict: the record.
            measure: `accuracy` or `perplexity`.
            axis: plotly's name of the y axis.
            colour: of the line.
        """
        self.measure, self.axis, self.colour = measure, axis, colour
        self.verdict, self.checkpoints = verdict, verdict.checkpoints
        self.steps = [summary.step for summary in self.checkpoints]
        self.estimates = [measured(summary, measure) for summary in self.checkpoints]
        self.measured = [i for i, e in enumerate(self.estimates) if math.isfinite(e.value)]
        self.train = self._train_perplexity() if measure == "perplexity" else []
        self.threshold = self._threshold()
        self.off_scale = self._off_scale()
        self.floor, self.ceiling, self.log = self._range()

    @property
    def best(self) -> int | None:
        """Position of the highest accuracy or lowest perplexity; None when nothing was measured."""
        if not self.measured:
            return None
        sign = -1 if self.measure == "accuracy" else 1
        return min(self.measured, key=lambda i: sign * self.estimates[i].value)

    @property
    def naive(self) -> int | None:
        """Position of the checkpoint that this measure alone would have picked."""
        key = "highest_accuracy" if self.measure == "accuracy" else "lowest_perplexity"
        return self.position(self.verdict.alternatives.get(key))

    def position(self, name: str | None) -> int | None:
        """Position of a checkpoint with a figure in this panel, by name."""
        return next((i for i in self.measured if self.checkpoints[i].name == name), None)

    def _train_perplexity(self) -> list[float]:
        nats = [measured(summary, "train_nll_nats").value for summary in self.checkpoints]
        values = [math.exp(value) if value < 50 else math.nan for value in nats]
        return values if any(math.isfinite(value) for value in values) else []

    def _threshold(self) -> float | None:
        key = "accuracy_margin" if self.measure == "accuracy" else "perplexity_ratio"
        limit = self.verdict.thresholds.get(key)
        if self.best is None or limit is None:
            return None
        best = self.estimates[self.best].value
        return float(best - limit if self.measure == "accuracy" else best * limit)

    def _off_scale(self) -> list[int]:
        """Checkpoints before the lowest perplexity that would flatten all the others: the untrained model."""
        if self.measure != "perplexity" or self.best is None:
            return []
        reached = [self.estimates[i].value for i in self.measured if i >= self.best]
        limit = _OFF_SCALE * max([*reached, self.threshold or 0.0])
        return [i for i in self.measured if i < self.best and self.estimates[i].value > limit]

    def _range(self) -> tuple[float, float, bool]:
        shown = [x for i in self.measured if i not in self.off_scale for x in finite_ends(self.estimates[i])]
        shown += [x for i, x in enumerate(self.train) if x == x and i not in self.off_scale]
        shown += [] if self.threshold is None else [self.threshold]
        if not shown:
            return 0.0, 1.0, False
        low, high = min(shown), max(shown)
        if self.measure == "perplexity" and high > _LOG_SPAN * low > 0:
            pad = (high / low) ** 0.10
            return low / pad, high * pad, True
        pad = 0.14 * (high - low) or 0.05 * abs(high) or 0.5
        return (
            (max(-0.01, low - pad), min(1.04, high + pad), False)
            if self.measure == "accuracy"
            else (low - pad, high + pad, False)
        )


def finite_ends(estimate: Estimate) -> list[float]:
    """Value, low and high, as far as they are defined."""
    return [x for x in (estimate.value, estimate.low, estimate.high) if math.isfinite(x)]
