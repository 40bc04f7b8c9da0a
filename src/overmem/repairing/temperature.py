"""Temperature scaling: the cheapest repair, which needs no new weights (1706.04599).

It mends how sure the model is, not what it answers: greedy answers stay as they are. Everything is read
from saved rows, since an audit keeps each row's NLL at a grid of temperatures.

Shape suffixes: G temperatures.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from overmem.artifacts.evidence import Evidence
from overmem.artifacts.jobs import VAL_SCORES
from overmem.axes.calibration import nll_at_temperatures
from overmem.axes.grouped import with_groups
from overmem.records import Temperature
from overmem.stats.measures import Measure, ratio_measure
from overmem.stats.paired import difference


def fit_temperature(rows: pl.DataFrame, temperatures: Sequence[float]) -> float:
    """The temperature of the grid with the lowest NLL.

    Args:
        rows: likelihood rows of the search split.
        temperatures: the grid of `nll_at_temperature`.
    """
    nll_G = nll_at_temperatures(rows).sum(axis=0)
    return temperatures[int(nll_G.argmin())]


def read_temperature(rows: pl.DataFrame, temperatures: Sequence[float], temperature: float) -> Temperature:
    """What a temperature changes on problems that did not choose it.

    Args:
        rows: likelihood rows of the confirm split.
        temperatures: the grid, with 1 and `temperature` on it.
        temperature: from `fit_temperature`.
    """

    def nll(at: float) -> Measure:
        nll_N = nll_at_temperatures(rows)[:, temperatures.index(at)]
        measure = ratio_measure("nll", "lower", "val", nll_N, rows["n_tokens"].to_numpy().astype(float))
        return with_groups(measure, Evidence(rows={VAL_SCORES: rows}, texts={}))

    found = difference([nll(temperature)], [nll(1.0)])
    return Temperature(temperature=temperature, nll_change=found.estimate)
