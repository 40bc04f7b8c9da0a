"""The figure of differences: in half-widths of their intervals, worse to the right."""

import math
from typing import Any

import pytest

from overmem.records import Cost, Estimate
from overmem.reporting.figures.forest import forest_figure, forest_rows


def cost(value: float, low: float, high: float, **more: Any) -> Cost:
    fields = {
        "axis": "diversity",
        "measure": "pass_at_8",
        "against": "checkpoint-1",
        "difference": Estimate(value, low, high, 400),
        "direction": "higher",
        "headline": True,
        "p_holm": 0.001,
        "value": 0.5,
        "reference_value": 0.6,
    }
    return Cost(**{**fields, **more})


def test_forest_counts_in_half_widths_and_right_is_worse() -> None:
    (row,) = forest_rows([cost(-0.10, -0.14, -0.06)])
    assert (row.at, row.low, row.high) == pytest.approx((2.5, 1.5, 3.5))
    (row,) = forest_rows([cost(-0.10, -0.14, -0.06, direction="lower")])
    assert row.at == pytest.approx(-2.5)
    assert forest_rows([cost(-0.1, -0.2, 0.0, headline=False), cost(0.1, math.nan, math.nan)]) == []
    assert forest_figure([], "last") is None


def test_forest_marks_what_adjusting_takes_away_and_what_is_off_the_scale() -> None:
    rows = forest_rows(
        [cost(-0.1, -0.14, -0.06, p_holm=0.2), cost(-0.1, -0.101, -0.099), cost(0.2, 0.1, 0.3)]
    )
    figure = forest_figure(rows, "last")
    assert figure is not None
    marks = [trace["marker"]["symbol"] for trace in figure.base if trace["mode"] == "markers"]
    assert marks == ["circle-open", "triangle-right", "circle"]
    low, high = figure.layout["xaxis"]["range"]
    assert all(low <= x <= high for trace in figure.base for x in trace["x"])
