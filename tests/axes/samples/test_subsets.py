"""Pass@k and maj@k against every subset counted."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overmem.axes.samples.subsets import maj_at_k, pass_at_k
from overmem.errors import DataError


@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_pass_at_k_counts_every_subset(n):
    for k in range(1, n + 1):
        for c in range(n + 1):
            subsets = list(combinations([1] * c + [0] * (n - c), k))
            expected = sum(any(subset) for subset in subsets) / len(subsets)
            assert pass_at_k(n, c, k) == pytest.approx(expected, abs=1e-12)


def test_pass_at_k_stays_exact_for_many_samples():
    for c in (1, 7, 200, 700):
        expected = 1 - math.comb(1000 - c, 300) / math.comb(1000, 300)  # ratio of exact integers
        assert pass_at_k(1000, c, 300) == pytest.approx(expected, rel=1e-12)
    np.testing.assert_array_equal(pass_at_k(4, [0, 1, 4], 4), [0.0, 1.0, 1.0])


@pytest.mark.parametrize("k", [0, 5])
def test_k_outside_the_samples_is_an_error_that_names_both(k):
    for call in (lambda: pass_at_k(4, [1], k), lambda: maj_at_k(["a"] * 4, [True] * 4, k)):
        with pytest.raises(DataError, match=rf"k = {k}[\s\S]*1 to 4[\s\S]*next"):
            call()


def test_more_right_samples_than_samples_is_an_error():
    with pytest.raises(DataError, match="right samples"):
        pass_at_k(4, [2, 5], 2)


def vote(answers, right):
    """Share of a lot drawn among the most frequent answers that is right."""
    votes = {answer: answers.count(answer) for answer in answers}
    winners = [answer for answer, count in votes.items() if count == max(votes.values())]
    return sum(answer in right for answer in winners) / len(winners)


@given(
    answers=st.lists(st.sampled_from(["1/2", "0.5", "7", "8", "9", None]), min_size=1, max_size=9),
    right=st.sets(st.sampled_from(["1/2", "0.5", "7", "8", "9"])),
    data=st.data(),
)
@settings(max_examples=300, deadline=None)
def test_maj_at_k_counts_every_subset_and_shares_ties(answers, right, data):
    k = data.draw(st.integers(1, len(answers)))
    subsets = list(combinations(answers, k))
    expected = sum(vote(list(subset), right) for subset in subsets) / len(subsets)
    assert maj_at_k(answers, [answer in right for answer in answers], k) == pytest.approx(expected, abs=1e-12)


def test_maj_at_k_with_more_samples_than_can_be_enumerated():
    rng = np.random.default_rng(0)
    answers = rng.choice(12, size=64, p=np.arange(1, 13) / 78).tolist()
    right = {11, 3}
    draws = [vote([answers[i] for i in rng.permutation(64)[:16]], right) for _ in range(20_000)]
    found = maj_at_k(answers, [answer in right for answer in answers], 16)
    assert found == pytest.approx(np.mean(draws), abs=4 * np.std(draws) / math.sqrt(20_000))


def test_maj_at_k_of_all_different_answers_is_the_share_of_right_ones():
    for k in (1, 7, 64):
        assert maj_at_k(list(range(64)), [i < 16 for i in range(64)], k) == pytest.approx(0.25)


def test_no_answer_can_win_the_vote_but_is_never_right():
    assert maj_at_k([None, None, "7"], [False, False, True], 3) == 0.0
    assert maj_at_k([None, None, "7"], [True, True, True], 3) == 0.0
    assert maj_at_k([None, None, "7", "7"], [False, False, True, True], 4) == pytest.approx(0.5)


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=9), st.integers(1, 9))
@settings(deadline=None)
def test_one_vote_is_accuracy(answers, n_right):
    right = set("abcd"[: n_right % 5])
    correct = [answer in right for answer in answers]
    assert maj_at_k(answers, correct, 1) == pytest.approx(np.mean(correct))
    assert pass_at_k(len(answers), sum(correct), 1) == pytest.approx(np.mean(correct))
