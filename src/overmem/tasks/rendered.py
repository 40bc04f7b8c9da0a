"""A rendered example: checks before it reaches a model, fingerprints, and what a person is shown.

Rows measured on different tokens must never mix, so the fingerprint of the rendered data is part of
every artifact's key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
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
    """Tokens of the context, special tokens included; generation starts after them."""
    completion_ids: tuple[int, ...]
    """Tokens that are scored, the end-of-turn or end-of-sequence token included."""
    prompt_text: str
    completion_text: str
    clean_boundary: bool = True
    """Whether tokenizing prompt and completion as one text gives the same tokens (as TRL does)."""

    @property
    def input_ids(self) -> tuple[int, ...]:
        """Prompt and completion."""
        return self.prompt_ids + self.completion_ids

    def __len__(self) -> int:
        """Tokens in all."""
        return len(self.prompt_ids) + len(self.completion_ids)


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
    """Sha256 over the token ids and where the completion starts: equal means measured on equal input."""
    digest = hashlib.sha256(f"{len(rendered.prompt_ids)}:".encode())
    digest.update(",".join(map(str, rendered.input_ids)).encode())
    return digest.hexdigest()


def data_fingerprint(rendered: Iterable[Rendered]) -> str:
    """Sha256 over ids and token ids of all examples in order; rows of another fingerprint never mix."""
    digest = hashlib.sha256()
    for item in rendered:
        digest.update(f"{len(item.example_id.encode())}:{item.example_id}={fingerprint(item)};".encode())
    return digest.hexdigest()


def preview(rendered: Rendered) -> str:
    """The example as the model sees it, for `--show-prompt`: both parts, the boundary, token counts."""
    edge = f"{rendered.prompt_text[-30:]!r} | {rendered.completion_text[:30]!r}"
    clean = "" if rendered.clean_boundary else " (tokenized apart: a token would straddle the boundary)"
    return "\n".join(
        (
            f"=== example {rendered.example_id}: prompt, {len(rendered.prompt_ids)} tokens, not scored ===",
            rendered.prompt_text,
            f"=== completion, {len(rendered.completion_ids)} tokens, scored ===",
            rendered.completion_text,
            f"=== boundary: {edge}{clean} ===",
        )
    )
