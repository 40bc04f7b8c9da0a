"""Texts about the same things come into one group."""

import numpy as np

from overmem.stats.style.topics import topic_groups


def test_planted_topics_are_found():
    rng = np.random.default_rng(0)
    themes = [["apple", "pear", "plum", "fig"], ["train", "bus", "tram", "car"]]
    words = [set(rng.choice(themes[i % 2], 3, replace=False)) for i in range(60)]
    group_N = topic_groups(words, 2, np.random.default_rng(1))
    assert {frozenset(group_N[k::2]) for k in (0, 1)} == {frozenset({0}), frozenset({1})}


def test_texts_that_share_no_words_are_dealt_out_in_turn():
    group_N = topic_groups([{f"word{i}"} for i in range(9)], 3, np.random.default_rng(0))
    assert group_N.tolist() == [0, 1, 2] * 3
