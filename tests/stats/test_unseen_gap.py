import dataclasses
import math

import pytest

from overmem.stats.staircase import Staircase
from overmem.stats.unseen_gap import RISE, SCATTER, SETTLING, estimate_gap, next_step

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
    assert gap.value == pytest.approx(1.4 - 0.9 + 0.1125)
    assert gap.next_fall == pytest.approx(0.05 + 0.225)
    assert gap.next_memorized == pytest.approx(0.225)
    assert gap.low < gap.value < gap.high
    assert gap.low * gap.high == pytest.approx(gap.value**2)
    assert gap.high / gap.value == pytest.approx(math.exp(1.645 * math.hypot(SCATTER, 0.02 / 0.6125)))


def test_with_few_steps_an_epoch_the_difference_counts_by_less():
    gap = estimate_gap(STAIRS, SETTLING)
    assert gap.value == pytest.approx(0.6125 / 2)
    assert gap.next_memorized == pytest.approx(0.225 / 2)


def test_far_below_the_unseen_loss_the_gap_grows_by_the_rise_of_that():
    low = dataclasses.replace(STAIRS, level=1.5 / math.e**3, steps=(0.0,))
    raw = 1.4 - low.level
    assert estimate_gap(low, MANY).value == pytest.approx(raw + RISE * 1.5 * 2)


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
    assert estimate_gap(half, MANY).value == pytest.approx(0.5 + 0.05625)


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
    assert math.isnan(gap.value) and gap.low == 0 < gap.high


def test_a_step_upwards_is_nothing_that_the_next_epoch_would_bring():
    assert next_step(dataclasses.replace(STAIRS, steps=(-0.2,))) == 0
    assert next_step(dataclasses.replace(STAIRS, level=0.0, steps=(0.0,))) == 0
    assert math.isnan(estimate_gap(dataclasses.replace(STAIRS, unseen_then=-1, unseen_now=-1), MANY).value)
