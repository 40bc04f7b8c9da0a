"""Compare val, training data and OOD sets, before anything is measured."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import polars as pl

from overmem.artifacts.jobs import OOD
from overmem.contamination.kinds import FEWEST_KEPT, find_overlap, read_sets
from overmem.contamination.pairs import SetWords
from overmem.contamination.record import KINDS, NO_TRAIN, Contamination, Overlap, SetOverlap, SideBySide
from overmem.contamination.words import silent_prompts, with_each_turn
from overmem.records import Example

SHOWN = 3
"""Pairs of each kind that are kept to be read."""
SHOWN_LENGTH = 400
"""Characters of them."""


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
        training data are not given, what the earlier record has of the same sets against them.
    """
    sets = {"val": val, **({} if train is None else {"train": train}), **others}
    silent = silent_prompts([val, *others.values()])
    turns, owners = with_each_turn(train or ())
    read = read_sets([turns if name == "train" else sets[name] for name in sets], silent)
    words = dict(zip(sets, read, strict=True))
    compared = [("val", "train")] if train is not None else []
    compared += [("val", name) for name in others if name.startswith(OOD)]
    compared += [(name, "train") for name in others if train is not None]
    answers = {name: [e.answer for e in (turns if name == "train" else sets[name])] for name in sets}
    found = []
    for left, right in compared:
        pairs = find_overlap(words[left], words[right], answers[left], answers[right])
        of = owners if right == "train" else range(len(sets[right]))
        found.append(_set_overlap(sets, words, left, right, [(i, j, of[j], k) for i, j, k in pairs.rows()]))
    twice = [(i, j, j, kind) for i, j, kind in _twice(words["val"])]
    known = _known_of_train(sets, earlier, fingerprint) if train is None else []
    has_val = train is not None or any(item.set == "val" for item in known)
    return Contamination(
        val=fingerprint,
        n_val=len(val),
        not_checked=None if has_val else NO_TRAIN,
        sets=(*known, *found, _set_overlap(sets, words, "val", "val", twice)),
        followers=earlier.followers if earlier is not None and known else (),
        certain_from=earlier.certain_from if earlier is not None and known else None,
        groups=tuple(tuple(val[i].id for i in places) for places in template_groups(words["val"])),
    )


def _known_of_train(
    sets: Mapping[str, Sequence[Example]], earlier: Contamination | None, val: str
) -> list[SetOverlap]:
    """What an earlier record has of these very sets against the training data; of another val, nothing."""
    if earlier is None or earlier.val != val:
        return []
    return [
        item
        for item in earlier.sets
        if item.against == "train"
        and item.set in sets
        and (item.set == "val" or item.fingerprint == _fingerprint(sets[item.set]))
    ]


def _fingerprint(examples: Sequence[Example]) -> str:
    """Of what is compared of a set, and of its ids, by which problems are left out."""
    digest = hashlib.sha256()
    for example in examples:
        digest.update(repr((example.id, example.prompt, example.completion, example.answer)).encode())
    return digest.hexdigest()[:16]


def template_groups(words: SetWords) -> list[list[int]]:
    """Positions of problems that share a template: the same words, numbers and names masked.

    They stand for one another, so that they are one unit of error, not several. Groups of one are left out.
    """
    grouped = _with_template(words).group_by("masked", maintain_order=True).agg("text")
    return grouped.filter(pl.col("text").list.len() > 1)["text"].to_list()


def with_shared_template(examples: Sequence[Example], others: Sequence[Example]) -> list[int]:
    """Positions of the examples whose template some of the others have, numbers and names masked."""
    words, theirs = read_sets([examples, others], silent_prompts([examples, others]))
    shared = _with_template(words).join(_with_template(theirs), on="masked", how="semi")
    return shared["text"].to_list()


def _with_template(words: SetWords) -> pl.DataFrame:
    return words.asked_signatures.filter(pl.col("kept") >= FEWEST_KEPT)


def _twice(words: SetWords) -> list[tuple[int, int, str]]:
    """Problems that the set has before, word for word."""
    first = words.asked_signatures.with_columns(pl.col("text").min().over("same").alias("first"))
    again = first.filter(pl.col("first") != pl.col("text")).select("text", "first")
    return [(i, j, "copy") for i, j in again.iter_rows()]


def _set_overlap(
    sets: Mapping[str, Sequence[Example]],
    words: Mapping[str, SetWords],
    name: str,
    against: str,
    pairs: Sequence[tuple[int, int, int, str]],
) -> SetOverlap:
    """A comparison as it is kept.

    Args:
        sets: the examples.
        words: what was compared of them.
        name: of the set that is asked about.
        against: the other.
        pairs: position on the left, of the text on the right, and of its example; and the kind.
    """
    left, right = sets[name], sets[against]
    shown = [pair for kind in KINDS for pair in [p for p in pairs if p[3] == kind][:SHOWN]]
    return SetOverlap(
        set=name,
        against=against,
        n=len(left),
        n_against=len(right),
        unread=len(left) - len(words[name].asked_signatures),
        fingerprint=_fingerprint(left),
        found=tuple(Overlap(id=left[i].id, other=right[of].id, kind=kind) for i, _, of, kind in pairs),
        examples=tuple(
            SideBySide(kind=kind, text=_short(words[name].texts[i]), other=_short(words[against].texts[j]))
            for i, j, _, kind in shown
        ),
    )


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= SHOWN_LENGTH else f"{text[: SHOWN_LENGTH - 3]}..."
