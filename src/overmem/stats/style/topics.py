"""Groups of texts about similar things, by the content words that they share.

Shape suffixes: N texts, V words, K groups.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from overmem.stats.arrays import FloatArray, IntArray

ROUNDS = 8
COMMON = 0.5
"""Share of the texts above which a word says nothing of the topic."""


def topic_groups(words_N: Sequence[set[str]], groups: int, rng: np.random.Generator) -> IntArray:
    """Spherical k-means over the words of each text, rare words weighing more (tf-idf).

    Args:
        words_N: content words of each text, at least as many texts as groups.
        groups: K.
        rng: chooses the first centres.

    Returns:
        The group of each text, 0 to K - 1; in turn where texts share no words.
    """
    found = Counter(word for words in words_N for word in words)
    kept = sorted(word for word, n in found.items() if 2 <= n <= COMMON * len(words_N))
    if not kept:
        return np.arange(len(words_N)) % groups
    place = {word: i for i, word in enumerate(kept)}
    weight_N_V = np.zeros((len(words_N), len(kept)))
    for row, words in enumerate(words_N):
        for word in words & place.keys():
            weight_N_V[row, place[word]] = math.log(len(words_N) / found[word])
    weight_N_V = _unit(weight_N_V)
    centre_K_V = weight_N_V[rng.choice(len(words_N), groups, replace=False)]
    for _ in range(ROUNDS):
        group_N = (weight_N_V @ centre_K_V.T).argmax(axis=1)
        for k in range(groups):
            if (group_N == k).any():
                centre_K_V[k] = _unit(weight_N_V[group_N == k].mean(axis=0)[None])[0]
    return np.asarray(group_N)


def _unit(rows: FloatArray) -> FloatArray:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9))
