"""The nouns: what overmem reads, measures and concludes, as frozen records.

Nothing here computes, reads files or imports torch. Undefined numbers are NaN in memory; on disk
they become null beside a `reason`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from overmem.serialization import from_plain

Stage = Literal["learning", "fit", "over-memorized", "overfit", "unstable", "undetermined"]
STAGES: tuple[str, ...] = ("learning", "fit", "over-memorized", "overfit", "unstable")
VERDICT_SCHEMA = "overmem.verdict/1"
REPAIR_SCHEMA = "overmem.repair/1"

Message = Mapping[str, Any]
"""One turn of a chat: `role`, `content`, and whatever else its template reads."""


class NotebookView:
    """A record that a notebook shows as a table; `overmem/__init__.py` hooks the view in from above."""

    html_view: ClassVar[Callable[[Any], str]] = staticmethod(repr)

    def _repr_html_(self) -> str:
        return type(self).html_view(self)


@dataclass(frozen=True, kw_only=True)
class Conversation:
    """What a chat template is given beside the prompt's messages and the completion's text."""

    reply: tuple[Message, ...] = ()
    """Messages from the answer on, where they are more than one text: reasoning fields, tool calls, more
    turns. The content of the last assistant turn among them is the example's completion. Empty: one turn."""
    trains_every_turn: bool = False
    """Assistant turns of the prompt were trained too, as rows of `messages` are."""
    tools: tuple[Mapping[str, Any], ...] | None = None
    template_kwargs: Mapping[str, Any] = field(default_factory=dict)
    """Variables of the chat template for this row alone, such as `enable_thinking`."""
    as_written: tuple[Message, ...] | None = None
    """The row's messages before they were read more kindly than a trainer does: None where they were not."""


@dataclass(frozen=True, kw_only=True)
class TrainedTokens:
    """A row that is already tokenized: nothing is rendered."""

    input_ids: tuple[int, ...]
    trained: tuple[bool, ...]
    """Whether the loss was taken on the token; as long as `input_ids`."""

    @property
    def answer_start(self) -> int:
        """Where the last run of trained tokens begins: the answer to what stands before it."""
        starts = [at for at in range(1, len(self.trained)) if self.trained[at] and not self.trained[at - 1]]
        first = 1 if len(self.trained) > 1 and self.trained[1] else len(self.trained)
        return starts[-1] if starts else first

    @property
    def has_question(self) -> bool:
        """Whether something was not trained; else nothing tells a question from its answer."""
        return not all(self.trained[1:])


@dataclass(frozen=True)
class Example:
    """One problem with its reference solution; the unit of every statistic."""

    id: str
    """Unique within its data set; rows are paired across checkpoints by it."""
    prompt: str | tuple[Message, ...]
    """The question: plain text, or chat messages up to the assistant's turn."""
    completion: str
    """The reference solution, whose tokens are scored."""
    answer: str | None = None
    """The final answer a grader compares with; None when only likelihood can be measured."""
    meta: Mapping[str, Any] = field(default_factory=dict)
    """Anything else worth keeping (source row, operations, number of steps)."""
    chat: Conversation = Conversation()
    """Beyond prompt and completion, of rows that are conversations."""
    tokens: TrainedTokens | None = None
    """Of rows that are already tokenized, whose prompt and completion are decoded from them."""
    row: Mapping[str, Any] | None = field(default=None, repr=False, compare=False)
    """The record as the data have it, for a framework that renders it; None once the example was changed."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """One saved state of a fine-tune."""

    name: str
    """Folder name, such as `checkpoint-300`; `final` for a model at the run's root."""
    step: int
    """Optimizer steps taken when it was saved (`global_step`)."""
    path: Path
    """Folder that holds the weights."""
    kind: Literal["full", "adapter"]
    """`full` has all weights, `adapter` is a PEFT adapter over a base model."""
    epoch: float | None = None
    """Epochs of training data seen, when `trainer_state.json` says."""


@dataclass(frozen=True, kw_only=True)
class Run(NotebookView):
    """A fine-tune: its folder and its checkpoints in the order they were saved."""

    path: Path
    """The run directory."""
    checkpoints: tuple[Checkpoint, ...]
    """Ordered by step, readable ones only."""
    skipped: Mapping[str, str] = field(default_factory=dict)
    """Checkpoints found but left out, each with the reason."""


