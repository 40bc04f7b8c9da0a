"""What is concluded of a run: the record `overmem.verdict/1`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from overmem.records.comparisons import BaseModel, ByAccuracy, Cost, Privacy, Trade
from overmem.records.logged import LoggedReading
from overmem.records.notebook_view import NotebookView
from overmem.records.plain import Estimate, to_plain
from overmem.serialization import from_plain

Stage = Literal["learning", "fit", "over-memorized", "overfit", "unstable", "undetermined"]
Evidence = Literal["full", "accuracy and eval_loss", "accuracy", "scores", "logged"]
"""`full`: answers and likelihoods of the same problems. `accuracy`: answers alone, in pairs. `accuracy and
eval_loss`: what training logged stands in for the likelihoods. `scores`: shares right, no problem by itself.
`logged`: the log of the training alone."""
STAGES: tuple[str, ...] = ("learning", "fit", "over-memorized", "overfit", "unstable")
VERDICT_SCHEMA = "overmem.verdict/1"


@dataclass(frozen=True, kw_only=True, repr=False)
class CheckpointSummary(NotebookView):
    """What was measured on one checkpoint and the stage it was given."""

    name: str
    step: int
    stage: str
    """One of STAGES, or `undetermined`."""
    confidence: float
    """Probability of `stage` (of `leaning` when undetermined), in [0, 1]; calibrated."""
    leaning: str | None
    """The most probable stage when `stage` is undetermined, else None."""
    accuracy: Estimate
    nll_nats: Estimate
    perplexity: Estimate
    stage_probabilities: Mapping[str, float] = field(default_factory=dict)
    """Probability of each of the five stages; sums to 1."""
    problems_to_settle: int | None = None
    """When undetermined: about how many problems give a stage, whichever, with a chance of a half."""
    problems_to_settle_likely: int | None = None
    """The same with a chance of 0.8."""
    chance_to_settle: float | None = None
    """That a stage is given with the most problems that were imagined: up to a hundred times as many."""
    train_nll_nats: Estimate | None = None
    """NLL on the train subset, when it was measured."""
    epoch: float | None = None


@dataclass(frozen=True, kw_only=True)
class Onset:
    """First checkpoint from which all are over-memorized or overfit; None when there is none."""

    step: int | None
    low: int | None
    high: int | None
    probability: float = math.nan
    """Probability that the run ends over-memorized or overfit at all."""
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class Severity:
    """How far the last checkpoint is inflated over the one with the lowest val NLL."""

    excess_nll_nats: Estimate
    """NLL(last) - NLL(lowest), nats per token; 0 is best."""
    perplexity_ratio: float
    """P(last) / P(lowest); 1 is best."""
    own_path_share: float = math.nan
    """Share of the excess on tokens that are not the last checkpoint's own top-1 choice."""
    temperature_recovers_share: float = math.nan
    """Share of the excess that one temperature, fitted on half of val, takes back on the other half."""
    reason: str | None = None
    """Why a share is undefined."""


@dataclass(frozen=True, kw_only=True)
class Recommendation:
    """The checkpoint to ship, and why."""

    name: str
    step: int
    why: str
    stage: str = "undetermined"
    """Its stage: one of STAGES, or `undetermined`."""
    leaning: str | None = None
    """The most probable stage when `stage` is undetermined, else None."""
    confidence: float = math.nan
    """Probability of the stage, or of the leaning, in [0, 1]."""


@dataclass(frozen=True, kw_only=True)
class JudgedReferences:
    """The references whose perplexity the rule reads: are they written in the style of training?"""

    source: str
    """Of val, as written in the configuration."""
    unlike: Estimate = field(default_factory=lambda: Estimate(math.nan, math.nan, math.nan, 0))
    """Share of val's references that break a habit of training, beyond the share of training texts that do.
    Without a broken habit 0, and its upper end is the least share that would be seen. Undefined with a reason
    where it was not tested, without one in records of earlier versions."""
    other_style: bool | None = None
    """Whether a part of them is clearly in another style; None when that was not tested."""
    telling: tuple[str, ...] = ()
    """The habits of training that are broken most, with their shares in both."""


@dataclass(frozen=True, kw_only=True)
class PartFigures:
    """Accuracy and NLL at the last checkpoint, on a part of val."""

    part: str
    """`judged`, `left out`, `renumbered`, or `other` (judged and not renumbered)."""
    accuracy: Estimate
    nll_nats: Estimate
    """Nats per token, lower is better."""


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """Problems of a set beside val that training had, and that no axis is read on."""

    set: str
    """`ood/NAME` or `references/NAME`."""
    left_out: int
    n: int
    """Problems of the set."""


