"""Paired differences, their intervals, and Holm's adjustment."""

import math
from dataclasses import replace

import numpy as np
import pytest

from overmem.stats import paired
from overmem.stats.groups import Groups
from overmem.stats.measures import difference_measure, mean_measure, ratio_measure, undefined
from overmem.stats.paired import bootstrap, difference, holm, over_draws


def measure(values, population="val"):
    return mean_measure("m", "higher", population, np.asarray(values, dtype=float))


def test_a_paired_difference_is_that_of_its_problems():
    # Strongly correlated sides: an unpaired interval would be ten times as wide.
    rng = np.random.default_rng(0)
    level, effect = rng.normal(0, 10, 300), rng.normal(0.5, 1, 300)
    found = difference([measure(level + effect)], [measure(level)], draws=4000).estimate
    half = 1.96 * effect.std(ddof=1) / math.sqrt(300)
    assert found.value == pytest.approx(effect.mean())
    assert found.low == pytest.approx(effect.mean() - half, abs=0.01)
    assert found.high == pytest.approx(effect.mean() + half, abs=0.01)


def test_intervals_cover_and_p_values_are_uniform_without_an_effect():
    rng = np.random.default_rng(1)
    low_p = covered = 0
    for number in range(300):
        a, b = rng.random((2, 120)) < 0.6
        found = difference([measure(a)], [measure(b)], draws=500, seed=number)
        covered += found.estimate.low <= 0 <= found.estimate.high
        low_p += found.p < 0.1
    assert 0.91 <= covered / 300 <= 0.99
    assert 0.05 <= low_p / 300 <= 0.16


def test_a_population_of_each_side_alone_is_no_pair():
    """The gap of two runs: val is shared, and each has training rows of its own, of any number and groups."""
    rng = np.random.default_rng(2)
    val = rng.normal(1, 1, (2, 400))

    def gap(side, train, groups=None):
        own = ratio_measure("train", "lower", "train", train, np.ones(train.size))
        found = difference_measure("gap", "lower", measure(val[side]), own)
        return replace(found, groups={} if groups is None else {"train": groups})

    many, few = rng.normal(0, 1, 250), rng.normal(0, 1, 50)
    copies, fives = np.repeat(few, 5), Groups.of(np.repeat(np.arange(50), 5).tolist())
    wide, narrow, same = (
        difference([gap(0, many)], [right], draws=4000).estimate
        for right in (gap(1, few), gap(1, copies), gap(1, copies, fives))
    )
    se = math.sqrt((val[0] - val[1]).var(ddof=1) / 400 + many.var() / 250 + few.var() / 50)
    for found in (wide, same):
        assert (found.high - found.low) / 2 == pytest.approx(1.96 * se, rel=0.08)
    assert (narrow.high - narrow.low) < 0.8 * (wide.high - wide.low)


def test_nothing_varying_gives_no_interval_and_undefined_gives_its_reason():
    found = difference([measure([0.5, 0.5, 0.5])], [measure([0, 0, 0])])
    assert found.estimate.value == 0.5 and math.isnan(found.estimate.low) and found.estimate.reason
    lacking = undefined("m", "higher", "val", 3, "no samples")
    assert difference([lacking], [measure([1, 0, 1])]).estimate.reason == "no samples"
    assert math.isnan(difference([measure([1.0])], [measure([0.0])]).estimate.low)


def test_all_problems_moved_is_a_clear_difference_as_the_sign_test_has_it():
    found = difference([measure([1] * 10)], [measure([0] * 10)])
    share = 0.6915  # Clopper and Pearson's lower limit for 10 of 10, from their table
    assert (found.estimate.value, found.estimate.high) == (1.0, 1.0)
    assert found.estimate.low == pytest.approx(2 * share - 1, abs=1e-3) and found.p == 2 / 2**10
    turned = difference([measure([0] * 10)], [measure([1] * 10)]).estimate
    assert (turned.low, turned.high) == (-1.0, -found.estimate.low)
    few = difference([measure([1] * 5)], [measure([0] * 5)])
    assert few.estimate.low < 0 and few.p > 0.05


def counts_of(sizes, seed, population="val", draws=200):
    return over_draws(sizes, draws, seed, lambda counts: counts[population])


def test_draws_count_every_population_to_its_size_and_are_shared_by_name():
    sizes = {"val": 50, "train": 20}
    val, train = counts_of(sizes, 3), counts_of(sizes, 3, "train")
    assert (val.sum(axis=1) == 50).all() and (train.sum(axis=1) == 20).all()
    assert val.var() == pytest.approx(1 - 1 / 50, abs=0.05)
    assert (counts_of({"val": 50}, 3) == val).all()
    assert not (counts_of({"val": 50}, 4) == val).all()


@pytest.mark.parametrize("at_once", [1, 120, 7_000])
def test_draws_are_the_same_however_many_are_in_memory(monkeypatch, at_once):
    whole = counts_of({"val": 50, "train": 20}, 3)
    paired._population_counts.cache_clear()
    monkeypatch.setattr(paired, "AT_ONCE", at_once)
    held = []
    found = over_draws(
        {"val": 50, "train": 20}, 200, 3, lambda counts: (held.append(len(counts["val"])), counts["val"])[1]
    )
    np.testing.assert_array_equal(found, whole)
    assert sum(held) == 200 and max(held) <= max(1, at_once // 50)
    paired._population_counts.cache_clear()


def test_seeds_widen_the_interval_by_their_own_spread():
    rng = np.random.default_rng(2)
    problems = rng.random(2000)
    shifts = np.array([0.0, 0.1, 0.2, 0.3, 0.4])
    seeds = [measure(problems * 0.01 + shift) for shift in shifts]
    spread = bootstrap(seeds, 4000, 0).std()
    assert spread == pytest.approx(shifts.std() / math.sqrt(5), rel=0.05)


def test_holm_by_hand():
    # Holm (1979): sorted p times 3, 2, 1, made to never fall.
    assert holm([0.02, 0.01, 0.04]) == pytest.approx([0.04, 0.03, 0.04])
    adjusted = holm([0.5, math.nan, 0.6])
    assert adjusted[0] == adjusted[2] == 1.0 and math.isnan(adjusted[1])
