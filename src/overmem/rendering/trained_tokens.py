"""Token ids and labels of rows that are already tokenized, checked; packed sequences are taken apart.

TRL, Axolotl (its prepared folder), LLaMA-Factory (`tokenized_path`) and one's own script all leave
`input_ids` with `labels`, or with a mask.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from overmem.errors import DataError
from overmem.records import TrainedTokens

IGNORED = -100
"""The label of a token that training took no loss on."""
_MASKS = ("completion_mask", "assistant_masks", "assistant_mask")


def is_tokenized(row: object) -> bool:
    """Whether a row holds token ids."""
    return isinstance(row, Mapping) and row.get("input_ids") is not None


def mask_name(row: Mapping[str, Any]) -> str | None:
    """What says which tokens of a row were trained; None where nothing does, and all were."""
    if row.get("labels") is not None:
        return "`labels`"
    found = [name for name in _MASKS if row.get(name) is not None]
    return " and ".join(f"`{name}`" for name in found) or None


def trained_tokens(row: Mapping[str, Any], where: str) -> TrainedTokens:
    """The tokens of a row that holds one sequence.

    Raises:
        DataError: ids, labels or masks that are none, or do not fit each other.
    """
    found = list(sequences(row, where))
    if len(found) != 1:
        raise DataError(f"{where} holds several sequences", got=len(found), expected="one")
    return found[0]


def sequences(row: Mapping[str, Any], where: str) -> Iterator[TrainedTokens]:
    """The sequences of one row: one, or several that were packed into it."""
    ids = _ints(row["input_ids"], f"{where}, `input_ids`")
    if not ids or min(ids) < 0:
        raise DataError(
            f"{where}: `input_ids` are no token ids", got=repr(ids[:8]), expected="ids of 0 or more"
        )
    trained = _trained(row, ids, where)
    bounds = _bounds(row, ids, where)
    attended = row.get("attention_mask")
    keep = (
        [True] * len(ids)
        if attended is None
        else [bool(on) for on in _sized(attended, ids, f"{where}, `attention_mask`")]
    )
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
        wrong = next(
            (at for at, (i, label) in enumerate(zip(ids, labels, strict=True)) if label not in (IGNORED, i)),
            None,
        )
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
        if sum(lengths) != len(ids) or min(lengths) < 0:
            got = f"{lengths[:8]}, {sum(lengths)} in all"
            raise DataError(f"{where}: `seq_lengths` do not add up", got=got, expected=len(ids))
        starts = [sum(lengths[:at]) for at in range(len(lengths))]
    elif row.get("position_ids") is not None:
        positions = _sized(row["position_ids"], ids, f"{where}, `position_ids`")
        starts = [at for at, position in enumerate(positions) if position == 0 or at == 0]
    else:
        starts = [0]
    return list(zip(starts, [*starts[1:], len(ids)], strict=True))


def _ints(value: Any, where: str) -> list[int]:
    if (
        not isinstance(value, Sequence)
        or isinstance(value, str)
        or not all(isinstance(i, int) for i in value)
    ):
        raise DataError(f"{where} is not a list of whole numbers", got=repr(value)[:100])
    return list(value)


def _sized(value: Any, ids: Sequence[int], where: str) -> list[int]:
    found = _ints(value, where)
    if len(found) != len(ids):
        raise DataError(f"{where} has another length than `input_ids`", got=len(found), expected=len(ids))
    return found
