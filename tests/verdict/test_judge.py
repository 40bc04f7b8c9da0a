"""The verdict on planted runs, its invariances, and what it refuses.

Covers: overmem.stats.checks, overmem.verdict.recommendation
"""

from __future__ import annotations

import json
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overmem.errors import DataError, RunError
from overmem.records import STAGES
from overmem.verdict.judge import judge
from tests.helpers.curves import planted


def plant(accuracy, nll, n=600, seed=0):
    """Rows whose measured accuracy is close to `accuracy` and whose NLL is exactly `nll` a token."""
    rng = np.random.default_rng(seed)
    hard = rng.permutation((np.arange(n) + 0.5) / n)
    noisy = np.clip(hard + rng.normal(0, 0.03, (len(accuracy), n)), 0, 1)
    correct = (noisy < np.asarray(accuracy)[:, None]).astype(float)
    tokens = rng.integers(30, 150, n).astype(float)
    factor = np.exp(0.3 * hard + 0.1 * rng.normal(size=(len(nll), n)))
    factor /= (factor * tokens).sum(axis=1, keepdims=True) / tokens.sum()
    return correct, np.asarray(nll)[:, None] * tokens * factor, tokens


STEPS = [100, 200, 300, 400, 500]
HEALTHY = plant([0.40, 0.60, 0.70, 0.72, 0.72], [0.50, 0.40, 0.36, 0.34, 0.34])
MEMORIZED = plant([0.50, 0.70, 0.72, 0.72, 0.72], [0.40, 0.34, 0.36, 0.50, 0.60])
OVERFITTED = plant([0.50, 0.70, 0.72, 0.62, 0.50], [0.40, 0.34, 0.36, 0.50, 0.60])
UNSTABLE = plant([0.50, 0.70, 0.50, 0.71, 0.55], [0.40, 0.34, 0.34, 0.34, 0.34])


def stages(verdict):
    return [c.stage for c in verdict.checkpoints]


def test_healthy_run_learns_then_is_fit():
    verdict = judge(STEPS, *HEALTHY)
    assert verdict.stage == "fit" and verdict.confidence > 0.8
    assert stages(verdict)[:2] == ["learning", "learning"]
    assert verdict.onset.step is None and verdict.onset.probability < 0.05 and verdict.onset.reason
    assert verdict.reason is None


def test_over_memorized_run_has_onset_severity_and_a_better_checkpoint():
    verdict = judge(STEPS, *MEMORIZED)
    assert stages(verdict)[-2:] == ["over-memorized", "over-memorized"] and verdict.confidence > 0.9
    assert verdict.onset.step == 400 and verdict.onset.low <= 400 <= verdict.onset.high
    assert verdict.severity.excess_nll_nats.value == pytest.approx(0.26)
    assert verdict.severity.excess_nll_nats.low < 0.26 < verdict.severity.excess_nll_nats.high
    assert verdict.severity.perplexity_ratio == pytest.approx(math.exp(0.26))
    assert verdict.recommended is not None and verdict.recommended.step in (200, 300)
    assert verdict.alternatives["lowest_perplexity"] == "checkpoint-200"


def test_overfit_run_is_overfit():
    verdict = judge(STEPS, *OVERFITTED)
    assert stages(verdict)[-2:] == ["overfit", "overfit"]
    assert verdict.onset.step == 400


def test_drop_without_inflation_is_unstable():
    assert stages(judge(STEPS, *UNSTABLE)) == ["learning", "fit", "unstable", "fit", "unstable"]


def test_difference_at_the_margin_is_undetermined_with_a_leaning():
    rows = plant([0.50, 0.70, 0.70, 0.67], [0.40, 0.34, 0.34, 0.34], n=150)
    verdict = judge([1, 2, 3, 4], *rows)
    last = verdict.checkpoints[-1]
    assert verdict.stage == last.stage == "undetermined"
    assert last.leaning in ("fit", "unstable") and last.confidence < 0.8
    assert last.confidence == last.stage_probabilities[last.leaning] == max(last.stage_probabilities.values())
    assert verdict.reason is not None and last.leaning in verdict.reason


def test_problems_to_settle_is_honoured_by_a_larger_sample():
    accuracy, nll = [0.50, 0.70, 0.60], [0.40, 0.34, 0.34]
    small = judge([1, 2, 3], *plant(accuracy, nll, n=60)).checkpoints[-1]
    assert small.stage == "undetermined" and small.problems_to_settle is not None
    assert 60 < small.problems_to_settle < 6000
    more = judge([1, 2, 3], *plant(accuracy, nll, n=4 * small.problems_to_settle)).checkpoints[-1]
    assert more.stage == "unstable" and more.problems_to_settle is None


