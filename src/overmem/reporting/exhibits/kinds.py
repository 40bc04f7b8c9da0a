"""What an exhibit is: one thing the page shows of the saved rows, at the checkpoints a verdict compares.

Exhibits are made by pure functions of rows; drawing them is the page's business. Colours and marks are
written as roles (`@series`), which the page fills in for its theme and for the place, first or second,
that a reader gives a checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

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
