"""Figures with their draws."""

import math

import numpy as np

from overmem.reporting.exhibits.draws import Drawn


def test_a_figure_without_spread_has_no_interval() -> None:
    drawn = Drawn(1.0, np.ones(100), 20)
    assert math.isnan(drawn.estimate().low) and "same value" in str(drawn.estimate().reason)
    assert drawn.minus(Drawn(0.5, np.ones(100) * 0.5, 10)).n == 10
    undefined = Drawn(math.nan, np.full(100, math.nan), 20, "too few").estimate()
    assert math.isnan(undefined.value) and undefined.reason == "too few"