def test_few_problems_are_insufficient_evidence():
    verdict = judge(STEPS, *(row[..., :12] for row in MEMORIZED))
    assert verdict.stage == "undetermined" and set(stages(verdict)) == {"undetermined"}
    assert verdict.reason is not None and "12 problem(s)" in verdict.reason and "30" in verdict.reason
    assert verdict.recommended is None and verdict.onset.step is None
    assert verdict.checkpoints[-1].problems_to_settle >= 30


def test_one_problem_gives_undefined_intervals_not_zero_width():
    verdict = judge([1, 2], [[1.0], [1.0]], [[3.0], [4.0]], [10])
    estimate = verdict.checkpoints[0].accuracy
    assert estimate.value == 1.0 and math.isnan(estimate.low) and estimate.reason
    assert verdict.to_dict()["checkpoints"][0]["nll_nats"]["low"] is None


def test_nothing_solved_points_to_the_grader():
    _, nll, tokens = MEMORIZED
    verdict = judge(STEPS, np.zeros_like(nll), nll, tokens)
    assert verdict.stage == "undetermined" and verdict.reason is not None and "grader" in verdict.reason
    assert verdict.checkpoints[0].problems_to_settle is None  # more problems would not mend a grader


def test_shuffling_problems_changes_nothing():
    correct, nll, tokens = MEMORIZED
    expected = judge(STEPS, correct, nll, tokens, resamples=500).to_dict()
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(tokens.size)
        assert (
            judge(STEPS, correct[:, order], nll[:, order], tokens[order], resamples=500).to_dict() == expected
        )


def test_same_seed_same_figures_and_other_seeds_nearly():
    first = judge(STEPS, *UNSTABLE, seed=3)
    assert first.to_dict() == judge(STEPS, *UNSTABLE, seed=3).to_dict()
    other = judge(STEPS, *UNSTABLE, seed=4)
    for a, b in zip(first.checkpoints, other.checkpoints, strict=True):
        assert a.accuracy == b.accuracy
        for stage in STAGES:
            assert a.stage_probabilities[stage] == pytest.approx(b.stage_probabilities[stage], abs=0.04)
    assert first.to_dict() != other.to_dict()


@settings(max_examples=15, deadline=None)
@given(power=st.integers(1, 6), seed=st.integers(0, 5))
def test_unit_of_steps_changes_no_stage(power, seed):
    rows = plant([0.5, 0.65, 0.66], [0.4, 0.42, 0.47], n=80, seed=seed)
    small = judge([100, 200, 400], *rows, resamples=200)
    large = judge([step * 2**power for step in (100, 200, 400)], *rows, resamples=200)
    assert [c.stage_probabilities for c in small.checkpoints] == [
        c.stage_probabilities for c in large.checkpoints
    ]


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), checkpoints=st.integers(2, 6), n=st.integers(2, 40))
def test_any_rows_give_a_complete_verdict(seed, checkpoints, n):
    rng = np.random.default_rng(seed)
    correct = rng.integers(0, 3, (checkpoints, n)) / 2
    nll = rng.exponential(20, (checkpoints, n))
    verdict = judge(
        np.cumsum(rng.integers(1, 50, checkpoints)), correct, nll, rng.integers(1, 60, n), resamples=100
    )
    for c in verdict.checkpoints:
        assert sum(c.stage_probabilities.values()) == pytest.approx(1)
        assert (c.stage == "undetermined") == (c.leaning is not None)
        assert c.accuracy.low <= c.accuracy.value <= c.accuracy.high and c.accuracy.low < c.accuracy.high
        assert c.nll_nats.low < c.nll_nats.value < c.nll_nats.high
    json.dumps(verdict.to_dict(), allow_nan=False)


def test_accuracy_interval_is_wilsons():
    from scipy.stats import binomtest

    correct = np.zeros((2, 400))
    correct[:, :300] = 1.0
    rng = np.random.default_rng(0)
    verdict = judge([1, 2], correct, rng.exponential(20, (2, 400)), np.full(400, 20))
    expected = binomtest(300, 400).proportion_ci(0.95, method="wilson")
    assert verdict.checkpoints[0].accuracy.low == pytest.approx(expected.low, abs=5e-4)
    assert verdict.checkpoints[0].accuracy.high == pytest.approx(expected.high, abs=5e-4)


