"""Read rows that are already tokenized: the exact tokens of training, whoever prepared them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from overmem.errors import DataError
from overmem.records import Example, TrainedTokens
from overmem.rendering.trained_tokens import is_tokenized, mask_name, sequences
from overmem.tasks.fields import read_text


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
    numbered = True
    mask = "no mask: every token was trained"
    for name, row in rows:
        where = f"{source}, {name}"
        if not is_tokenized(row):
            raise DataError(f"{where} has no `input_ids`", expected="token ids in every row, as in the first")
        mask = mask_name(row) or mask
        numbered = numbered and row.get("id") is None
        for tokens in sequences(row, where):
            if not any(tokens.trained[1:]):
                n_untrained += 1
                continue
            examples.append(
                _example(row, tokens, str(n_rows if _is_whole(row, tokens) else len(examples)), where)
            )
        n_rows += 1
    left_out = f"; {n_untrained} without a trained token left out" if n_untrained else ""
    if not examples:
        raise DataError(f"{source} has no rows with a trained token", got=f"{n_rows} rows{left_out}")
    if len({example.id for example in examples}) < len(examples):
        if not numbered:
            raise DataError(
                f"{source} has an id twice", expected="unique ids, or none", next_step="drop `id`"
            )
        examples = [replace(example, id=str(at)) for at, example in enumerate(examples)]
    packed = f" from {n_rows} packed rows" if len(examples) + n_untrained > n_rows else ""
    return examples, f"`input_ids`, trained by {mask}; {len(examples)} examples{packed}{left_out}"


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
