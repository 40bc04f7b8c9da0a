"""The cells of excess NLL are the verdict's."""

import numpy as np
import pytest

from overmem.axes.excess import excess_cells, split_excess
from overmem.reporting.exhibits.excess import CELLS, cell_measures


def test_cells_are_those_of_the_verdict_and_sum_to_the_excess() -> None:
    rng = np.random.default_rng(2)
    here, there = -rng.exponential(1, 60), -rng.exponential(1, 60)
    top, top_there = rng.random(60) < 0.5, rng.random(60) < 0.5
    nats = excess_cells(np.repeat([0, 1], [20, 40]), here, top, there, top_there)
    values = {key: measure.value() for key, measure in cell_measures(nats, np.array([20, 40])).items()}
    split = split_excess(here, top, there, top_there)
    assert {key: pytest.approx(getattr(split, key)) for key in CELLS} == {key: values[key] for key in CELLS}
    assert values["all tokens"] == pytest.approx(split.total)