def test_critical_value_agrees_with_scipy():
    from scipy.stats import t

    from overmem.stats.intervals import critical_value

    for n in (2, 3, 4, 5, 10, 30, 400):
        assert critical_value(n) == pytest.approx(t.ppf(0.975, n - 1), rel=0.01)
    assert critical_value(100) == pytest.approx(t.ppf(0.975, 99), rel=1e-6)


def test_severity_interval_is_the_paired_t_interval_for_equal_lengths():
    from scipy.stats import ttest_1samp

    rng = np.random.default_rng(0)
    first = rng.exponential(20, 200)
    # Each difference with its mirror image, so that there is no skew, which makes one side longer.
    moved = rng.normal(0, 0.5, 100).clip(-1, 1)
    nll = np.stack([first, first + np.concatenate([moved, -moved]) + 5])
    excess = judge([1, 2], np.ones((2, 200)), nll, np.full(200, 20)).severity.excess_nll_nats
    expected = ttest_1samp((nll[1] - nll[0]) / 20, 0).confidence_interval(0.95)
    assert (excess.low, excess.high) == pytest.approx((expected.low, expected.high), rel=1e-6)


def test_last_checkpoint_with_the_lowest_nll_has_no_excess_and_no_interval():
    severity = judge(STEPS, *plant([0.5] * 5, [0.5, 0.45, 0.4, 0.38, 0.35])).severity
    assert severity.excess_nll_nats.value == 0.0 and math.isnan(severity.excess_nll_nats.low)
    assert severity.perplexity_ratio == 1.0 and severity.reason


def test_a_run_that_diverged_has_an_infinite_ratio_and_no_traceback():
    # exp(949) is no float; the NLL itself is finite, as after too large a learning rate.
    rows = plant([0.5, 0.6, 0.7, 0.2, 0.0], [1.0, 1.0, 1.0, 50.0, 950.0])
    verdict = judge(STEPS, *rows)
    assert verdict.severity.perplexity_ratio == math.inf and verdict.stage == "overfit"
    assert json.loads(json.dumps(verdict.to_dict()))["severity"]["perplexity_ratio"] is None


def test_record_carries_thresholds_names_epochs_and_costs_in_words():
    names = ["a", "b", "c", "d", "e"]
    verdict = judge(STEPS, *MEMORIZED, names=names, epochs=[1, 2, 3, 4, None], seed=7, resamples=300)
    assert [c.name for c in verdict.checkpoints] == names
    assert [c.epoch for c in verdict.checkpoints] == [1, 2, 3, 4, None]
    assert verdict.thresholds == {
        "accuracy_margin": 0.03,
        "perplexity_ratio": 1.10,
        "resamples": 300,
        "seed": 7,
        "confidence_threshold": 0.8,
    }
    assert verdict.words == () and math.isnan(verdict.severity.own_path_share)
    recommended = verdict.recommended
    assert recommended is not None and recommended.name in recommended.why and recommended.why.endswith(".")
    for key, name in verdict.alternatives.items():
        text = verdict.alternative_costs[key]
        assert text.startswith(f"{name} ")
        assert ("perplexity times" in text) == (name != recommended.name)


def test_thresholds_move_the_verdict():
    assert judge(STEPS, *MEMORIZED, perplexity_ratio=2.0).stage == "fit"
    assert judge(STEPS, *UNSTABLE, accuracy_margin=0.3).stage == "fit"
    assert judge(STEPS, *HEALTHY, confidence_threshold=1.0, accuracy_margin=0.01).stage == "undetermined"


def broken(**changes):
    """Replace some of the valid arguments."""
    correct, nll, tokens = (np.array(row) for row in HEALTHY)
    return {"steps": STEPS, "correct_C_N": correct, "nll_nats_C_N": nll, "n_tokens_N": tokens, **changes}


