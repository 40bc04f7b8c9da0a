"""The test of whether two sets of references are in one style."""

from __future__ import annotations

import random
from functools import cache

import numpy as np
import pytest

from overmem.stats.style_shift import detect_style_shift, features, log_odds, written_otherwise
from overmem.synthetic import wordmath


@cache
def completions(name):
    if name == "train":
        return [e.completion for e in wordmath.draw_examples(name, wordmath.SPLITS[name], 400)]
    return [e.completion for e in wordmath.load_split(name)[:400]]


def test_one_hand_is_not_told_apart_and_another_is():
    train = completions("train")
    same = detect_style_shift(train, completions("val"))
    assert same.auroc.low < 0.5 < same.auroc.high and same.other_hand is False
    other = detect_style_shift(train, completions(wordmath.VAL_OTHER_STYLE))
    assert other.other_hand is True and other.auroc.value > 0.99
    assert any("of train and 0% of val" in telling for telling in other.telling)
    assert detect_style_shift(train, completions("val")) == same  # the same every time


def test_texts_of_one_hand_are_told_apart_by_chance_only():
    train = completions("train")
    draws = [random.Random(i).sample(train, 80) for i in range(40)]
    found = [detect_style_shift(drawn[:40], drawn[40:], seed=i) for i, drawn in enumerate(draws)]
    assert not any(item.other_hand for item in found)
    assert np.mean([item.auroc.value for item in found]) == pytest.approx(0.5, abs=0.04)
    # Nominal: 5% of 40 intervals; with probability 0.001 more than 7 of them.
    assert sum(not item.auroc.low <= 0.5 <= item.auroc.high for item in found) <= 7


def test_a_format_alone_is_a_hand():
    train = completions("train")
    boxed = [text.replace("####", "The answer:") for text in completions("val")]
    assert detect_style_shift(train, boxed).other_hand is True


def test_too_few_references_are_not_judged():
    few = detect_style_shift(completions("train")[:39], completions("val"))
    assert few.other_hand is None and "39 references are too few" in few.auroc.reason


def test_features_leave_out_what_the_problem_decides():
    assert features("Tom has 3 + 14 = 17.") == features("Tom has 5 * 2 = 10.")
    assert features("a b") == {"a": 1, " b": 1, "a b": 1}
    assert features("16 - 3") != features("16-3")  # other tokens for a model


def test_log_odds_by_hand():
    train, val = [features("a a b")] * 2, [features("a b b")] * 2
    odds = log_odds(train, val)
    # Each set has 10 features, and 1 is added to each of 7.
    assert set(odds) == {"a", " a", " b", "a a", " a b", "a b", " b b"}
    assert odds["a a"] == pytest.approx(np.log((3 / 17) / (1 / 17)))
    assert odds[" b b"] == pytest.approx(-odds["a a"])


def test_bare_answers_are_told_from_solutions_however_few():
    solutions, bare = ("Tom has 3 + 4 = 7 apples.",) * 3, ("7", "12", "$1,200")
    assert "100% are bare answers" in written_otherwise(solutions, bare)
    assert "0% are bare answers, against 100%" in written_otherwise(bare, solutions)
    assert written_otherwise(solutions, solutions) is None
    assert written_otherwise(bare, bare) is None


def test_another_hand_is_told_where_there_are_enough():
    train = tuple(completions("train"))
    assert written_otherwise(train, tuple(completions("val"))) is None
    assert "AUROC" in written_otherwise(train, tuple(completions(wordmath.VAL_OTHER_STYLE)))
