"""What a monitor reads from its points."""

import math
from dataclasses import replace

import numpy as np
import pytest

from overmem.verdict.live import TokenRow, read_points, steps_to_keep
from tests.helpers.points import RULE, points_of


def test_one_point_gives_no_stage():
    reading = read_points(*points_of([0.5]), RULE)
    assert reading.stage == "undetermined" and math.isnan(reading.confidence) and not reading.onset
    assert reading.lowest_step == 100 and reading.perplexity_ratio.value == 1
    assert "overmem/confidence" not in reading.to_logs() and reading.to_logs()["overmem/stage"] == -1


def test_perplexity_alone():
    points, tokens = points_of([0.6, 0.40, 0.42, 0.55])
    stages = [read_points(points[: end + 1], tokens, RULE) for end in range(4)]
    assert [reading.stage for reading in stages] == [
        "undetermined", "not inflated", "not inflated", "inflated",
    ]  # fmt: skip
    last = stages[-1]
    assert last.onset and last.lowest_step == 200 and last.confidence > 0.99
    assert last.perplexity_ratio.low < math.exp(0.15 * 1.05) and last.perplexity_ratio.high > 1.1
    assert last.accuracy is None and last.to_logs()["overmem/stage"] == 2
    assert "1.1" in last.describe() and "inflated (" in last.describe()


def test_probability_and_interval_hold_over_draws_of_the_problems():
    """Truly at the threshold: 0.8 is passed in a fifth of the draws, and the interval covers in 95%."""
    sure, covered = [], []
    for seed in range(400):
        reading = read_points(*points_of([0.4, 0.4 + math.log(1.1)], noise=0.15, seed=seed), RULE)
        sure.append(reading.probability_inflated >= 0.8)
        covered.append(reading.perplexity_ratio.low <= 1.1 <= reading.perplexity_ratio.high)
    assert 0.15 < np.mean(sure) < 0.25
    assert 0.93 < np.mean(covered) < 0.975


def test_too_few_problems_give_no_stage():
    points, tokens = points_of([0.4, 0.9], n=20)
    assert read_points(points, tokens, RULE).stage == "undetermined"


def test_answers_bring_the_whole_rule():
    points, tokens = points_of([0.6, 0.4, 0.42, 0.7], n=200, accuracy=[0.3, 0.8, 0.82, 0.83])
    reading = read_points(points, tokens, RULE)
    assert reading.stage == "over-memorized" and reading.onset and reading.accuracy.value == 0.83
    worse, _ = points_of([0.6, 0.4, 0.42, 0.7], n=200, accuracy=[0.3, 0.8, 0.82, 0.5])
    assert read_points(worse, tokens, RULE).stage == "overfit"


def test_the_own_path_share():
    points, tokens = points_of([0.4, 0.6])
    then = TokenRow(step=100, logprob_T=np.array([-0.1, -0.1]), is_top1_T=np.array([True, True]))
    now = TokenRow(step=200, logprob_T=np.array([-0.2, -0.4]), is_top1_T=np.array([True, False]))
    assert read_points(points, tokens, RULE, (now, then)).own_path_share == pytest.approx(0.75)
    assert math.isnan(read_points(points, tokens, RULE).own_path_share)
    close, _ = points_of([0.4, 0.401], noise=0.1)
    assert math.isnan(read_points(close, tokens, RULE, (now, then)).own_path_share)


def test_what_to_keep():
    assert steps_to_keep([], [], RULE) == []
    points, tokens = points_of([0.6, 0.40, 0.42, 0.44, 0.7], noise=0)
    assert steps_to_keep(points, tokens, RULE) == [200, 400]
    points, tokens = points_of([0.6, 0.40, 0.42, 0.44, 0.7], noise=0, accuracy=[0.2, 0.5, 0.9, 0.6, 0.9])
    assert steps_to_keep(points, tokens, RULE) == [200, 300]


@pytest.mark.parametrize("accuracy", [None, [0.5, 0.8]])
def test_copies_in_groups_are_read_as_the_problems_once(accuracy):
    points, tokens = points_of([0.4, 0.45], noise=0.3, accuracy=accuracy)
    often = [
        replace(
            point,
            nll_nats_N=tuple(np.repeat(point.nll_nats_N, 3)),
            correct_K=tuple(np.repeat(point.correct_K, 3)),
        )
        for point in points
    ]
    labels = [str(i) for i in np.repeat(np.arange(64), 3)]
    once, grouped, alone = (
        read_points(points, tokens, RULE),
        read_points(often, 3 * tokens, RULE, group_N=labels),
        read_points(often, 3 * tokens, RULE),
    )
    assert grouped.stage == once.stage and grouped.confidence == pytest.approx(once.confidence, abs=0.02)
    assert grouped.perplexity_ratio.high == pytest.approx(once.perplexity_ratio.high)
    assert alone.perplexity_ratio.high < 0.995 * once.perplexity_ratio.high
    if accuracy:
        assert grouped.accuracy.low == pytest.approx(once.accuracy.low)
        assert grouped.accuracy.low < alone.accuracy.low - 0.01
    few = [str(i % 20) for i in range(192)]
    assert read_points(often, 3 * tokens, RULE, group_N=few).stage == "undetermined"
    assert steps_to_keep(often, 3 * tokens, RULE, labels) == steps_to_keep(points, tokens, RULE)
