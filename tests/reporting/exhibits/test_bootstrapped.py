"""Figures with their draws."""

import math

import numpy as np

from overmem.reporting.exhibits.bootstrapped import Bootstrapped
from overmem.stats.measures import ratio_measure
from overmem.stats.paired import difference


def test_a_figure_without_spread_has_no_interval() -> None:
    drawn = Bootstrapped(1.0, np.ones(100), 20)
    assert math.isnan(drawn.estimate().low) and "same value" in str(drawn.estimate().reason)
    assert drawn.minus(Bootstrapped(0.5, np.ones(100) * 0.5, 10)).n == 10
    undefined = Bootstrapped(math.nan, np.full(100, math.nan), 20, "too few").estimate()
    assert math.isnan(undefined.value) and undefined.reason == "too few"


def test_a_difference_is_that_of_the_costs_long_tail_included() -> None:
    rng = np.random.default_rng(0)
    tokens, tail = rng.integers(20, 80, 60).astype(float), rng.lognormal(0, 1.2, 60)
    later, first = (
        ratio_measure("nll", "lower", "val", nll_N * tokens, tokens) for nll_N in (1 + tail, np.ones(60))
    )
    found = Bootstrapped.of(later).minus(Bootstrapped.of(first))
    expected = difference([later], [first]).estimate
    assert (found.low, found.high) == (expected.low, expected.high)
    plain = np.percentile(Bootstrapped.of(later).draws_D - Bootstrapped.of(first).draws_D, 97.5)
    assert found.high > plain + 0.1 * (plain - found.value)
