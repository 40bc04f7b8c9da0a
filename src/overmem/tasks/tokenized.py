"""Rows that are already tokenized: the exact tokens of training, whoever prepared them.

TRL, Axolotl (its prepared folder), LLaMA-Factory (`tokenized_path`) and one's own script all leave
`input_ids` with `labels`, or with a mask. Nothing is rendered: what was trained is what is scored.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from overmem.errors import DataError
from overmem.grading.answers import reference_answer
from overmem.records import Conversation, Example, TrainedTokens
from overmem.tasks.fields import read_text
from overmem.tasks.rendered import Tokenizer, text_ids

IGNORED = -100
"""The label of a token that training took no loss on."""
_MASKS = ("completion_mask", "assistant_masks", "assistant_mask")


def is_tokenized(row: object) -> bool:
    """Whether a row holds token ids."""
    return isinstance(row, Mapping) and row.get("input_ids") is not None


def read_tokenized(rows: Iterable[tuple[str, Any]], source: str) -> tuple[list[Example], str]:
    """Examples from tokenized rows, packed ones taken apart, and what was recognised.

    Args:
        rows: pairs of (where, row).
        source: the file, for errors.

    Raises:
        DataError: ids or labels that are none, or that do not fit each other.
    """
    examples: list[Example] = []
    n_rows = n_untrained = 0
    mask = "no mask: every token was trained"
    for name, row in rows:
        where = f"{source}, {name}"
        if not is_tokenized(row):
            raise DataError(f"{where} has no `input_ids`", expected="token ids in every row, as in the first")
        mask = _mask_name(row) or mask
        for tokens in _unpacked(row, where):
            if not any(tokens.trained[1:]):
                n_untrained += 1
                continue
            examples.append(_example(row, tokens, str(n_rows if _is_whole(row, tokens) else len(examples)), where))
        n_rows += 1
    left_out = f"; {n_untrained} without a trained token left out" if n_untrained else ""
    if not examples:
        raise DataError(f"{source} has no rows with a trained token", got=f"{n_rows} rows{left_out}")
    ids = [example.id for example in examples]
    if len(set(ids)) < len(ids):
        examples = [replace(example, id=str(at)) for at, example in enumerate(examples)]
    packed = f" from {n_rows} packed rows" if len(examples) + n_untrained > n_rows else ""
    return examples, f"tokenized: `input_ids`, trained by {mask}; {len(examples)} examples{packed}{left_out}"


def decoded(examples: Sequence[Example], tokenizer: Tokenizer) -> tuple[Example, ...]:
    """The examples with prompt, completion and final answer read from the text of their tokens.

    Args:
        examples: tokenized ones; others are left as they are.
        tokenizer: of the run.

    Raises:
        DataError: an id that the tokenizer does not have.
    """
    return tuple(example if example.tokens is None else _decoded(example, tokenizer) for example in examples)


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
        chat=replace(example.chat, reply=(), trains_every_turn=False) if example.chat != Conversation() else example.chat,
    )
    if example.tokens is None:
        return changed
    start = next(at for at, on in enumerate(example.tokens.trained) if on and at)
    special = set(tokenizer.all_special_ids)
    end = next((at for at in range(start, len(example.tokens.input_ids)) if example.tokens.input_ids[at] in special), None)
    closing = () if end is None else example.tokens.input_ids[end : end + 1]
    answer = (*text_ids(tokenizer, text), *closing)
    return replace(
        changed,
        tokens=TrainedTokens(
            input_ids=(*example.tokens.input_ids[:start], *answer), trained=(False,) * start + (True,) * len(answer)
        ),
    )


def _decoded(example: Example, tokenizer: Tokenizer) -> Example:
    assert example.tokens is not None
    ids, trained = example.tokens.input_ids, example.tokens.trained
    if max(ids) >= len(tokenizer):
        raise DataError(
            f"example `{example.id}` was not tokenized with this tokenizer",
            got=f"token id {max(ids)}",
            expected=f"ids below {len(tokenizer)}",
            next_step="use the tokenizer saved with the checkpoint, or the data that were prepared for it",
        )
    start = next(at for at, on in enumerate(trained) if on and at)
    completion = tokenizer.decode(ids[start:], skip_special_tokens=True)
    return replace(
        example,
        prompt=tokenizer.decode(ids[:start], skip_special_tokens=True),
        completion=completion,
        answer=reference_answer(completion) if example.answer is None else example.answer,
    )


def _example(row: Mapping[str, Any], tokens: TrainedTokens, number: str, where: str) -> Example:
    identity, answer = row.get("id"), row.get("answer")
    return Example(
        id=number if identity is None else read_text(identity, f"{where}, `id`"),
        prompt="",
        completion="",
        answer=None if answer is None else read_text(answer, f"{where}, `answer`"),
        tokens=tokens,
    )


def _is_whole(row: Mapping[str, Any], tokens: TrainedTokens) -> bool:
    return len(row["input_ids"]) == len(tokens.input_ids)


def _mask_name(row: Mapping[str, Any]) -> str | None:
    if row.get("labels") is not None:
        return "`labels`"
    found = [name for name in _MASKS if row.get(name) is not None]
    return " and ".join(f"`{name}`" for name in found) or None


def _unpacked(row: Mapping[str, Any], where: str) -> Iterator[TrainedTokens]:
    """The sequences of one row: one, or several that were packed into it."""
    ids = _ints(row["input_ids"], f"{where}, `input_ids`")
    if not ids or min(ids) < 0:
        raise DataError(f"{where}: `input_ids` are no token ids", got=repr(ids[:8]), expected="ids of 0 or more")
    trained = _trained(row, ids, where)
    bounds = _bounds(row, ids, where)
    attended = row.get("attention_mask")
    keep = [True] * len(ids) if attended is None else [bool(on) for on in _sized(attended, ids, f"{where}, `attention_mask`")]
    for start, stop in bounds:
        kept = [at for at in range(start, stop) if keep[at]]
        if kept:
            yield TrainedTokens(
                input_ids=tuple(ids[at] for at in kept), trained=tuple(trained[at] for at in kept)
            )


def _trained(row: Mapping[str, Any], ids: Sequence[int], where: str) -> list[bool]:
    """Of each token whether the loss was taken on it: by labels, else by all masks together, as TRL does."""
    if row.get("labels") is not None:
        labels = _sized(row["labels"], ids, f"{where}, `labels`")
        wrong = next((at for at, (i, label) in enumerate(zip(ids, labels, strict=True)) if label not in (IGNORED, i)), None)
        if wrong is not None:
            raise DataError(
                f"{where}: `labels` are not the row's own tokens",
                got=f"label {labels[wrong]} at position {wrong}, where the token is {ids[wrong]}",
                expected=f"the token's id, or {IGNORED} where it was not trained",
                next_step="labels stand at their token's own place; the model shifts them",
            )
        return [label != IGNORED for label in labels]
    masks = [_sized(row[name], ids, f"{where}, `{name}`") for name in _MASKS if row.get(name) is not None]
    return [all(bits) for bits in zip(*masks, strict=True)] if masks else [True] * len(ids)


def _bounds(row: Mapping[str, Any], ids: Sequence[int], where: str) -> list[tuple[int, int]]:
    """Where packed sequences begin and end, by `seq_lengths` (TRL) or by positions that begin again."""
    if row.get("seq_lengths") is not None:
        lengths = _ints(row["seq_lengths"], f"{where}, `seq_lengths`")
        if sum(lengths) != len(ids):
            raise DataError(f"{where}: `seq_lengths` do not add up", got=sum(lengths), expected=len(ids))
        starts = [sum(lengths[:at]) for at in range(len(lengths))]
    elif row.get("position_ids") is not None:
        positions = _sized(row["position_ids"], ids, f"{where}, `position_ids`")
        starts = [at for at, position in enumerate(positions) if position == 0 or at == 0]
    else:
        starts = [0]
    return list(zip(starts, [*starts[1:], len(ids)], strict=True))


def _ints(value: Any, where: str) -> list[int]:
    if not isinstance(value, Sequence) or isinstance(value, str) or not all(isinstance(i, int) for i in value):
        raise DataError(f"{where} is not a list of whole numbers", got=repr(value)[:100])
    return list(value)


def _sized(value: Any, ids: Sequence[int], where: str) -> list[int]:
    found = _ints(value, where)
    if len(found) != len(ids):
        raise DataError(f"{where} has another length than `input_ids`", got=len(found), expected=len(ids))
    return found
