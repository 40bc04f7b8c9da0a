"""Entropy, n-grams and BLEU of samples against scipy, by hand, and against sacrebleu itself."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overmem.axes.samples.likeness import answer_entropy, distinct_n, self_bleu


def test_answer_entropy_is_that_of_scipy():
    from scipy.stats import entropy

    assert answer_entropy(["1", "1", "2", None]) == pytest.approx(entropy([2, 1, 1]))
    assert answer_entropy(["1"] * 5) == 0.0
    assert math.isnan(answer_entropy([]))


def test_distinct_bigrams_by_hand():
    assert distinct_n(["a b c", "a b d"], 2) == 3 / 4  # a-b twice, b-c, b-d
    assert distinct_n(["a a a a"], 2) == 1 / 3
    assert math.isnan(distinct_n(["a", ""], 2))


TEXTS = (
    "Tom has 3 apples. He buys 4 more, so 3 + 4 = 7.\n#### 7",
    "First, Tom has 3 apples.\nThen 4 + 3 = 7 apples.\n#### 7",
    "He has 3 & 4 apples; that's 7 (seven).",
    "Tom Tom Tom Tom Tom has 7",
    "so 7",
    "7",
    "He has nothing in common - at all",
    "",
)


@given(st.lists(st.sampled_from(TEXTS), min_size=2, max_size=8))
@settings(max_examples=100, deadline=None)
def test_self_bleu_is_sacrebleus_sentence_bleu_against_the_others(texts):
    from sacrebleu import sentence_bleu

    if sum(map(bool, texts)) < 2:
        assert math.isnan(self_bleu(texts))
        return
    scores = [sentence_bleu(text, texts[:i] + texts[i + 1 :]).score for i, text in enumerate(texts)]
    assert self_bleu(texts) == pytest.approx(np.mean(scores), abs=1e-9)


def test_self_bleu_of_copies_is_100():
    assert self_bleu([TEXTS[0]] * 4) == pytest.approx(100.0)
    assert self_bleu([TEXTS[0]] * 4) <= 100.0
    assert math.isnan(self_bleu([TEXTS[0]]))
