"""What is read: examples, checkpoints and runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from overmem.records.notebook_view import NotebookView

Message = Mapping[str, Any]
"""One turn of a chat: `role`, `content`, and whatever else its template reads."""


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
    """Optimizer steps taken when it was saved (`global_step`); epochs, where nothing but these is known."""
    path: Path
    """Folder that holds the weights."""
    kind: Literal["full", "adapter"]
    """`full` has all weights, `adapter` is a PEFT adapter over a base model."""
    epoch: float | None = None
    """Epochs of training data seen, where `trainer_state.json` or the folder's name says."""


@dataclass(frozen=True, kw_only=True, repr=False)
class Run(NotebookView):
    """A fine-tune: its folder and its checkpoints in the order they were saved."""

    path: Path
    """The run directory as it was named: what is measured is kept there."""
    checkpoints: tuple[Checkpoint, ...]
    """Ordered by step, readable ones only."""
    skipped: Mapping[str, str] = field(default_factory=dict)
    """Checkpoints found but left out, each with the reason."""
    home: Path | None = None
    """Folder that holds the checkpoints, where that is one below `path` (ms-swift's `v0-...`)."""

    @property
    def training_folder(self) -> Path:
        """Where the training left its checkpoints, its recipe and its card."""
        return self.path if self.home is None else self.home
