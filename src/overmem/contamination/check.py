"""Compare val, training data and OOD sets, before anything is measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from overmem.contamination.kinds import FEWEST_KEPT, KINDS, find_overlap, read_sets
from overmem.contamination.pairs import SetWords
from overmem.contamination.record import Contamination, Overlap, SetOverlap, SideBySide
from overmem.contamination.words import problem_texts
from overmem.records import Example

SHOWN = 3
"""Pairs of each kind that are kept to be read."""
SHOWN_LENGTH = 400
"""Characters of them."""
NO_TRAIN = "no training data was given"


def check_sets(
    val: Sequence[Example],
    train: Sequence[Example] | None,
    others: Mapping[str, Sequence[Example]],
    *,
    fingerprint: str = "",
    earlier: Contamination | None = None,
) -> Contamination:
    """Find what val and the other sets have of the training data, and of one another.

    Args:
        val: the problems that decide.
        train: all training data, not a subset of it; None where it is not known.
        others: further sets by name: `ood/NAME`, `references/NAME`.
        fingerprint: of val.
        earlier: the record of an earlier audit, which may have known the training data.

    Returns:
        Val against train, against every OOD set and against itself; every other set against train. Where the
        training data are not given and the earlier record compared this val with them, that record.
    """
    if train is None and earlier is not None and (earlier.val, earlier.not_checked) == (fingerprint, None):
        return earlier
    sets = {"val": val, **({} if train is None else {"train": train}), **others}
    words = dict(zip(sets, read_sets(list(sets.values())), strict=True))
    compared = [("val", "train")] if train is not None else []
    compared += [("val", name) for name in others if name.startswith("ood/")]
    compared += [(name, "train") for name in others if train is not None]
    answers = {name: [example.answer for example in examples] for name, examples in sets.items()}
    found = []
    for left, right in compared:
        pairs = find_overlap(words[left], words[right], answers[left], answers[right])
        found.append(_set_overlap(sets, left, right, list(pairs.iter_rows())))
    return Contamination(
        val=fingerprint,
        n_val=len(val),
        not_checked=NO_TRAIN if train is None else None,
        sets=(*found, _set_overlap(sets, "val", "val", _twice(words["val"]))),
        groups=tuple(tuple(val[i].id for i in places) for places in template_groups(words["val"])),
    )


def template_groups(words: SetWords) -> list[list[int]]:
    """Positions of problems that share a template: the same words, numbers and names masked.

    They stand for one another, so that they are one unit of error, not several. Groups of one are left out.
    """
    known = words.asked_signatures.filter(pl.col("kept") >= FEWEST_KEPT)
    grouped = known.group_by("masked", maintain_order=True).agg("text")
    return grouped.filter(pl.col("text").list.len() > 1)["text"].to_list()


def _twice(words: SetWords) -> list[tuple[int, int, str]]:
    """Problems that the set has before, word for word."""
    first = words.asked_signatures.with_columns(pl.col("text").min().over("same").alias("first"))
    again = first.filter(pl.col("first") != pl.col("text")).select("text", "first")
    return [(i, j, "copy") for i, j in again.iter_rows()]


def _set_overlap(
    sets: Mapping[str, Sequence[Example]], name: str, against: str, pairs: Sequence[tuple[int, int, str]]
) -> SetOverlap:
    left, right = sets[name], sets[against]
    shown = [pair for kind in KINDS for pair in [p for p in pairs if p[2] == kind][:SHOWN]]
    texts = [problem_texts([left[i]]) + problem_texts([right[j]]) for i, j, _ in shown]
    return SetOverlap(
        set=name,
        against=against,
        n=len(left),
        n_against=len(right),
        found=tuple(Overlap(id=left[i].id, other=right[j].id, kind=kind) for i, j, kind in pairs),
        examples=tuple(
            SideBySide(kind=kind, text=_short(text), other=_short(other))
            for (_, _, kind), (text, other) in zip(shown, texts, strict=True)
        ),
    )


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= SHOWN_LENGTH else f"{text[: SHOWN_LENGTH - 3]}..."