@dataclass(frozen=True)
class Estimate:
    """A number shown to a person: value, 95% interval, and the problems behind it."""

    value: float
    low: float
    high: float
    n: int
    """Problems (not samples, not tokens) the estimate rests on."""
    reason: str | None = None
    """Why the value is undefined, when it is NaN."""

    def to_dict(self) -> dict[str, Any]:
        """JSON form; an undefined figure is null and `reason` says why."""
        out: dict[str, Any] = {
            "value": finite_or_none(self.value),
            "low": finite_or_none(self.low),
            "high": finite_or_none(self.high),
            "n": self.n,
        }
        if self.reason is not None:
            out["reason"] = self.reason
        return out

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Estimate:
        """Inverse of `to_dict`."""
        return from_plain(cls, record, what="an estimate", next_step="run the stage again")


@dataclass(frozen=True, kw_only=True)
class CheckpointSummary:
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
    """When undetermined: about how many problems would bring the confidence to the threshold."""
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

    @property
    def outcome(self) -> str:
        """`better`, `worse`, `changed`, `no clear difference` or `undefined`.

        By the 95% interval and, for a headline, by the p adjusted over the axes as well.
        """
        low, high = self.difference.low, self.difference.high
        if not (math.isfinite(low) and math.isfinite(high)):
            return "undefined"
        if low <= 0 <= high or self.p_holm > 0.05:
            return "no clear difference"
        if self.direction == "context":
            return "changed"
        return "better" if (low > 0) == (self.direction == "higher") else "worse"


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
    """`better`, `better, and worse elsewhere`, `form only`, `no better`, `no better, and worse elsewhere`,
    `worse`, or `undefined`."""
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


@dataclass(frozen=True, kw_only=True)
class JudgedReferences:
    """The references whose perplexity the rule reads: are they written in the style of training?"""

    source: str
    """Of val, as written in the configuration."""
    told_apart: Estimate
    """AUROC of a classifier that sees only the wording, val's references against training ones; 0.5 is one
    style. Undefined with a reason where it was not tested."""
    other_hand: bool | None
    """Whether they are clearly in another style; None when that was not tested."""
    telling: tuple[str, ...] = ()
    """The words whose shares differ most."""


@dataclass(frozen=True, kw_only=True)
class PartFigures:
    """Accuracy and NLL at the last checkpoint, on a part of val."""

    part: str
    """`judged`, `left out`, `renumbered`, or `other` (judged and not renumbered)."""
    accuracy: Estimate
    nll_nats: Estimate
    """Nats per token, lower is better."""


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
    premise: str = ""
    """In a sentence, what the verdict takes for granted or does without."""
    refused: str | None = None
    """Why no verdict is given: too much of val was trained on, or too little is left."""


@dataclass(frozen=True, kw_only=True)
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
    evidence: Literal["full", "logged"] = "full"
    words: tuple[str, ...] = ()
    """The verdict in plain sentences, made from this record only."""
    references: JudgedReferences | None = None
    """What the perplexity was read on; None without an audit."""
    clean_val: CleanVal | None = None
    """What training had of val; None without an audit."""
    privacy: tuple[Privacy, ...] = ()
    """Of the checkpoints that a reader may ship: recommended, the other picks and the last, in their order;
    empty where no training data were measured."""
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
    """A repaired model against the checkpoint one would ship without it, on problems no choice has seen."""

    accepted: bool
    probability_not_worse: float
    """That accuracy is not worse by more than the margin."""
    gains: tuple[str, ...]
    """Headlines that are better with a 95% interval clear of zero: NLL, pass@k, robustness, OOD."""
    reason: str
    """Why it was accepted or rejected, in a sentence."""
    differences: tuple[Cost, ...]
    """Repaired minus unrepaired, every measure of every axis."""


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


@dataclass(frozen=True, kw_only=True)
class Repair(NotebookView):
    """What was tried on a run, what was proved, and the model that came of it."""

    run: Path
    before: str
    """The checkpoint that would be shipped without a repair."""
    last: str
    n_search: int
    """Val problems on which merges were made and chosen."""
    n_confirm: int
    """Problems on which the winner was proved; no choice has seen them."""
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


def finite_or_none(value: float) -> float | None:
    """NaN and infinities have no JSON form; null stands for them."""
    return float(value) if math.isfinite(value) else None


def none_to_nan(value: float | None) -> float:
    """Inverse of `finite_or_none` for undefined figures."""
    return math.nan if value is None else float(value)


def to_plain(value: Any) -> Any:
    """The JSON form of a record and all it holds; undefined figures become null."""
    if isinstance(value, Estimate):
        return value.to_dict()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, str | bool | int) or value is None:
        return value
    if isinstance(value, float):
        return finite_or_none(value)
    if isinstance(value, Sequence):
        return [to_plain(item) for item in value]
    raise TypeError(f"no JSON form for {type(value).__name__}")
