"""Habits of a writer: what nearly all training texts have, whatever their topic and length, or hardly any.

A single habit, such as marking each calculation, changes the mean surprise of a text little. But when it
holds in every group of the training texts and fails in many references, those are another writer's.

Shape suffixes: N training texts.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from overmem.stats.arrays import IntArray

Pair = tuple[str, str]
HABITUAL, STRANGE = 0.8, 0.2
"""Least share of every group of training that has a habit, and most that has a pair which is none."""
LEAST_GAP = 0.3
"""By how much the share of references with a pair must lie outside the shares of all groups of training."""
FEWEST_IN_GROUP = 20


def pairs_of(pieces: Sequence[str]) -> set[Pair]:
    """The pairs of neighbouring pieces of a text."""
    return set(pairwise(pieces))


def broken_habits(
    trained_N: Sequence[set[Pair]], groupings: Sequence[IntArray], asked: Sequence[set[Pair]]
) -> tuple[set[Pair], set[Pair]]:
    """Pairs that references lack where all groups of training have them, and that they have where none has.

    Args:
        trained_N: pairs of each training text.
        groupings: groups of the training texts, by topic and by length.
        asked: pairs of each reference.

    Returns:
        Those lacking, and those added.
    """
    groups = [
        np.flatnonzero(group_N == k).tolist() for group_N in groupings for k in np.unique(group_N).tolist()
    ]
    shares = [
        _shares([trained_N[i] for i in group]) for group in groups if len(group) >= FEWEST_IN_GROUP
    ] or [_shares(trained_N)]
    asked_shares = _shares(asked)
    known = {pair for found in (*shares, asked_shares) for pair in found}
    lacking, added = set[Pair](), set[Pair]()
    for pair in known:
        least, most = (limit(found[pair] for found in shares) for limit in (min, max))
        if least >= HABITUAL and least - asked_shares[pair] >= LEAST_GAP:
            lacking.add(pair)
        if most <= STRANGE and asked_shares[pair] - most >= LEAST_GAP:
            added.add(pair)
    return lacking, added


def _shares(texts: Sequence[set[Pair]]) -> defaultdict[Pair, float]:
    """Share of the texts with each pair; 0 for others."""
    counted = Counter(pair for text in texts for pair in text)
    return defaultdict(float, {pair: n / len(texts) for pair, n in counted.items()})
