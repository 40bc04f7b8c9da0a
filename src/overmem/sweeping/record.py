"""The record of a sweep, `sweep.json`: every configuration at every checkpoint, and what to train with."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from overmem.records import Cost, Estimate, Onset, to_plain

SWEEP_SCHEMA = "overmem.sweep/1"


@dataclass(frozen=True, kw_only=True)
class Point:
    """One configuration at one checkpoint, over all its seeds."""

    group: str
    checkpoint: str
    step: int
    epoch: float | None
    stage: str
    """Within its own run, as a verdict gives it."""
    leaning: str | None
    confidence: float
    accuracy: Estimate
    nll_nats: Estimate
    perplexity: Estimate
    perplexity_ratio: float
    """Over the lowest perplexity of all points it can be compared with; 1 is best."""

    @property
    def label(self) -> str:
        """How a reader is told of it: `learning_rate=0.0004, epoch 5`."""
        return f"{self.group}, " + (self.checkpoint if self.epoch is None else f"epoch {self.epoch:g}")

    @property
    def likely(self) -> str:
        """Its stage, or the one it leans to."""
        return self.leaning or self.stage


@dataclass(frozen=True, kw_only=True)
class Group:
    """One configuration: cells that differ by their seed alone, judged as one run."""

    name: str
    settings: Mapping[str, Any]
    """The keys that vary over the sweep, by dotted recipe key."""
    cells: tuple[str, ...]
    onset: Onset
    onset_epoch: float | None
    """The onset in epochs, with its 95% interval; None where there is none, and `onset.reason` says why."""
    onset_epoch_low: float | None
    onset_epoch_high: float | None
    scheduler: str
    """How its learning rate goes over the run."""


@dataclass(frozen=True, kw_only=True)
class Edge:
    """How far the recommended point is from the nearest one that is not fit, along one side of the grid."""

    key: str
    """A dotted recipe key, or `epoch`."""
    upward: bool
    steps: int
    """Grid steps to that point, or, where there is none, to the end of the grid."""
    to: str | None
    """The label of that point, or the configuration without a result; None where all are fit up to the end of
    the grid."""
    stage: str | None = None
    """Its stage, or the one it leans to; `without a result` where that configuration has none."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The point to train again or to ship, and why."""

    label: str
    group: str
    checkpoint: str
    why: str
    edges: tuple[Edge, ...]


@dataclass(frozen=True, kw_only=True)
class Family:
    """Points whose perplexities can be compared: one model, the same val problems in the same tokens."""

    model: str
    n: int
    """Problems that all its configurations were measured on."""
    groups: tuple[Group, ...]
    points: tuple[Point, ...]
    recommended: Choice | None
    """None where the evidence does not allow one; `reason` then says what is missing."""
    alternatives: Mapping[str, str]
    """What `lowest_perplexity` alone and `highest_accuracy` alone would have picked, by label."""
    alternative_costs: Mapping[str, str]
    """What each would have cost against the recommended one, in words, on the problems that chose."""
    reason: str | None = None
    confirmed: tuple[Cost, ...] = ()
    """Recommended minus each alternative, on problems that chose nothing."""
    confirmed_figures: Mapping[str, Mapping[str, Estimate]] = field(default_factory=dict)
    """Accuracy and perplexity of the picks there, by label."""

    def point(self, label: str) -> Point:
        """A point by its label."""
        return next(point for point in self.points if point.label == label)


@dataclass(frozen=True, kw_only=True)
class CellState:
    """What became of one cell."""

    name: str
    group: str
    seed: int
    status: str
    """`done` or `failed`."""
    stage: str | None = None
    error: str | None = None
    train_seconds: float | None = None
    audit_seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class SweepResult:
    """What a sweep found."""

    output: str
    keys: tuple[str, ...]
    """Dotted recipe keys that vary, without the seed."""
    cells: tuple[CellState, ...]
    families: tuple[Family, ...]
    thresholds: Mapping[str, float | int] = field(default_factory=dict)
    confirm: str | None = None
    notes: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    """What it found in plain sentences, made from this record only."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The sweep as it was written."""

    @property
    def failed(self) -> tuple[CellState, ...]:
        """Cells that came to nothing."""
        return tuple(cell for cell in self.cells if cell.status == "failed")

    def to_dict(self) -> dict[str, Any]:
        """The `overmem.sweep/1` record: undefined figures are null, estimates are objects."""
        return {"schema": SWEEP_SCHEMA, **to_plain(self)}


def short_key(key: str) -> str:
    """The last part of a dotted key."""
    return key.rpartition(".")[2]


def epoch_of(step: int | None, epochs: Mapping[int, float | None]) -> float | None:
    """The epoch at a step, where it is known."""
    found = None if step is None else epochs.get(step)
    return found if found is not None and math.isfinite(found) else None
