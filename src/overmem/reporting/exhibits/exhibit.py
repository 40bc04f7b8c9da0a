"""What an exhibit is: one thing the page shows of the saved rows, at the checkpoints a verdict compares.

Exhibits are made by pure functions of rows; drawing them is the page's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from overmem.reporting.downloads import Table
from overmem.reporting.figures.theme import Figure

Pair = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class ComparedCheckpoint:
    """A checkpoint that a verdict compares, which the exhibits can show."""

    name: str
    roles: tuple[str, ...]
    """Why it is one: recommended, lowest perplexity, last."""

    @property
    def label(self) -> str:
        """How a reader is told of it: `checkpoint-1200 (recommended, lowest perplexity)`."""
        return f"{self.name} ({', '.join(self.roles)})"


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
    words: Mapping[str, str] = field(default_factory=dict)
    """The figures in words, of each checkpoint."""
    compared: Mapping[Pair, str] = field(default_factory=dict)
    """The paired difference in words, later minus earlier checkpoint."""
    reason: str | None = None
    """Why there is nothing to show, and what would change that; the rest is then empty."""


def left_out(name: str, title: str, reason: str) -> Exhibit:
    """An exhibit whose rows were not measured."""
    return Exhibit(name=name, title=title, reading="", reason=reason)
