"""What came of a repair: the record `overmem.repair/1`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from overmem.records.comparisons import Cost
from overmem.records.notebook_view import NotebookView
from overmem.records.plain import Estimate, to_plain
from overmem.serialization import from_plain

REPAIR_SCHEMA = "overmem.repair/1"


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One merge that was tried, and what it reached on the search split."""

    name: str
    method: str
    checkpoints: tuple[str, ...]
    weights: tuple[float, ...]
    """One a checkpoint, summing to 1."""
    nll_nats: float
    """Nats per token, lower is better."""
    accuracy: float = math.nan
    """Measured for the few with the lowest NLL only."""
    pass_at_k: float = math.nan
    """Share of problems that k samples solve, k being all of them; likewise."""


@dataclass(frozen=True, kw_only=True)
class Proof:
    """A repaired model against the checkpoint one would ship without it, on held-out problems."""

    accepted: bool
    probability_not_worse: float
    """That accuracy is not worse by more than the margin."""
    gains: tuple[str, ...]
    """Headlines that are better with a 95% interval clear of zero: NLL, pass@k, robustness, OOD."""
    reason: str
    """Why it was accepted or rejected, in a sentence."""
    differences: tuple[Cost, ...]
    """Repaired minus unrepaired, every measure of every axis."""
    number: int = 1
    """Which merge this is that was tried on the same problems; the bar rises with it."""
    level: float = 0.05
    """Chance at most of either error at that number: that accuracy is worse, or that a gain is luck."""


@dataclass(frozen=True, kw_only=True)
class Temperature:
    """One temperature to divide the logits by, fitted on the search split and read on the confirm split."""

    temperature: float
    nll_change: Estimate
    """NLL at the temperature minus NLL without, nats per token; below zero is better."""


@dataclass(frozen=True, kw_only=True)
class Retraining:
    """Why another fine-tune would do better than any merge of this one, and the recipe to run."""

    reasons: tuple[str, ...]
    changes: tuple[str, ...]
    """What the recipe changes, in words."""
    recipe: Path | None
    """Where it was written; None when too little is known of this fine-tune."""


@dataclass(frozen=True, kw_only=True, repr=False)
class Repair(NotebookView):
    """What was tried on a run, what was proved, and the model that came of it."""

    run: Path
    before: str
    """The checkpoint that would be shipped without a repair."""
    last: str
    n_search: int
    """Val problems on which merges were made and chosen."""
    n_confirm: int
    """Held-out problems, on which the winner was proved; they were not used to choose it."""
    attempts: tuple[Attempt, ...]
    """By NLL, lowest first."""
    winner: str | None
    """Name of the attempt that was proved; None when there was nothing to merge."""
    proof: Proof | None
    against_last: tuple[Cost, ...]
    """Repaired minus last checkpoint, every measure of every axis; empty where `before` is the last."""
    temperature: Temperature | None
    retraining: Retraining | None
    model: Path | None
    """The repaired model's folder; None when nothing was accepted."""
    thresholds: Mapping[str, float | int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    """What was left out, and why."""
    audited: str = ""
    """Key of the audit it rests on: its checkpoints' weights and val problems."""
    words: tuple[str, ...] = ()
    """The outcome in plain sentences, made from this record only."""

    def to_dict(self) -> dict[str, Any]:
        """The `overmem.repair/1` record: undefined figures are null, estimates are objects."""
        return {"schema": REPAIR_SCHEMA, **to_plain(self)}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Repair:
        """Inverse of `to_dict`; keys that this version does not know are ignored.

        Raises:
            ArtifactError: another schema, or a field that is missing or of another type.
        """
        again = "run `overmem repair` again to rewrite repair.json"
        return from_plain(cls, record, what="repair.json", next_step=again, schema=REPAIR_SCHEMA)
