"""Tokenized examples as text, and with another answer in the place of their reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from overmem.errors import DataError
from overmem.grading.answers import reference_answer
from overmem.grading.reasoning import is_mark
from overmem.records import Example, TrainedTokens
from overmem.rendering.rendered import Tokenizer, special_ids, text_ids


def decoded(examples: Sequence[Example], tokenizer: Tokenizer) -> tuple[Example, ...]:
    """The examples with prompt, completion and final answer read from the text of their tokens.

    Args:
        examples: tokenized ones; others are left as they are.
        tokenizer: of the run.

    Raises:
        DataError: an id that the tokenizer does not have.
    """
    return tuple(example if example.tokens is None else _decoded(example, tokenizer) for example in examples)


def answer_text(tokenizer: Tokenizer, ids: Sequence[int]) -> str:
    """What a model wrote, as text: without special tokens, but for those that set reasoning apart.

    Args:
        tokenizer: of the run.
        ids: tokens of the answer.
    """
    marks = _mark_ids(tokenizer)
    if marks.isdisjoint(ids):
        return str(tokenizer.decode(list(ids), skip_special_tokens=True))
    hidden = special_ids(tokenizer) - marks
    return str(tokenizer.decode([i for i in ids if i not in hidden], skip_special_tokens=False))


@lru_cache(maxsize=8)
def _mark_ids(tokenizer: Tokenizer) -> frozenset[int]:
    """Special tokens that a grader needs to see."""
    added = tokenizer.added_tokens_decoder.items()
    return frozenset(i for i, token in added if token.special and is_mark(token.content))


def with_own_answer(example: Example, text: str, tokenizer: Tokenizer) -> Example:
    """The example with another answer in the place of its reference, after the same question.

    Args:
        example: the problem.
        text: the answer.
        tokenizer: of the run.
    """
    changed = replace(
        example,
        completion=text,
        row=None,
        chat=replace(example.chat, reply=(), trains_every_turn=False),
    )
    if example.tokens is None:
        return changed
    start = example.tokens.answer_start
    special = special_ids(tokenizer)
    end = next(
        (at for at in range(start, len(example.tokens.input_ids)) if example.tokens.input_ids[at] in special),
        None,
    )
    closing = () if end is None else example.tokens.input_ids[end : end + 1]
    answer = (*text_ids(tokenizer, text), *closing)
    return replace(
        changed,
        tokens=TrainedTokens(
            input_ids=(*example.tokens.input_ids[:start], *answer),
            trained=(False,) * start + (True,) * len(answer),
        ),
    )


def _decoded(example: Example, tokenizer: Tokenizer) -> Example:
    assert example.tokens is not None
    ids = example.tokens.input_ids
    if max(ids) >= len(tokenizer):
        raise DataError(
            f"example `{example.id}` was not tokenized with this tokenizer",
            got=f"token id {max(ids)}",
            expected=f"ids below {len(tokenizer)}",
            next_step="use the tokenizer saved with the checkpoint, or the data that were prepared for it",
        )
    start = example.tokens.answer_start
    completion = tokenizer.decode(ids[start:], skip_special_tokens=True)
    if not example.tokens.has_question:
        return replace(example, completion=completion, answer=None)
    return replace(
        example,
        prompt=tokenizer.decode(ids[:start], skip_special_tokens=True),
        completion=completion,
        answer=reference_answer(completion) if example.answer is None else example.answer,
    )
