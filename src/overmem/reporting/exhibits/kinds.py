"""What an exhibit is: one thing the page shows of the saved rows, at the checkpoints a verdict compares.

Exhibits are made by pure functions of rows; drawing them is the page's business. Colours and marks are
written as roles (`@series`), which the page fills in for its theme and for the place, first or second,
that a reader gives a checkpoint.

Shape suffixes: D draws.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np

from overmem.axes.kinds import FloatArray, Measure
from overmem.diagnosis.estimates import NO_SPREAD
from overmem.diagnosis.paired import bootstrap
from overmem.diagnosis.spoken import DASH, MINUS
from overmem.records import Estimate

DRAWS = 2000
SEED = 0
Trace = dict[str, Any]
Pair = tuple[str, str]
Cell = str | int | float | bool | None


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A checkpoint that the exhibits can show."""

    name: str
    roles: tuple[str, ...]
    """Why it is one: recommended, lowest perplexity, last."""

    @property
    def label(self) -> str:
        """How a reader is told of it: `checkpoint-1200 (recommended, lowest perplexity)`."""
        return f"{self.name} ({', '.join(self.roles)})"


@dataclass(frozen=True, kw_only=True)
class Table:
    """The data behind a figure."""

    columns: tuple[str, ...] = ()
    rows: tuple[tuple[Cell, ...], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A plotly figure whose traces depend on which checkpoints are looked at."""

    layout: Mapping[str, Any]
    compact: Mapping[str, Any] = field(default_factory=dict)
    """What a narrow screen changes in the layout."""
    base: tuple[Trace, ...] = ()
    """Traces that are always there."""
    series: Mapping[str, tuple[Trace, ...]] = field(default_factory=dict)
    """Traces of each checkpoint."""


@dataclass(frozen=True, kw_only=True)
class Exhibit:
    """One figure with what a reader needs to trust it."""

    name: str
    """For the file of its data: `reliability-tokens`."""
    title: str
    reading: str
    """How to read it, in a sentence or two."""
    measured: str = ""
    """On what, with n and what the intervals are."""
    figure: Figure | None = None
    table: Table = field(default_factory=Table)
    said: Mapping[str, str] = field(default_factory=dict)
    """The figures in words, of each checkpoint."""
    compared: Mapping[Pair, str] = field(default_factory=dict)
    """The paired difference in words, later minus earlier checkpoint."""
    reason: str | None = None
    """Why there is nothing to show, and what would change that; the rest is then empty."""


def left_out(name: str, title: str, reason: str) -> Exhibit:
    """An exhibit whose rows were not measured."""
    return Exhibit(name=name, title=title, reading="", reason=reason)


@dataclass(frozen=True)
class Drawn:
    """A measure at one checkpoint, with its bootstrap draws; the same draws at all checkpoints."""

    value: float
    draws_D: FloatArray
    n: int
    reason: str | None = None

    @classmethod
    def of(cls, measure: Measure) -> Drawn:
        """Draw a measure; a measure that is undefined stays so."""
        if measure.reason is not None:
            return cls(math.nan, np.full(DRAWS, math.nan), measure.problems, measure.reason)
        return cls(measure.value(), bootstrap([measure], DRAWS, SEED), measure.problems)

    def estimate(self) -> Estimate:
        """The figure with its 95% percentile interval over problems."""
        return interval(self.value, self.draws_D, self.n, self.reason)

    def minus(self, other: Drawn) -> Estimate:
        """The paired difference with its 95% percentile interval."""
        n, reason = min(self.n, other.n), self.reason or other.reason
        return interval(self.value - other.value, self.draws_D - other.draws_D, n, reason)


def interval(value: float, draws_D: FloatArray, n: int, reason: str | None = None) -> Estimate:
    """A figure with the 95% percentile interval of its draws, or the reason why it has none."""
    finite_D = draws_D[np.isfinite(draws_D)]
    if reason is None and not math.isfinite(value):
        reason = "nothing to measure it on"
    if reason is not None or not math.isfinite(value):
        return Estimate(math.nan, math.nan, math.nan, n, reason)
    if len(finite_D) < 2 or np.ptp(finite_D) < 1e-12:
        return Estimate(value, math.nan, math.nan, n, NO_SPREAD)
    low, high = np.percentile(finite_D, [2.5, 97.5])
    return Estimate(value, min(float(low), value), max(float(high), value), n)


def compare(drawn: Mapping[str, Drawn], what: str, digits: int = 3) -> dict[Pair, str]:
    """For each pair of checkpoints, the later minus the earlier, in words.

    Args:
        drawn: by checkpoint, in the order of the run.
        what: name of the measure.
        digits: after the point.
    """
    found = {}
    for earlier, later in combinations(drawn, 2):
        difference = drawn[later].minus(drawn[earlier])
        if math.isfinite(difference.value):
            said = signed_text(difference, digits)
            found[earlier, later] = f"{what}, {later} minus {earlier}: {said}, paired"
    return found


def plain_text(estimate: Estimate, digits: int = 3) -> str:
    """A figure with its interval: `0.976 (95% interval 0.960-0.990)`."""
    if not math.isfinite(estimate.value):
        return f"undefined: {estimate.reason}"
    text = f"{estimate.value:.{digits}f}"
    if not math.isfinite(estimate.low):
        return f"{text} (no interval: {estimate.reason})" if estimate.reason else text
    return f"{text} (95% interval {estimate.low:.{digits}f}{DASH}{estimate.high:.{digits}f})"


def signed_text(estimate: Estimate, digits: int = 3) -> str:
    """A difference with its interval, signs written out."""
    if not math.isfinite(estimate.value):
        return f"undefined: {estimate.reason}"
    value, low, high = (
        f"{x:+.{digits}f}".replace("-", MINUS) for x in (estimate.value, estimate.low, estimate.high)
    )
    if not math.isfinite(estimate.low):
        return f"{value} (no interval: {estimate.reason})" if estimate.reason else value
    return f"{value} (95% interval {low} to {high})"


def rounded(values: Sequence[float] | FloatArray, digits: int = 5) -> list[float | None]:
    """Numbers for JSON, without digits that nobody can see; undefined ones become null."""
    return [round(float(value), digits) if math.isfinite(value) else None for value in values]


def axis(title: str, **more: Any) -> dict[str, Any]:
    """An axis of an exhibit in the page's style."""
    return {
        "title": {"text": title, "standoff": 8, "font": {"color": "@muted", "size": 12.5}},
        "gridcolor": "@grid",
        "linecolor": "@grid",
        "zeroline": False,
        "fixedrange": True,
        "tickfont": {"size": 12},
        "automargin": False,
        **more,
    }


def layout(x: Mapping[str, Any], y: Mapping[str, Any], height: int = 340, **more: Any) -> dict[str, Any]:
    """A layout of one panel in the page's style."""
    return {
        "height": height,
        "margin": {"l": 58, "r": 16, "t": 10, "b": 48},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {
            "family": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif",
            "size": 13,
            "color": "@ink",
        },
        "hoverlabel": {
            "bgcolor": "@paper",
            "bordercolor": "@muted",
            "font": {"color": "@ink"},
            "align": "left",
        },
        "showlegend": False,
        "hovermode": "closest",
        "dragmode": False,
        "xaxis": dict(x),
        "yaxis": dict(y),
        **more,
    }
