"""One model against another: differences on every axis, what is shipped against what is more accurate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from overmem.records.notebook_view import NotebookView
from overmem.records.plain import Estimate, to_plain

FEWEST_SEEDS = 4
"""Seeds of a recipe from which on it is called better or worse than another."""
TOO_FEW_SEEDS = "too few seeds to say"
COMPARISON_SCHEMA = "overmem.comparison/1"


BASE = "base"
"""Name of the rows of the model that the fine-tune started from."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """One measure of a model against a reference's: paired difference, 95% interval."""

    axis: str
    measure: str
    against: str
    """Name of the reference."""
    difference: Estimate
    direction: Literal["higher", "lower", "context"]
    """Which way is better; `context` is neither."""
    value: float = math.nan
    """The measure itself at the checkpoint."""
    reference_value: float = math.nan
    headline: bool = False
    """Whether it is its axis's headline; the family that Holm's adjustment runs over."""
    p: float = math.nan
    """Two-sided, of this difference alone."""
    p_holm: float = math.nan
    """Adjusted over the axes' headlines; undefined for the other measures."""
    seeds: int | None = None
    """Seeds of the recipe that has fewer; None where two single runs are compared."""

    @property
    def outcome(self) -> str:
        """`better`, `worse`, `changed`, `no clear difference`, `too few seeds to say` or `undefined`.

        By the 95% interval and, for a headline, by the p adjusted over the axes as well. Recipes of fewer
        than four seeds are not told apart.
        """
        low, high = self.difference.low, self.difference.high
        if not (math.isfinite(low) and math.isfinite(high)):
            return "undefined"
        if self.seeds is not None and self.seeds < FEWEST_SEEDS:
            return TOO_FEW_SEEDS
        if low <= 0 <= high or self.p_holm > 0.05:
            return "no clear difference"
        if self.direction == "context":
            return "changed"
        return "better" if (low > 0) == (self.direction == "higher") else "worse"


@dataclass(frozen=True, kw_only=True)
class ByAccuracy:
    """One checkpoint's accuracy against another's or the base model's, where likelihoods are not known."""

    checkpoint: str
    against: str
    """Another checkpoint, or `base`."""
    accuracy: Estimate
    against_accuracy: Estimate
    difference: Estimate
    """Checkpoint minus the other; the interval is of this difference alone."""
    p_adjusted: float
    """Two-sided, times the number of pairs that it was picked from; NaN on too few problems."""
    paired: bool
    """Whether both answered the same problems, each known by itself."""

    @property
    def outcome(self) -> str:
        """`better`, `worse`, or `not told apart`."""
        if not self.p_adjusted <= 0.05:
            return "not told apart"
        return "better" if self.difference.value > 0 else "worse"


@dataclass(frozen=True, kw_only=True)
class Privacy:
    """How well one checkpoint tells which problems were trained on: the worst attack's figures."""

    checkpoint: str
    auroc: Estimate
    """Of the worst attack, chosen on one half of the problems and read on the other; 0.5 is best."""
    auroc_attacks: tuple[str, ...]
    """That were chosen: one, or one for each half."""
    recall: Estimate
    """Share of the training problems found at about 1% false alarms; n counts training problems."""
    recall_attacks: tuple[str, ...]
    false_alarms: Estimate | None = None
    """Share of other problems that are flagged with them; None where there is no recall."""


@dataclass(frozen=True, kw_only=True)
class Use:
    """What one use of a model would ship: the recommended checkpoint or the most accurate one."""

    name: str
    ships: str | None
    """A checkpoint; None where nothing measured decides."""
    why: str
    """The figures that decide, or what was not measured."""


@dataclass(frozen=True, kw_only=True)
class Trade:
    """The most accurate checkpoint beside the one to ship: what each gives up."""

    shipped: str
    most_accurate: str
    differences: tuple[Cost, ...]
    """Most accurate minus shipped, paired, on every axis measured at both."""
    uses: tuple[Use, ...]


@dataclass(frozen=True, kw_only=True)
class AgainstBase:
    """One checkpoint against the model that the fine-tune started from."""

    checkpoint: str
    outcome: str
    """`better`, `form only`, `no better`, `worse`, or `undefined`; `likelier`, `less likely` or `no likelier`
    where answers were not compared; `, and worse elsewhere` may follow."""
    differences: tuple[Cost, ...]
    """Checkpoint minus base model, paired, on every axis measured at both."""


@dataclass(frozen=True, kw_only=True)
class BaseModel:
    """The model that the fine-tune started from, as step 0."""

    name: str
    """Folder or hub id."""
    in_run: bool
    """Whether it is a checkpoint of the run, and so part of the rule's curves."""
    accuracy: Estimate
    nll_nats: Estimate
    perplexity: Estimate
    comparisons: tuple[AgainstBase, ...]
    """Of the checkpoint to ship, then of the last where that is another."""


@dataclass(frozen=True, kw_only=True, repr=False)
class Comparison(NotebookView):
    """Two runs, or two recipes of several seeds: which is better, and what differs; A minus B throughout."""

    a: tuple[str, ...]
    """Run folders of condition A, one a seed."""
    b: tuple[str, ...]
    words: tuple[str, ...] = ()
    """The answer in plain sentences, the first of which says which run is better."""
    better: Literal["A", "B"] | None = None
    """Which is better at the recommended checkpoints; None where they do not differ or it cannot be told."""
    recommended: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
    """The recommended checkpoint of each seed of A and of B; empty where a seed has none."""
    not_recommended: str | None = None
    """Why a run has no recommended checkpoint."""
    at_recommended: tuple[Cost, ...] = ()
    """Differences at the recommended checkpoints, on every axis that was measured at all of them."""
    matched: tuple[str, str] | None
    """The checkpoints of equal accuracy; None when no pair is matched, and `reason` says so."""
    accuracy: tuple[float, float]
    """Mean accuracy of A and of B at the matched (else the closest) checkpoints."""
    probability: float
    """That the accuracies are within the margin, at that pair."""
    differences: tuple[Cost, ...]
    """At the matched checkpoints."""
    not_compared: Mapping[str, str]
    """Axes that only one side measured there, with what to run."""
    thresholds: Mapping[str, float | int]
    measured_in: tuple[str, str]
    """Precision and engine of A and of B, those of several seeds one after another."""
    measured_otherwise: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """What else of the measuring differs, such as the longest answer: as it was for A and for B."""
    problems: int = 0
    """Val problems that all runs share, in the same tokens."""
    reason: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {"schema": COMPARISON_SCHEMA, **to_plain(self)}
