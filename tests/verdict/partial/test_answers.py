"""Paired and separate differences of accuracy, against formulas by hand and libraries."""

import math

import numpy as np
import pytest
from scipy import stats

from overmem.artifacts.manifest_parts.imported import Score
from overmem.verdict.partial.answers import PairedAnswers, SeparateScores, two_sided


def test_a_paired_difference_is_a_t_test_of_the_differences():
    rng = np.random.default_rng(0)
    first, second = (rng.random((2, 400)) < [[0.7], [0.6]]).astype(float)
    gap = PairedAnswers(["a", "b"], [first, second]).gap("a", "b")
    expected = stats.ttest_rel(first, second)
    assert gap.difference.value == pytest.approx((first - second).mean())
    assert gap.p == pytest.approx(expected.pvalue, abs=0.003)
    low, high = expected.confidence_interval()
    assert (gap.difference.low, gap.difference.high) == pytest.approx((low, high), abs=0.003)


def test_pairs_tell_more_than_shares():
    right = (np.arange(400) < 240).astype(float)
    more = right.copy()
    more[240:252] = 1  # the same problems and twelve more
    paired = PairedAnswers(["a", "b"], [more, right]).gap("a", "b")
    apart = SeparateScores({"a": Score(accuracy=0.63, n=400), "b": Score(accuracy=0.6, n=400)}).gap("a", "b")
    assert paired.difference.value == pytest.approx(apart.difference.value)
    assert paired.p < 0.01 < 0.3 < apart.p


def test_separate_shares_have_newcombes_interval():
    """Newcombe (1998), table II, method 10: 56/70 against 48/80 gives 0.0524 to 0.3339."""
    scores = SeparateScores({"a": Score(accuracy=56 / 70, n=70), "b": Score(accuracy=48 / 80, n=80)})
    found = scores.gap("a", "b")
    # Student's critical value in the place of the normal one is wider by a hair.
    assert (found.difference.low, found.difference.high) == pytest.approx((0.0524, 0.3339), abs=0.003)
    table = np.array([[56, 14], [48, 32]])
    assert found.p == pytest.approx(stats.chi2_contingency(table, correction=False).pvalue, rel=1e-6)


def test_equal_answers_are_no_difference():
    rows = np.tile((np.arange(50) < 20).astype(float), (2, 1))
    gap = PairedAnswers(["a", "b"], rows).gap("a", "b")
    assert (gap.difference.value, gap.p) == (0.0, 1.0)
    assert two_sided(1.0, 0.0) == 0.0 and math.isclose(two_sided(1.96, 1.0), 0.05, abs_tol=1e-4)


def test_problems_of_a_group_count_once():
    base = (np.random.default_rng(1).random((2, 30)) < [[0.7], [0.5]]).astype(float)
    ten_times = np.repeat(base, 10, axis=1)
    label = [str(i // 10) for i in range(300)]
    alone = PairedAnswers(["a", "b"], ten_times).gap("a", "b")
    grouped = PairedAnswers(["a", "b"], ten_times, label).gap("a", "b")
    assert grouped.p > 3 * alone.p