def poke(array, value):
    changed = np.array(array, dtype=float)
    changed.flat[3] = value
    return changed


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"steps": [100]}, RunError, "at least 2 checkpoints"),
        ({"steps": [100, 300, 200, 400, 500]}, RunError, "step 300 followed by 200"),
        ({"steps": [100, 200, 200, 400, 500]}, RunError, "step 200 followed by 200"),
        ({"steps": [100, 200, 250.5, 400, 500]}, RunError, "whole"),
        ({"steps": [-1, 200, 250, 400, 500]}, RunError, "not negative"),
        ({"steps": [100, 200, 300, 400]}, DataError, r"shape \(5, 600\)"),
        ({"correct_C_N": HEALTHY[0][:, :-1]}, DataError, r"shape \(5, 599\)"),
        ({"correct_C_N": HEALTHY[0][0]}, DataError, "dimensions"),
        ({"correct_C_N": [[1, 0], [1]]}, DataError, "rectangular"),
        ({"correct_C_N": poke(HEALTHY[0], 1.5)}, DataError, "1.5 at"),
        ({"correct_C_N": poke(HEALTHY[0], math.nan)}, DataError, "nan at"),
        ({"nll_nats_C_N": poke(HEALTHY[1], math.inf)}, DataError, "inf at"),
        ({"nll_nats_C_N": poke(HEALTHY[1], -2.0)}, DataError, "-2 at"),
        ({"n_tokens_N": poke(HEALTHY[2], 0)}, DataError, "at least 1"),
        ({"accuracy_margin": -0.1}, DataError, "accuracy_margin"),
        ({"accuracy_margin": math.nan}, DataError, "accuracy_margin"),
        ({"perplexity_ratio": 1.0}, DataError, "perplexity_ratio"),
        ({"resamples": 10}, DataError, "resamples"),
        ({"confidence_threshold": 0.0}, DataError, "confidence_threshold"),
        ({"names": ["a", "b"]}, RunError, "2 names"),
        ({"names": ["a", "b", "c", "d", "a"]}, RunError, "same name"),
        ({"epochs": [1.0]}, RunError, "1 epochs"),
    ],
)
def test_bad_input_says_what_was_found(changes, error, words):
    arguments = broken(**changes)
    rows = [arguments.pop(key) for key in ("steps", "correct_C_N", "nll_nats_C_N", "n_tokens_N")]
    with pytest.raises(error, match=words) as caught:
        judge(*rows, **arguments)
    assert isinstance(caught.value, ValueError)
    assert "got:" in str(caught.value) and "next:" in str(caught.value)


def test_import_needs_no_heavy_library():
    code = (
        "import sys, overmem.verdict; "
        "print([m for m in ('torch', 'transformers', 'pandas', 'scipy.stats') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_seeds_are_judged_as_one_recipe():
    steps, correct, nll, tokens = planted(4)
    several = judge(steps, correct, nll, tokens, resamples=500)
    one = judge(steps, correct[0], nll[0], tokens, resamples=500)
    assert several.stage == one.stage == "over-memorized"
    assert several.checkpoints[2].nll_nats.value == pytest.approx(one.checkpoints[2].nll_nats.value)


def test_problems_in_groups_count_once_for_errors_and_for_how_many_there_are():
    correct, nll, tokens = MEMORIZED
    order = np.repeat(np.arange(correct.shape[1]), 3)
    once = judge(STEPS, correct, nll, tokens)
    rows = correct[:, order], nll[:, order], tokens[order]
    often = judge(STEPS, *rows, group=order)
    for a, b in zip(once.checkpoints, often.checkpoints, strict=True):
        assert (a.stage, a.accuracy.low) == (b.stage, pytest.approx(b.accuracy.low))
        assert a.nll_nats.high == pytest.approx(b.nll_nats.high)
        assert a.confidence == pytest.approx(b.confidence, abs=0.05)
    n = correct.shape[1]
    assert (often.groups.problems, often.groups.groups, often.groups.effective) == (3 * n, n, n)
    assert once.groups is None and judge(STEPS, *MEMORIZED, group=np.arange(n)).to_dict() == once.to_dict()
    few = judge(STEPS, *rows, group=np.arange(3 * n) % 20)
    assert few.stage == "undetermined" and "whose groups tell as much as 20 that stand alone" in few.reason


@pytest.mark.parametrize(
    ("group", "message"),
    [
        ([1, 2], "group does not have one label a problem"),
        (np.zeros((2, 60)), "group does not have one label a problem"),
        ([None] * 60, "a problem has no label of a group"),
        ([float("nan")] * 60, "a problem has no label of a group"),
        ([["a"]] * 60, "a problem has no label of a group"),
    ],
)
def test_labels_that_are_not_one_a_problem_are_one_message(group, message):
    rows = plant([0.4, 0.6], [0.5, 0.4], n=60)
    with pytest.raises(DataError, match=message):
        judge([1, 2], *rows, group=group)
