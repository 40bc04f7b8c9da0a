"""Trigram surprise by hand, and texts taken out."""

import math

import pytest

from overmem.stats.style.surprise import Trigrams


def test_surprise_by_hand():
    model = Trigrams([["s", "a"], ["s", "a"], ["s", "b"]])
    single = (2 + 0.5) / (3 + 100)
    assert model.surprise(["s", "a"]) == pytest.approx(-math.log((2 + 4 * single) / (3 + 4)))
    longer = model.surprise(["s", "a", "b"])
    single_b = (1 + 0.5) / (3 + 100)
    unseen = 4 * single_b / 4  # `a` was never followed, nor `s a`
    assert 2 * longer - model.surprise(["s", "a"]) == pytest.approx(-math.log(unseen))


def test_a_text_taken_out_was_never_there():
    texts = [["s", "a", "b", "e"], ["s", "b", "a", "e"], ["s", "c", "c", "e"]]
    model = Trigrams(texts)
    model.count(texts[2], -1)
    assert model.surprise(texts[2]) == Trigrams(texts[:2]).surprise(texts[2])
    model.count(texts[2], 1)
    assert model.surprise(texts[0]) == Trigrams(texts).surprise(texts[0])


def test_what_was_seen_is_more_usual_than_what_was_not():
    model = Trigrams([["s", "so", "0", "e"]] * 5)
    assert model.surprise(["s", "so", "0", "e"]) < model.surprise(["s", "0", "so", "e"])
