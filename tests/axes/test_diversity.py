"""Diversity by hand on small rows, and equations against solutions as people write them.

Covers: overmem.axes.equations, overmem.axes.samples.problem_samples
"""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overmem.artifacts.evidence import Evidence
from overmem.artifacts.jobs import VAL_SAMPLES
from overmem.axes.axis import Available
from overmem.axes.diversity import jobs, measures, new_path_share, solution_paths
from overmem.axes.equations import equation_path
from overmem.axes.samples.problem_samples import group_samples
from overmem.errors import ArtifactError

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
