"""Style shift: is a part of val's references written in another style than the training completions?

The perplexity of references in another style than the training data's rises as a model takes on the
training style, memorized or not, so a rule that reads perplexity has to know whose references it reads.

Content is masked (`masked`), and what is left is counted (`features`). What nearly all training texts have,
or hardly any, is a habit. References break one when they differ from it by more than parts of the training
texts do among themselves, split by topic and by length (`habits`). Then those with a broken habit are unlike
training. As a habit is a share near 0 or 1, a part of the references in another style is found as well.

What no text can tell: whether a way of writing that training never shows is the writer's or the problem's.

Shape suffixes: N training texts, M references, F features.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from overmem.formatting import percent
from overmem.records import Estimate
from overmem.stats.arrays import FloatArray, IntArray
from overmem.stats.intervals import clopper_pearson
from overmem.stats.style.features import Feature, features_of, in_words
from overmem.stats.style.habits import RARE, broken_habits, least_share
from overmem.stats.style.masked import content_words
from overmem.stats.style.topics import topic_groups

FEWEST = 40
"""Texts of a set."""
MOST = 1000
"""Texts of a set that are looked at, so that a verdict takes no longer."""
GROUPS = 8
"""Topics and lengths at most; of this many texts each:"""
IN_GROUP = 40
FOUND = 0.05
"""Share of one of the sets that a feature must be in."""
OTHER_FORMAT = 0.5
"""Difference in the share of bare answers from which on the format is another."""
SHOWN = 3
"""Features shown to a reader."""
ALIKE = 0.8
"""Share of texts in common from which on two features tell a reader the same."""
_IN_WORDS = re.compile(r"[^\W\d_]{2}")
"""Two letters in a row: something is told in words."""


@dataclass(frozen=True, kw_only=True)
class StyleShift:
    """How many references of a set are unlike the training completions in style."""

    unlike: Estimate
    """Share of the references that break a habit of training, less the share of training texts that do, in
    [0, 1], with its 95% interval. Where no habit is clearly broken 0, and the upper end is the least share
    that would have been seen. NaN with a reason where it was not tested."""
    telling: tuple[str, ...] = ()
    """The habits that are broken most, in words; none where none is."""

    @property
    def other_style(self) -> bool | None:
        """Whether a part of the set is clearly in another style; None when that was not tested."""
        return bool(self.telling) if math.isfinite(self.unlike.value) else None


def detect_style_shift(train: Sequence[str], val: Sequence[str], *, seed: int = 0) -> StyleShift:
    """Test whether some completions of a set are written in another style than those trained on.

    Args:
        train: completions that were trained on.
        val: the others.
        seed: which texts are looked at, and the first centres of the topics.
    """
    n = min(len(train), len(val))
    if n < FEWEST:
        return untested(f"{n} references are too few to tell a style by; at least {FEWEST} are needed", n)
    rng = np.random.default_rng(seed)
    trained, asked = ([texts[i] for i in rng.permutation(len(texts))[:MOST]] for texts in (train, val))
    groups = max(2, min(GROUPS, len(trained) // IN_GROUP))
    topic_N = topic_groups([content_words(text) for text in trained], groups, rng)
    (found_N, length_N), (found_M, length_M) = map(_features, (trained, asked))
    habits = _possible_habits(found_N, found_M)
    trained_N_F, asked_M_F = (_present(found, habits) for found in (found_N, found_M))
    groupings = [topic_N, _strata(length_N, groups), _strata(length_N, 2)]
    broken_F = broken_habits(trained_N_F, length_N, asked_M_F, length_M, groupings)
    if not broken_F.any():
        least = least_share(length_N, length_M)
        return StyleShift(unlike=Estimate(0.0, 0.0, least, len(asked)))
    against_N_F, against_M_F = (
        np.where(broken_F > 0, rows, 1 - rows) * (broken_F != 0) for rows in (trained_N_F, asked_M_F)
    )
    unlike = _beyond(against_N_F.max(axis=1), against_M_F.max(axis=1))
    shown = [
        f"{in_words(habits[i])} in {percent(trained_N_F[:, i].mean(), 0)} of train and "
        f"{percent(asked_M_F[:, i].mean(), 0)} of these"
        for i in _most_telling(broken_F, against_M_F, habits)
    ]
    return StyleShift(unlike=unlike, telling=tuple(shown))


@lru_cache(maxsize=64)
def written_otherwise(train: tuple[str, ...], other: tuple[str, ...]) -> str | None:
    """How completions differ in format or style from those that were trained on; None where they do not.

    Format is tested at any size: bare answers (no word of letters) where training had worked solutions, or
    the reverse. Style is tested from 40 texts of each on; see `detect_style_shift`.

    Args:
        train: completions that were trained on.
        other: completions of another set.
    """
    if not train or not other:
        return None
    bare = [sum(_IN_WORDS.search(text) is None for text in texts) / len(texts) for texts in (other, train)]
    if abs(bare[0] - bare[1]) > OTHER_FORMAT:
        return f"{percent(bare[0], 0)} are bare answers, against {percent(bare[1], 0)} in training"
    found = detect_style_shift(train, other)
    if not found.other_style:
        return None
    return f"{percent(found.unlike.value, 0)} are in another style; {found.telling[0]}"


def untested(reason: str, n: int = 0) -> StyleShift:
    """What is said where the styles could not be compared."""
    return StyleShift(unlike=Estimate(math.nan, math.nan, math.nan, n, reason))


def _features(texts: Sequence[str]) -> tuple[list[frozenset[Feature]], IntArray]:
    found = [features_of(text) for text in texts]
    return [features for features, _ in found], np.array([length for _, length in found])


def _possible_habits(
    found_N: Sequence[frozenset[Feature]], found_M: Sequence[frozenset[Feature]]
) -> list[Feature]:
    """Features that nearly all training texts have, and those that hardly any has but some references do."""
    trained, asked = (Counter(feature for one in found for feature in one) for found in (found_N, found_M))
    common = [f for f, n in trained.items() if n >= (1 - RARE) * len(found_N)]
    rare = [f for f, n in asked.items() if n >= FOUND * len(found_M) and trained[f] <= RARE * len(found_N)]
    return sorted({*common, *rare})


def _present(found: Sequence[frozenset[Feature]], features: Sequence[Feature]) -> FloatArray:
    """1 where a text (rows) has a feature (columns), else 0."""
    return np.array([[feature in own for feature in features] for own in found], dtype=float)


def _strata(length_N: IntArray, groups: int) -> IntArray:
    """Equally many texts a group, from short to long."""
    rank_N = length_N.argsort(kind="stable").argsort(kind="stable")
    return np.asarray(rank_N * groups // length_N.size)


def _beyond(trained_N: FloatArray, asked_M: FloatArray) -> Estimate:
    """The share of references of another style, where a share of training breaks the same habits."""
    usual, n = float(trained_N.mean()), asked_M.size
    count = round(float(asked_M.sum()))
    low, value, high = (
        max(0.0, (share - usual) / (1 - usual)) if usual < 1 else 0.0
        for share in (clopper_pearson(count, n)[0], count / n, clopper_pearson(count, n)[1])
    )
    return Estimate(value, low, high, n)


def _most_telling(broken_F: FloatArray, against_M_F: FloatArray, habits: Sequence[Feature]) -> list[int]:
    """The habits that are broken most, the shortest first, each in other references than those before."""
    chosen: list[int] = []
    much_F = np.abs(broken_F).round(2).tolist()
    broken = np.flatnonzero(broken_F).tolist()
    for i in sorted(broken, key=lambda i: (-much_F[i], len(habits[i]))):
        if len(chosen) == SHOWN:
            break
        both = [np.minimum(against_M_F[:, i], against_M_F[:, j]).sum() for j in chosen]
        either = [np.maximum(against_M_F[:, i], against_M_F[:, j]).sum() for j in chosen]
        if all(a < ALIKE * b for a, b in zip(both, either, strict=True)):
            chosen.append(i)
    return chosen
