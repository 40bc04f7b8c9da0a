"""Diversity against enumeration of all subsets, sacrebleu itself, and solutions as people write them.

Covers: overmem.axes.equations
"""

from __future__ import annotations

import math
import subprocess
import sys
from itertools import combinations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overmem.artifacts.evidence import Evidence
from overmem.artifacts.jobs import VAL_SAMPLES
from overmem.axes.axis import Available
from overmem.axes.diversity import (
    answer_entropy,
    distinct_n,
    group_samples,
    jobs,
    maj_at_k,
    measures,
    new_path_share,
    pass_at_k,
    self_bleu,
    solution_paths,
)
from overmem.axes.equations import equation_path
from overmem.errors import ArtifactError, DataError

# pass@k and maj@k: every subset counted


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


# Entropy, n-grams, BLEU


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


# Equations


@pytest.mark.parametrize(
    ("text", "path"),
    [
        # GSM8K, written out and marked: counted once.
        ("Janet sells 16 - 3 - 4 = <<16-3-4=9>>9 duck eggs a day.\n#### 9", ["16-3-4=9"]),
        ("She makes 9 * 2 = $<<9*2=18>>18 every day.", ["9*2=18"]),
        ("It takes 2/2=<<2/2=1>>1 bolt\nSo 2+1=<<2+1=3>>3 bolts", ["2/2=1", "2+1=3"]),
        ("They came to 80,000+50,000=$<<80000+50000=130000>>130,000", ["80000+50000=130000"]),
        ("8*18 = $<<8*18=144.00>>144.00 per shift", ["8*18=144"]),
        ("2 + 3 = 5 <<2+3=5>> eggs", ["2+3=5"]),
        ("<<2+3=5>>2 + 3 = 5 eggs", ["2+3=5"]),
        # Marked only.
        ("There are 3 dozen <<3*12=36>>36 eggs and 4 times 2 is <<4*2=8>>8.", ["3*12=36", "4*2=8"]),
        ("x = <<97=97>>97", []),
        # The same equation twice is two steps.
        ("2 * 3 = 6 for Ann. 2 * 3 = 6 for Ben.", ["2*3=6", "2*3=6"]),
        ("<<2*3=6>>6 and <<2*3=6>>6", ["2*3=6", "2*3=6"]),
        # Spellings.
        ("4 × 5 = 20, 20 ÷ 2 = 10, 10 − 3 = 7, 7 · 1 = 7", ["4*5=20", "20/2=10", "10-3=7", "7*1=7"]),  # noqa: RUF001
        ("4 x 5 = 20 and 4x5=20 and 2 x $3 = $6", ["4*5=20", "4*5=20", "2*3=6"]),
        (r"$3 \times 4 = 12$ and $12 \div 4 = 3$, \(2 \cdot 3 = 6\)", ["3*4=12", "12/4=3", "2*3=6"]),
        (r"$\frac{12}{4} = \boxed{3}$ and 2 + 2 = **4**", ["12/4=3", "2+2=4"]),
        ("1,234,567 + 1 = 1,234,568", ["1234567+1=1234568"]),
        ("0.50 * 10 = 5.00 and .5 * 10 = 5", ["0.5*10=5", "0.5*10=5"]),
        # Units, percent, brackets, chains.
        ("16 eggs per day - 3 eggs = 13 eggs. 5 hours x 2 = 10 hours", ["16-3=13", "5*2=10"]),
        ("20% * 50 = 10", ["20%*50=10"]),
        ("($450 x 6) + $300 = $3000 (since 2+2 = 4)", ["(450*6)+300=3000", "2+2=4"]),
        ("(3*5=15)", ["3*5=15"]),
        ("2*3=6+1=7", ["2*3=6+1=7"]),
        ("5 * -2 = -10", ["5*-2=-10"]),
        # Lines do not run into each other.
        ("- 3 + 4 = 7\n- 7 - 2 = 5\n1. 5 * 2 = 10", ["3+4=7", "7-2=5", "5*2=10"]),
        # Not equations.
        ("She has 5 and 7; 10-12 people; x = 4; 2 + 2.", []),
        ("", []),
    ],
)
def test_equation_path(text, path):
    assert equation_path(text) == tuple(path)


def test_operand_order_is_kept():
    assert equation_path("3 + 4 = 7") != equation_path("4 + 3 = 7")


@given(st.text(alphabet="0123456789.,+-*/x=()<>$ \n%ab\\\x00", max_size=60))
@settings(max_examples=500, deadline=None)
def test_equation_path_never_fails_and_is_stable(text):
    path = equation_path(text)
    assert all("=" in equation and " " not in equation for equation in path)


def test_equation_path_is_fast_on_degenerate_text():
    for text in ("1+" * 4000, "(" * 4000, "1=" * 4000, "<<1+1=2>>" * 1000, "1 a" * 3000, "<<" * 4000):
        equation_path(text)  # pytest's timeout is the test


def test_paths_of_right_samples_only():
    texts = ["3 + 4 = 7", "4 + 3 = 7", "3+4=7", "8 - 1 = 7", "it is 7"]
    correct = [True, True, True, False, True]
    assert solution_paths(texts, correct) == 2
    assert new_path_share(texts, correct, "3 + 4 = <<3+4=7>>7") == 1 / 5
    assert new_path_share(texts, correct, "no equation") == 3 / 5
    assert solution_paths(texts, [False] * 5) == 0


# Measures


def sample_rows(problems):
    """Rows of {example_id: [(text, answer, correct), ...]}."""
    rows = [
        {"example_id": example_id, "sample": place, "text": text, "answer": answer, "correct": float(right)}
        for example_id, samples in problems.items()
        for place, (text, answer, right) in enumerate(samples)
    ]
    schema = {
        "example_id": pl.String,
        "sample": pl.Int64,
        "text": pl.String,
        "answer": pl.String,
        "correct": pl.Float64,
    }
    return pl.DataFrame(rows, schema=schema)


