"""What every engine offers to an audit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeGuard

from overmem.errors import EngineError
from overmem.models.decoding.sampling import Sampling
from overmem.models.decoding.unfinished import UnfinishedAnswers
from overmem.models.likelihood.scored_logits import TokenIds
from overmem.records import Checkpoint


class Answer(Protocol):
    """One answer, whoever wrote it."""

    @property
    def text(self) -> str:
        """What the model wrote, special tokens left out."""

    @property
    def n_tokens(self) -> int:
        """Tokens written, the stop token included."""

    @property
    def finished(self) -> bool:
        """Whether it stopped by itself before the limit."""

    @property
    def mean_logprob(self) -> float:
        """Mean ln p of the tokens written, at temperature 1, nats; NaN where it is not known."""


class Engine(Protocol):
    """Writes answers."""

    @property
    def local(self) -> bool:
        """Whether answers come from the model in memory, which the audit then loads."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """What of the engine decides an answer, and so is part of the rows' key.

        Empty for the model in memory, whose dtype and attention are part of the key already.
        """

    @property
    def scores(self) -> bool:
        """Whether references are scored by the engine too, and not with the model in memory."""

    @property
    def in_flight(self) -> int:
        """Answers that are written at once, where the audit's token budget does not say so."""

    def connect(
        self, checkpoints: Sequence[Checkpoint], tokenizer: Any, prompt: Sequence[int]
    ) -> dict[str, str]:
        """Get ready to answer as these checkpoints.

        Args:
            checkpoints: at which answers are missing.
            tokenizer: of the run.
            prompt: one of the prompts to come, to try out what the engine takes.

        Returns:
            The checkpoints that it cannot answer as, with the reason.
        """

    def describe(self) -> dict[str, Any] | None:
        """What the manifest says of it; None when there is nothing to say."""

    def close(self) -> None:
        """Give back what it holds; nothing is asked of it any more."""

    def generate(
        self,
        model: Any,
        prompts: Sequence[Sequence[int]],
        tokenizer: Any,
        *,
        stops: Sequence[int],
        max_new_tokens: int,
        sampling: Sampling | None = None,
        example_ids: Sequence[str] | None = None,
        unfinished: UnfinishedAnswers | None = None,
    ) -> Sequence[Sequence[Answer]]:
        """Answer prompts; see `overmem.models.decoding.generation.generate`.

        Args:
            model: the model in memory, or the checkpoint where the engine is elsewhere.
            prompts: token ids of each.
            tokenizer: of the run.
            stops: ids that end an answer.
            max_new_tokens: longest answer.
            sampling: draw samples; None answers once, at temperature 0.
            example_ids: names of the prompts, from which each sample's seed comes.
            unfinished: where the engine keeps answers while it writes them, if it sees their tokens come.
        """


class ScoringEngine(Engine, Protocol):
    """Scores references as well."""

    def score(self, model: Any, items: Sequence[TokenIds]) -> list[dict[str, Any]]:
        """Likelihood of references.

        Args:
            model: as for `generate`.
            items: rendered examples.

        Returns:
            The likelihood columns of each one's row; see `overmem.models.engines.prompt_logprobs`.
        """


def scores_references(engine: Engine) -> TypeGuard[ScoringEngine]:
    """Whether an engine scores references, as it was asked to."""
    return engine.scores


def check_uncut(answer: Answer, max_new_tokens: int, engine: str) -> None:
    """Refuse an answer that ends before its limit for want of room: it would be graded as the model's own.

    Args:
        answer: `n_tokens` as the engine itself counted them; below 0 where it did not, which is let pass.
        max_new_tokens: the limit that was asked for.
        engine: how a reader is told of it.

    Raises:
        EngineError: it was cut.
    """
    if not answer.finished and 0 <= answer.n_tokens < max_new_tokens:
        raise EngineError(
            f"{engine} cuts answers short: its context is full",
            got=f"an answer that was ended after {answer.n_tokens} tokens",
            expected=f"one that stops by itself, or is ended after {max_new_tokens}",
            next_step="give it a longer context for each request, or pass a lower --max-new-tokens",
        )