@dataclass(frozen=True, kw_only=True)
class CleanVal:
    """Whether val is free of training problems: a premise of every verdict."""

    checked: bool
    """Whether val was compared with all of the training data."""
    measured: int
    """Val problems measured at every checkpoint, those left out counted."""
    left_out: int
    """Of them, how many the verdict does without."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """Measured problems that training had, by kind: copy, reworded, renumbered, followed."""
    templates: int = 0
    """Groups of val problems that share a template."""
    in_templates: int = 0
    """Problems in such a group."""
    followers: tuple[str, ...] = ()
    """Ids of val problems whose NLL moved with train's, though no training problem has their text."""
    parts: tuple[PartFigures, ...] = ()
    """What was left out, and what is renumbered, beside the rest."""
    elsewhere: tuple[LeftOut, ...] = ()
    """What is left out of other sets."""
    premise: str = ""
    """In a sentence, what the verdict takes for granted or does without."""
    to_be_said: bool = False
    """Whether the premise belongs beside every verdict: val was not compared, or training had some of it."""
    refused: str | None = None
    """Why no verdict is given: too much of val was trained on, or too little is left."""


@dataclass(frozen=True, kw_only=True)
class ProblemGroups:
    """The groups that problems fall into: the unit of every error."""

    problems: int
    groups: int
    effective: int
    """Groups of equal size that would tell as much; at most `groups`."""
    by: str = ""
    """What tells them; empty where the caller said."""


@dataclass(frozen=True, kw_only=True)
class Sensitivity:
    """Whether the verdict hangs on few problems: what it would be without those that move an NLL most."""

    problems: tuple[str, ...]
    """Those left out, each of which moves an NLL by half of its standard error or more; mostly none."""
    largest_move: float
    """By how many standard errors one problem moves an NLL at most, in [0, 1]."""
    n: int
    """Problems."""
    top_problems: int
    """How many are the top 1% of the excess NLL."""
    top_share: float = math.nan
    """Share of the last checkpoint's excess NLL that they carry; NaN without excess."""
    stage: str | None = None
    """Of the last checkpoint without the problems; None where they were not left out."""
    leaning: str | None = None
    confidence: float = math.nan
    recommended: str | None = None
    """The checkpoint recommended without them."""
    decides: bool = False
    """Whether the stage or the recommendation would be another."""


@dataclass(frozen=True, kw_only=True, repr=False)
class Verdict(NotebookView):
    """The conclusion about a run, carrying the evidence it rests on."""

    stage: str
    """Stage of the last checkpoint."""
    confidence: float
    checkpoints: tuple[CheckpointSummary, ...]
    onset: Onset
    severity: Severity
    recommended: Recommendation | None
    """None when the evidence does not allow one; `reason` then says what is missing."""
    alternatives: Mapping[str, str | None]
    """What `lowest_perplexity` alone and `highest_accuracy` alone would have picked."""
    alternative_costs: Mapping[str, str] = field(default_factory=dict)
    """What each naive choice would have cost against the recommended one, in words."""
    costs: tuple[Cost, ...] = ()
    trade: Trade | None = None
    """The most accurate checkpoint beside the one to ship; None where they are the same."""
    base: BaseModel | None = None
    """The model that the fine-tune started from; None where it was not measured."""
    thresholds: Mapping[str, float | int] = field(default_factory=dict)
    evidence: Evidence = "full"
    """What it rests on; a stage that may be shipped by is given on `full` alone."""
    words: tuple[str, ...] = ()
    """The verdict in plain sentences, made from this record only."""
    references: JudgedReferences | None = None
    """What the perplexity was read on; None without an audit."""
    clean_val: CleanVal | None = None
    """What training had of val; None without an audit."""
    groups: ProblemGroups | None = None
    """Of problems that stand for one another; None where each problem stands alone."""
    train_groups: ProblemGroups | None = None
    """Likewise of the training rows that were measured; None in records of earlier versions."""
    sensitivity: Sensitivity | None = None
    """Whether few problems decide it; None without rows, or in records of earlier versions."""
    by_accuracy: tuple[ByAccuracy, ...] = ()
    """The most accurate checkpoint against the others, and the base model; empty on full evidence."""
    privacy: tuple[Privacy, ...] = ()
    """Of the checkpoints that a reader may ship: recommended, the other picks and the last, in their order;
    empty where no training data were measured."""
    logged: LoggedReading | None = None
    """What the training log says, where the evidence is `logged`."""
    reason: str | None = None
    """What is missing, when the evidence is insufficient."""
    notes: tuple[str, ...] = ()
    """Warnings a reader must see (skipped checkpoints, what `eval_loss` may hide)."""

    def to_dict(self) -> dict[str, Any]:
        """The `overmem.verdict/1` record: undefined figures are null, estimates are objects."""
        return {"schema": VERDICT_SCHEMA, **to_plain(self)}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Verdict:
        """Inverse of `to_dict`; keys that this version does not know are ignored.

        Raises:
            ArtifactError: another schema, or a field that is missing or of another type.
        """
        again = "run `overmem diagnose` again to rewrite verdict.json"
        return from_plain(cls, record, what="verdict.json", next_step=again, schema=VERDICT_SCHEMA)
