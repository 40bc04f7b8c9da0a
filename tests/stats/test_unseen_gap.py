import dataclasses
import math

import pytest

from overmem.stats.staircase import Staircase
from overmem.stats.unseen_gap import (
    EVALUATED_LAST_TIME,
    EVALUATED_SCATTER,
    NARROW,
    RISE,
    SCATTER,
    SETTLING,
    estimate_gap,
    gap_to_evaluated,
    next_step,
)

STAIRS = Staircase(
    means=(1.5, 1.0),
    rates=(1e-4, 1e-4),
    last_share=1.0,
    unseen_then=1.5,
    unseen_now=1.4,
    next_fall=0.05,
    level=0.9,
    se=0.02,
    steps=(0.3,),
)
MANY = 1e9
"""Steps an epoch, with which nothing is left to settle."""


def test_the_gap_is_the_staircase_and_half_of_what_the_last_epoch_adds():
    # The last step took a quarter of 1.2; the next takes a quarter of 0.9.
    gap = estimate_gap(STAIRS, MANY)
    assert next_step(STAIRS) == pytest.approx(0.225)
    assert gap.middle == pytest.approx(1.4 - 0.9 + 0.1125)
    assert gap.next_fall == pytest.approx(0.05 + 0.225)
    assert gap.next_memorized == pytest.approx(0.225)
    assert gap.low < gap.middle < gap.high
    assert gap.low * gap.high == pytest.approx(gap.middle**2)
    assert gap.high / gap.middle == pytest.approx(math.exp(1.645 * math.hypot(SCATTER, 0.02 / 0.6125)))


def test_with_few_steps_an_epoch_the_difference_counts_by_less():
    gap = estimate_gap(STAIRS, SETTLING)
    assert gap.middle == pytest.approx(0.6125 / 2)
    assert gap.next_memorized == pytest.approx(0.225 / 2)


def test_far_below_the_unseen_loss_the_gap_grows_by_the_rise_of_that():
    low = dataclasses.replace(STAIRS, level=1.5 / math.e**3, steps=(0.002,))
    step = next_step(low)
    far = math.log(1.5 / (low.level - step)) - 1
    assert estimate_gap(low, MANY).middle == pytest.approx(1.4 - low.level + 0.5 * step + RISE * 1.5 * far)


def test_with_the_unseen_loss_evaluated_the_loss_on_training_rows_is_all_the_doubt():
    trained = 0.9 - EVALUATED_LAST_TIME * 0.225
    half = 1.645 * math.hypot(EVALUATED_SCATTER * trained, 0.01)
    figure, low, high = gap_to_evaluated(STAIRS, 2.0, 0.01)
    assert figure == pytest.approx(2.0 - trained)
    assert (low, high) == pytest.approx((figure - half, figure + half))
    unsure, low, high = gap_to_evaluated(STAIRS, 1.0, 0.01)
    assert math.isnan(unsure) and (low + high) / 2 == pytest.approx(1.0 - trained)
    assert math.isfinite(gap_to_evaluated(STAIRS, trained + half / NARROW + 1e-9, 0.01)[0])
    assert math.isnan(gap_to_evaluated(STAIRS, trained + half / NARROW - 1e-6, 0.01)[0])


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        ((1e-4, 5e-5), 0.9 * (1 - 0.75**0.5)),
        ((1e-4, 0.0), 0.0),
        ((math.nan, math.nan), 0.225),
        ((0.0, 1e-4), 0.225),
    ],
)
def test_the_next_step_goes_by_the_learning_rate(rates, expected):
    assert next_step(dataclasses.replace(STAIRS, rates=rates)) == pytest.approx(expected)


def test_an_unfinished_epoch_adds_its_share():
    half = dataclasses.replace(STAIRS, last_share=0.5)
    assert estimate_gap(half, MANY).middle == pytest.approx(0.5 + 0.05625)


@pytest.mark.parametrize(
    "changes",
    [
        {"se": 0.5},
        {"unseen_now": 0.905, "steps": (0.0,), "se": 0.001},  # less than 2% of the loss
        {"unseen_now": 0.5, "steps": (-0.1,)},
    ],
)
def test_what_is_lost_in_the_noise_has_an_upper_end_only(changes):
    gap = estimate_gap(dataclasses.replace(STAIRS, **changes), MANY)
    assert math.isnan(gap.middle) and gap.low == 0 < gap.high


def test_a_step_upwards_is_nothing_that_the_next_epoch_would_bring():
    assert next_step(dataclasses.replace(STAIRS, steps=(-0.2,))) == 0
    assert next_step(dataclasses.replace(STAIRS, level=0.0, steps=(0.0,))) == 0
    assert math.isnan(estimate_gap(dataclasses.replace(STAIRS, unseen_then=-1, unseen_now=-1), MANY).middle)


def test_a_trend_that_ends_below_0_has_no_rise():
    gap = estimate_gap(dataclasses.replace(STAIRS, unseen_then=-0.1), MANY)
    assert gap.middle == pytest.approx(1.4 - 0.9 + 0.1125)


@pytest.mark.parametrize("now", [-1.0, math.inf, math.nan])
def test_a_learning_rate_that_is_none_leaves_the_next_step_as_large_as_the_last(now):
    assert next_step(dataclasses.replace(STAIRS, rates=(1e-4, now))) == pytest.approx(0.225)