def evidence_of(problems, reference="1 + 1 = 2"):
    texts = pl.DataFrame({"example_id": list(problems), "completion": [reference] * len(problems)})
    return Evidence(rows={VAL_SAMPLES: sample_rows(problems)}, texts={"val": texts})


def figures_of(problems, **settings):
    return {measure.name: measure for measure in measures(evidence_of(problems, **settings))}


def random_problems(n_problems=12, n_samples=8, seed=0):
    rng = np.random.default_rng(seed)
    wordings = ("{} + {} = {}", "we have {} + {} = {}", "so {} and {} are {}")

    def sample():
        left = int(rng.integers(0, 4))
        answer = None if rng.random() < 0.1 else str(left + 2)
        return str(rng.choice(wordings)).format(left, 2, left + 2), answer, answer in ("3", "4")

    return {f"p{i:02}": [sample() for _ in range(n_samples)] for i in range(n_problems)}


def count_problems(problems, times):
    """Each problem as often as asked, as copies with names of their own."""
    return {
        f"{example_id}-{copy}": samples
        for (example_id, samples), n in zip(problems.items(), times, strict=True)
        for copy in range(n)
    }


def test_jobs_only_where_answers_are_graded():
    assert jobs(Available(sets=("val",))) == ()
    assert jobs(Available(sets=("val",), graded=frozenset({"val"}))) == (VAL_SAMPLES,)
    assert measures(Evidence(rows={}, texts={})) == ()


def test_measures_by_hand():
    problems = {
        "a": [("1 + 1 = 2", "2", True), ("2 * 1 = 2", "2", True), ("3 a", "3", False), ("3 a", "3", False)],
        "b": [("9 9", "9", False)] * 4,
    }
    figures = {name: measure.value() for name, measure in figures_of(problems).items()}
    assert figures.pop("self_bleu") > 50
    assert figures == pytest.approx(
        {
            "pass_at_1": 0.25,
            "pass_at_2": 5 / 12,
            "pass_at_4": 0.5,
            "maj_at_4": 0.25,
            "solution_paths": 1.0,
            "new_right_paths": 1 / 8,
            "distinct_2": (7 / 10 + 1 / 4) / 2,
            "answer_entropy": math.log(2) / 2,
        }
    )


def test_names_and_directions():
    directions = {name: measure.direction for name, measure in figures_of(random_problems()).items()}
    assert directions == {
        **dict.fromkeys(["pass_at_1", "pass_at_2", "pass_at_4", "pass_at_8"], "higher"),
        **dict.fromkeys(["maj_at_4", "maj_at_8"], "higher"),
        **dict.fromkeys(["solution_paths", "new_right_paths", "distinct_2"], "higher"),
        "self_bleu": "lower",
        "answer_entropy": "context",
    }
    assert all(m.sizes == {"val:sample": 12} for m in figures_of(random_problems()).values())


def test_order_and_copies_of_problems_change_nothing():
    problems = random_problems()
    plain = {name: measure.value() for name, measure in figures_of(problems).items()}
    shuffled = dict(reversed(problems.items()))
    doubled = count_problems(problems, [2] * 12)
    for other in (shuffled, doubled):
        assert {n: m.value() for n, m in figures_of(other).items()} == pytest.approx(plain)


def test_counting_a_problem_twice_is_having_it_twice():
    problems = random_problems()
    times = [2, 0, 1, 3] * 3
    repeated = figures_of(count_problems(problems, times))
    for name, measure in figures_of(problems).items():
        counts = {"val:sample": np.array([times, [1] * 12], dtype=float)}
        np.testing.assert_allclose(measure.statistic(counts), [repeated[name].value(), measure.value()])


def test_problems_cut_short_carry_no_weight_and_keep_their_place():
    problems = random_problems()
    cut = problems | {"p03": problems["p03"][:5]}
    kept = {name: samples for name, samples in problems.items() if name != "p03"}
    expected = {name: measure.value() for name, measure in figures_of(kept).items()}
    found = figures_of(cut)
    assert {name: measure.value() for name, measure in found.items()} == pytest.approx(expected)
    assert found["pass_at_1"].sizes == {"val:sample": 12}


def test_figures_that_cannot_be_had_say_why():
    one = figures_of({"a": [("1 + 1 = 2", "2", True)], "b": [("2", "2", False)]})
    assert list(one)[:2] == ["pass_at_1", "maj_at_1"]
    assert "one sample" in one["self_bleu"].reason
    unnamed = figures_of({"a": [("x", None, True), ("y", None, False)]}, reference="no arithmetic")
    for name in ("maj_at_2", "answer_entropy"):
        assert "grader" in unnamed[name].reason
    for name in ("solution_paths", "new_right_paths"):
        assert "equations" in unnamed[name].reason
    assert unnamed["distinct_2"].reason == "no problem to measure it on"
    assert all(math.isnan(m.value()) for m in unnamed.values() if m.reason)


def test_importing_the_axes_imports_nothing_heavy():
    code = (
        "import sys, overmem.axes.diversity, overmem.axes.calibration; "
        "print([m for m in ('torch', 'transformers', 'sacrebleu', 'scipy') if m in sys.modules])"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert output.stdout.strip() == "[]"


def test_answers_without_a_grade_are_one_message():
    rows = pl.DataFrame(
        {"example_id": ["a", "a"], "text": ["x", "y"], "answer": ["1", None], "correct": [1.0, None]}
    )
    with pytest.raises(ArtifactError, match=r"not graded[\s\S]*1 of 2[\s\S]*audit"):
        group_samples(rows)
