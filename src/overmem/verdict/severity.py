"""What the excess NLL of a run's last checkpoint is made of, and what a temperature takes back of it.

Two checkpoints are compared token by token, which no sum of one checkpoint holds: their lists are read here,
a part of the problems at a time.

Shape suffixes: N problems, M tokens of some of them, G temperatures.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl

from overmem.artifacts.evidence import MeasuredCheckpoint
from overmem.artifacts.jobs import VAL_SCORES
from overmem.artifacts.manifest import Manifest
from overmem.artifacts.rows import read_job
from overmem.artifacts.store import Store
from overmem.axes.calibration import nll_at_temperatures
from overmem.axes.excess import MIN_EXCESS_NATS, ExcessSplit, excess_cells, temperature_gap
from overmem.records import Severity, Verdict
from overmem.stats.arrays import FloatArray

NO_TOKENS = "imported results hold one figure a reference, none a token"
TOKENS_AT_ONCE = 1 << 20
"""Tokens of one checkpoint that are in memory together."""


def explain_severity(store: Store, manifest: Manifest, verdict: Verdict, ids: Sequence[str]) -> Severity:
    """Fill in what carries the excess of the last checkpoint over the one with the lowest NLL.

    Args:
        store: the run's artifacts.
        manifest: the record that describes them.
        verdict: on the run.
        ids: of the problems it rests on; a checkpoint may have more.
    """
    values = {summary.name: summary.nll_nats.value for summary in verdict.checkpoints}
    lowest, last = min(values, key=lambda name: values[name]), verdict.checkpoints[-1].name
    excess = verdict.severity.excess_nll_nats.value
    if lowest == last or not excess >= MIN_EXCESS_NATS:
        reason = f"{last} has no excess NLL over {lowest} to take apart"
        return dataclasses.replace(verdict.severity, reason=reason)
    if manifest.imported is not None:
        return dataclasses.replace(verdict.severity, reason=NO_TOKENS)
    places = [MeasuredCheckpoint(store, manifest, name) for name in (last, lowest)]
    columns = ("n_tokens", "nll_at_temperature")
    rows = read_job(store, manifest, places[0].record, VAL_SCORES, columns)
    rows = rows.filter(pl.col("example_id").is_in(ids))
    tokens_N = rows["n_tokens"].to_numpy().astype(np.float64)
    cells = read_excess_cells(places[0], places[1], rows)
    split = ExcessSplit(**{name: float(nats_N.sum() / tokens_N.sum()) for name, nats_N in cells.items()})
    grid, gap = manifest.temperatures, math.nan
    if 1.0 in grid:
        (gap,) = temperature_gap(nll_at_temperatures(rows), tokens_N, grid.index(1.0))
    return dataclasses.replace(
        verdict.severity,
        own_path_share=split.own_path_share,
        temperature_recovers_share=gap / split.total,
        reason=None if grid else "the engine that scored knows no other temperature",
    )


def read_excess_cells(
    place: MeasuredCheckpoint, lowest: MeasuredCheckpoint, rows: pl.DataFrame
) -> dict[str, FloatArray]:
    """The excess NLL of each problem, nats, on the tokens of each cell of `overmem.axes.excess.top1_cells`.

    Args:
        place: a checkpoint.
        lowest: what it is compared with.
        rows: example_id and n_tokens of val problems that both have, sorted by example_id.
    """
    parts = []
    for part in _parts(rows):
        ids = part["example_id"].to_list()
        tables = [p.tokens(VAL_SCORES, ids, ("logprob", "is_top1")) for p in (place, lowest)]
        flat = [table[column].explode() for table in tables for column in ("logprob", "is_top1")]
        problem_M = np.repeat(np.arange(len(part)), part["n_tokens"].to_numpy())
        parts.append(excess_cells(problem_M, *(column.to_numpy() for column in flat)))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _parts(rows: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Rows in order, as many at once as have `TOKENS_AT_ONCE`, at least one."""
    start, held = 0, 0
    for at, tokens in enumerate(rows["n_tokens"]):
        if held and held + tokens > TOKENS_AT_ONCE:
            yield rows[start:at]
            start, held = at, 0
        held += tokens
    yield rows[start:]
