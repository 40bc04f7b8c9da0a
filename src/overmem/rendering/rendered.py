"""A rendered example: checks before it reaches a model, fingerprints, and what a person is shown.

Rows measured on different tokens must never mix, so the fingerprint of the rendered data is part of
every artifact's key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from overmem.errors import DataError

Tokenizer = Any
"""A transformers tokenizer; untyped here so that nothing heavy is imported."""


@dataclass(frozen=True, kw_only=True)
class Rendered:
    """One example as the model sees it."""

    example_id: str
    prompt_ids: tuple[int, ...]
    """Tokens of the context before the first scored one, special tokens included."""
    completion_ids: tuple[int, ...]
    """From the first scored token to the last, the end-of-turn or end-of-sequence token included."""
    prompt_text: str
    """The question as it is asked."""
    completion_text: str
    """The answer to it."""
    scored: tuple[bool, ...] | None = None
    """Which of `completion_ids` are scored, where not all are: other turns may stand between."""
    asked_ids: tuple[int, ...] | None = None
    """What an answer is written after, where that is not `prompt_ids`: the last question of a conversation,
    or the prompt alone where training had other tokens at its end."""
    last_turn: int = 0
    """Where in `completion_ids` the answer to `asked_ids` starts."""

    @property
    def input_ids(self) -> tuple[int, ...]:
        """Prompt and completion."""
        return self.prompt_ids + self.completion_ids

    @property
    def question_ids(self) -> tuple[int, ...]:
        """What an answer is written after."""
        return self.prompt_ids if self.asked_ids is None else self.asked_ids

    @property
    def answer_ids(self) -> tuple[int, ...]:
        """Tokens of the reference answer: the last turn."""
        return self.completion_ids[self.last_turn :]

    @property
    def scored_mask(self) -> tuple[bool, ...]:
        """Of each of `completion_ids`: is it scored."""
        return (True,) * len(self.completion_ids) if self.scored is None else self.scored

    @property
    def clean_boundary(self) -> bool:
        """Whether the answer was trained after the very tokens that it is asked with."""
        before = self.input_ids[: len(self.prompt_ids) + self.last_turn]
        return self.asked_ids is None or self.asked_ids == before

    def __len__(self) -> int:
        """Tokens in all."""
        return len(self.prompt_ids) + len(self.completion_ids)


def text_ids(tokenizer: Tokenizer, text: str) -> list[int]:
    """Token ids of a text, without the special tokens that a tokenizer puts around one."""
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def special_ids(tokenizer: Tokenizer) -> set[int]:
    """Ids of the tokens that are no text: the tokenizer's own and those that were added as special."""
    added = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
    return added | set(tokenizer.all_special_ids)


def common_prefix_length(ids: Sequence[object], others: Sequence[object]) -> int:
    """How many leading ids, or characters, two sequences share."""
    different = (at for at, (one, other) in enumerate(zip(ids, others, strict=False)) if one != other)
    return next(different, min(len(ids), len(others)))


def from_mask(
    example_id: str,
    ids: Sequence[int],
    trained: Sequence[bool],
    *,
    asked_ids: Sequence[int],
    last_turn: int,
    max_length: int | None,
    prompt_text: str,
    completion_text: str,
) -> Rendered:
    """A rendered example from the whole sequence and the mask of what is scored.

    The first token of a sequence is never scored: nothing predicts it. Where the cutoff leaves nothing of the
    answer, nothing is scored, earlier turns included.

    Args:
        example_id: of the example.
        ids: all tokens.
        trained: of each token, whether training took its loss on it.
        asked_ids: what an answer is written after.
        last_turn: position in `ids` where the answer starts.
        max_length: training's cutoff.
        prompt_text: the question as it is asked.
        completion_text: the answer to it.
    """
    mask = [on and at > 0 for at, on in enumerate(trained)][:max_length]
    on = [at for at, scored in enumerate(mask) if scored] if last_turn < len(mask) else []
    first, stop = (on[0], on[-1] + 1) if on else (len(mask), len(mask))
    scored = tuple(mask[first:stop])
    asked = tuple(asked_ids)
    return Rendered(
        example_id=example_id,
        prompt_ids=tuple(ids[:first]),
        completion_ids=tuple(ids[first:stop]),
        prompt_text=prompt_text,
        completion_text=completion_text,
        scored=None if all(scored) else scored,
        asked_ids=None if asked == tuple(ids[:first]) else asked,
        last_turn=min(max(last_turn - first, 0), stop - first),
    )


def check_fits(rendered: Rendered, max_length: int) -> None:
    """Refuse an example longer than the context, since truncating it would change what is measured.

    Raises:
        DataError: it is longer than `max_length` tokens.
    """
    if len(rendered) > max_length:
        raise DataError(
            f"example `{rendered.example_id}` does not fit the context",
            got=f"{len(rendered)} tokens, {len(rendered.prompt_ids)} of them prompt",
            expected=f"at most {max_length}",
            next_step="drop the example, or use a model with a longer context",
        )


def check_all_fit(rendered: Iterable[Rendered], max_length: int | None) -> None:
    """`check_fits` for a whole split; None means that the model names no limit.

    Raises:
        DataError: an example is longer than `max_length`, or has no prompt token to predict from.
    """
    for item in rendered:
        if not item.prompt_ids:
            raise DataError(
                f"example `{item.example_id}`: the prompt has no tokens",
                expected="some context to predict the completion from",
                next_step="give it a prompt, or a tokenizer that starts texts with a BOS token",
            )
        if max_length is not None:
            check_fits(item, max_length)


def check_vocab(rendered: Iterable[Rendered], embedding_rows: int) -> None:
    """Refuse examples with token ids the model has no embedding for, an index error deep in the model.

    Only ids that occur count: many models leave rarely used added tokens without an embedding.

    Raises:
        DataError: an id is `embedding_rows` or more.
    """
    check_largest_id(max((max(item.input_ids) for item in rendered), default=-1), embedding_rows)


def check_largest_id(largest: int, embedding_rows: int) -> None:
    """`check_vocab` when the largest id is known.

    Raises:
        DataError: it is `embedding_rows` or more.
    """
    if largest >= embedding_rows:
        raise DataError(
            "the tokenizer does not belong to this model",
            got=f"token id {largest}",
            expected=f"ids below {embedding_rows}, the model's embedding rows",
            next_step="use the tokenizer saved with the checkpoint, or resize the model's embeddings",
        )


def fingerprint(rendered: Rendered) -> str:
    """Sha256 over the token ids, which are scored, and what is asked: equal means measured on equal input."""
    digest = hashlib.sha256(f"{len(rendered.prompt_ids)}:".encode())
    digest.update(",".join(map(str, rendered.input_ids)).encode())
    if rendered.scored is not None:
        digest.update(f";scored {''.join(str(int(on)) for on in rendered.scored)}".encode())
    if rendered.asked_ids is not None:
        digest.update(f";asked {','.join(map(str, rendered.asked_ids))}".encode())
    return digest.hexdigest()


def data_fingerprint(rendered: Iterable[Rendered]) -> str:
    """Sha256 over ids and token ids of all examples in order; rows of another fingerprint never mix."""
    digest = hashlib.sha256()
    for item in rendered:
        digest.update(f"{len(item.example_id.encode())}:{item.example_id}={fingerprint(item)};".encode())
    return digest.hexdigest()
