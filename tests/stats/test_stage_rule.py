"""The rule table, onset and recommendation on curves small enough to judge by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from overmem.records import STAGES
from overmem.rule import Rule
from overmem.stats import stage_rule as rules

STEPS = np.array([100, 200, 300, 400])


def stages_of(accuracy, perplexity, steps=STEPS, margin=0.03, ratio=1.10):
    """Stage names of one curve given accuracies and perplexities."""
    codes = rules.stage_codes(
        np.array([accuracy], float),
        np.log(np.array([perplexity], float)),
        np.asarray(steps),
        Rule(accuracy_margin=margin, perplexity_ratio=ratio),
    )
    return [STAGES[code] for code in codes[0]]


def test_learning_then_fit_then_over_memorized():
    # Peak 0.80 at step 300; lowest perplexity 1.30 at 200; bound 1.43.
    assert stages_of([0.60, 0.78, 0.80, 0.79], [1.50, 1.30, 1.35, 1.60]) == [
        "learning",
        "fit",
        "fit",
        "over-memorized",
    ]


def test_overfit_is_inflated_and_below_the_margin():
    assert stages_of([0.70, 0.80, 0.78, 0.70], [1.40, 1.30, 1.44, 1.60]) == [
        "learning",
        "fit",
        "over-memorized",
        "overfit",
    ]


def test_unstable_is_a_loss_after_the_first_comparable_without_inflation():
    assert stages_of([0.80, 0.70, 0.79, 0.60], [1.30, 1.31, 1.29, 1.30]) == [
        "fit",
        "unstable",
        "fit",
        "unstable",
    ]


def test_high_perplexity_before_the_lowest_is_never_inflated():
    assert stages_of([0.80, 0.80, 0.80, 0.80], [9.0, 3.0, 2.0, 1.5]) == ["fit"] * 4


def test_inflated_before_the_first_comparable_is_overfit_not_learning():
    # Accuracy still climbs while perplexity has already grown: the table says overfit either way.
    assert stages_of([0.40, 0.50, 0.60, 0.80], [1.30, 1.50, 1.60, 1.70]) == [
        "learning",
        "overfit",
        "overfit",
        "over-memorized",
    ]


def test_both_thresholds_include_equality_despite_rounding():
    assert 0.81 - 0.78 > 0.03  # the rounding this guards against
    assert stages_of([0.81, 0.78], [1.0, 1.1], steps=[1, 2]) == ["fit", "over-memorized"]
    assert stages_of([0.81, 0.7799], [1.0, 1.0999], steps=[1, 2]) == ["fit", "unstable"]


def test_draws_are_judged_independently():
    accuracy = np.array([[0.5, 0.8, 0.8], [0.8, 0.8, 0.5]])
    nll = np.log([[1.3, 1.2, 1.9], [1.2, 1.2, 1.2]])
    codes = rules.stage_codes(accuracy, nll, STEPS[:3], Rule(accuracy_margin=0.03, perplexity_ratio=1.1))
    assert codes.tolist() == [
        [rules.LEARNING, rules.FIT, rules.OVER_MEMORIZED],
        [rules.FIT, rules.FIT, rules.UNSTABLE],
    ]
    np.testing.assert_allclose(rules.stage_probabilities(codes)[0], [0.5, 0.5, 0, 0, 0])
    np.testing.assert_allclose(rules.stage_probabilities(codes)[2], [0, 0, 0.5, 0, 0.5])


def test_shares_of_draws_are_scaled_by_a_temperature():
    codes = np.array([[rules.FIT, rules.FIT]] * 3 + [[rules.UNSTABLE, rules.FIT]])
    np.testing.assert_allclose(
        rules.stage_probabilities(codes, temperature=1.0), [[0, 0.75, 0, 0, 0.25], [0, 1, 0, 0, 0]]
    )
    # By hand: the odds of 3 become their square root.
    odds = 3**0.5
    np.testing.assert_allclose(
        rules.stage_probabilities(codes, temperature=2.0)[0], [0, odds / (1 + odds), 0, 0, 1 / (1 + odds)]
    )
    stated = rules.stage_probabilities(codes)[0]
    assert 0.75 > stated[rules.FIT] > 0.65 and stated[rules.UNSTABLE] == pytest.approx(1 - stated[rules.FIT])


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ([1, 1, 1, 1], rules.NO_ONSET),
        ([2, 2, 2, 1], rules.NO_ONSET),
        ([1, 2, 1, 2], 400),
        ([0, 1, 2, 3], 300),
        ([1, 3, 2, 3], 200),
        ([2, 2, 2, 2], 100),
        ([1, 2, 4, 2], 400),
    ],
)
def test_onset_is_where_the_final_run_of_inflated_stages_begins(codes, expected):
    assert rules.onset_steps(np.array([codes]), STEPS).tolist() == [expected]


CURVES = st.integers(2, 7).flatmap(
    lambda c: st.tuples(
        hnp.arrays(float, (3, c), elements=st.floats(0, 1)),
        hnp.arrays(float, (3, c), elements=st.floats(0.01, 3)),
    )
)


@given(CURVES)
def test_peak_is_comparable_and_lowest_is_not_inflated(curves):
    accuracy, nll = curves
    codes = rules.stage_codes(
        accuracy, nll, np.arange(accuracy.shape[1]), Rule(accuracy_margin=0.03, perplexity_ratio=1.1)
    )
    rows = np.arange(3)
    assert np.isin(codes[rows, accuracy.argmax(axis=1)], [rules.FIT, rules.OVER_MEMORIZED]).all()
    assert np.isin(codes[rows, nll.argmin(axis=1)], [rules.LEARNING, rules.FIT, rules.UNSTABLE]).all()


@given(CURVES)
def test_learning_never_comes_after_unstable_or_fit(curves):
    accuracy, nll = curves
    codes = rules.stage_codes(
        accuracy, nll, np.arange(accuracy.shape[1]), Rule(accuracy_margin=0.03, perplexity_ratio=1.1)
    )
    for row in codes:
        settled = np.flatnonzero(np.isin(row, [rules.FIT, rules.OVER_MEMORIZED, rules.UNSTABLE]))
        assert not (row[settled[0] :] == rules.LEARNING).any()


@given(CURVES, st.floats(0.1, 0.5))
def test_stage_depends_on_perplexity_ratios_and_accuracy_differences_only(curves, shift):
    accuracy, nll = np.round(curves[0] / 2, 3), np.round(curves[1], 3)
    shift = round(shift, 3)
    steps = np.arange(accuracy.shape[1])
    plain = rules.stage_codes(accuracy, nll, steps, Rule(accuracy_margin=0.0305, perplexity_ratio=1.1))
    shifted = rules.stage_codes(
        accuracy + shift,
        nll + 10 * shift,
        1000 * steps + 7,
        Rule(accuracy_margin=0.0305, perplexity_ratio=1.1),
    )
    assert (plain == shifted).all()
