"""Paired differences, Holm, seeds, and the budget of a plan."""

import math

import numpy as np
import pytest

from overmem.artifacts.jobs import Job
from overmem.auditing.planning.plan import AxisPlan, Plan, fit_budget
from overmem.stats.measures import average_measure, difference_measure, mean_measure, undefined
from overmem.stats.moments import measure_curves, measure_seeds
from overmem.stats.paired import bootstrap, difference, draw_counts, holm
from overmem.verdict.judge import judge


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


def test_nothing_varying_gives_no_interval_and_undefined_gives_its_reason():
    found = difference([measure([1, 1, 1])], [measure([0, 0, 0])])
    assert found.estimate.value == 1.0 and math.isnan(found.estimate.low) and found.estimate.reason
    lacking = undefined("m", "higher", "val", 3, "no samples")
    assert difference([lacking], [measure([1, 0, 1])]).estimate.reason == "no samples"
    assert math.isnan(difference([measure([1.0])], [measure([0.0])]).estimate.low)


def test_draws_count_every_population_to_its_size_and_are_shared_by_name():
    counts = draw_counts({"val": 50, "train": 20}, 200, 3)
    assert (counts["val"].sum(axis=1) == 50).all() and (counts["train"].sum(axis=1) == 20).all()
    assert counts["val"].var() == pytest.approx(1 - 1 / 50, abs=0.05)
    assert (draw_counts({"val": 50}, 200, 3)["val"] == counts["val"]).all()
    assert not (draw_counts({"val": 50}, 200, 4)["val"] == counts["val"]).all()


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


def planted(seeds, spread=0.0, n=400):
    """An over-memorized run: accuracy 0.8 throughout, NLL 0.30, 0.30, 0.45."""
    rng = np.random.default_rng(5)
    ease = rng.random(n)
    shift = rng.normal(0, spread, (seeds, 1, 1))
    correct = (ease[None, None] < 0.8 + 0 * shift + np.zeros((seeds, 3, 1))).astype(float)
    nll = 20 * (np.array([0.31, 0.30, 0.45])[None, :, None] + shift) * rng.gamma(50, 1 / 50, n)
    return [10, 20, 30], correct, nll, np.full(n, 20.0)


def test_seeds_are_judged_as_one_recipe():
    steps, correct, nll, tokens = planted(4)
    several = judge(steps, correct, nll, tokens, resamples=500)
    one = judge(steps, correct[0], nll[0], tokens, resamples=500)
    assert several.stage == one.stage == "over-memorized"
    assert several.checkpoints[2].nll_nats.value == pytest.approx(one.checkpoints[2].nll_nats.value)


def test_one_seed_is_a_run_and_seeds_that_differ_add_their_variance():
    _, correct, nll, tokens = planted(6, spread=0.05)
    alone = measure_seeds(correct[:1], nll[:1], tokens)
    assert (alone.sample_cov_B_B == measure_curves(correct[0], nll[0], tokens).sample_cov_B_B).all()
    both = measure_seeds(correct, nll, tokens)
    log_nll = np.log(nll.sum(axis=2) / tokens.sum())
    mean_rows = measure_curves(correct.mean(axis=0), nll.mean(axis=0), tokens)
    added = both.sample_cov_B_B - mean_rows.sample_cov_B_B
    assert added[5, 5] == pytest.approx(log_nll[:, 2].var(ddof=1) / 6)
    assert (np.linalg.eigvalsh(both.noise_cov_B_B) > 0).all()


def axis(name, seconds, n=100):
    return AxisPlan(axis=name, tells="", jobs=(Job("greedy", name),), n=n, checkpoints=3, seconds=seconds)


def test_a_budget_pays_for_the_core_first_and_shares_the_rest_evenly():
    plan = Plan(axes=(axis("accuracy", 100), axis("ood", 10), axis("recall", 400), axis("diversity", 400)))
    cut = {item.axis: item for item in fit_budget(plan, 310).axes}
    assert cut["accuracy"].cut_from is None and cut["ood"].cut_from is None
    # 310 - 100 - 10 = 200 is left for two axes of 400 seconds: a quarter of the problems each.
    assert cut["recall"].n == cut["diversity"].n == 25
    assert sum(item.seconds for item in cut.values()) <= 310
    assert fit_budget(plan, 10_000).axes == plan.axes
    assert cut["recall"].limit == 25


def test_an_axis_on_too_few_problems_is_left_out_and_says_so():
    plan = Plan(axes=(axis("accuracy", 100), axis("recall", 1000)))
    left = {item.axis: item for item in fit_budget(plan, 200).axes}["recall"]
    assert left.jobs == () and "10 problems" in left.why_not
    tight = {item.axis: item for item in fit_budget(plan, 50).axes}["accuracy"]
    assert tight.n == 50 and tight.cut_from == 100


def test_an_average_rests_on_its_smallest_part_and_a_difference_on_its_smaller_side():
    few, many = measure([1, 0, 1]), measure([1, 0, 1, 1, 0], "train")
    assert average_measure("a", "higher", [many, few]).problems == 3
    gap = difference_measure("g", "lower", many, few)
    assert gap.problems == 3 and gap.value() == pytest.approx(3 / 5 - 2 / 3)
