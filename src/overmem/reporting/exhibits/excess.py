"""Excess NLL taken apart: which tokens a checkpoint lost on, against the one with the lowest NLL.

Shape suffixes: N problems, D draws.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from overmem.artifacts.evidence import Evidence
from overmem.artifacts.jobs import VAL_SCORES
from overmem.axes.calibration import measures as calibration_measures
from overmem.axes.excess import MIN_EXCESS_NATS
from overmem.axes.grouped import with_groups
from overmem.formatting import FULL, estimate_text
from overmem.records import Estimate
from overmem.reporting.downloads import Cell, Table
from overmem.reporting.exhibits.bootstrapped import Bootstrapped, interval, signed_text
from overmem.reporting.exhibits.exhibit import Exhibit, left_out
from overmem.reporting.figures.theme import Figure, Trace, axis, error_bars, layout, plotly_text, rounded
from overmem.stats.arrays import FloatArray
from overmem.stats.measures import Measure, ratio_measure

NAME, TITLE = "excess-nll", "What the excess NLL is made of"
TOTAL = "all tokens"
OWN_PATH = ("only_lowest", "neither")
CELLS = {
    "both": "first choice at both",
    "only_last": "first choice only here",
    "only_lowest": "first choice only at the lowest",
    "neither": "first choice at neither",
}
"""The four cells of `split_excess`, as a reader is told of them."""


def excess_exhibit(
    rows: Mapping[str, pl.DataFrame],
    lowest: str | None,
    nats: Mapping[str, Mapping[str, FloatArray]],
    temperatures: Sequence[float],
    command: str,
) -> Exhibit:
    """The excess NLL of each checkpoint over the lowest, by whether the reference token is a first choice.

    Args:
        rows: likelihood rows on val of each checkpoint, aligned.
        lowest: the checkpoint with the lowest NLL.
        nats: what `overmem.axes.excess.excess_cells` gives, of each other checkpoint.
        temperatures: the grid of `nll_at_temperature`.
        command: what would measure the rows where there are none.
    """
    if lowest is None or lowest not in rows or len(rows) < 2:
        why = f"no other checkpoint is compared with {lowest}, the lowest" if lowest in rows else command
        return left_out(NAME, TITLE, why)
    cells = {name: cell_measures(found, rows[name]["n_tokens"].to_numpy()) for name, found in nats.items()}
    of = {name: Evidence(rows={VAL_SCORES: rows[name]}, texts={}) for name in cells}
    drawn = {
        name: {key: Bootstrapped.of(with_groups(m, of[name])) for key, m in found.items()}
        for name, found in cells.items()
    }
    words = {name: _words(found, rows[name], temperatures) for name, found in drawn.items()}
    words[lowest] = "the lowest NLL of the run: no excess, by definition"
    estimates = {name: {k: d.estimate() for k, d in found.items()} for name, found in drawn.items()}
    first = rows[lowest]
    return Exhibit(
        name=NAME,
        title=TITLE,
        reading=f"NLL minus that of {lowest}, split by whether the reference token is the model's first "
        "choice. A rise on tokens that are not its first choice means that the model would write other "
        "words there; its greedy accuracy can hold.",
        measured=f"n = {int(first['n_tokens'].sum()):,} tokens of {len(first):,} validation problems; bars: "
        "95% interval over problems. Below zero: more probable than at the lowest.",
        figure=_figure({name: _traces(name, found) for name, found in estimates.items()}),
        table=_table(estimates),
        words={name: words[name] for name in rows},
    )


def cell_measures(nats: Mapping[str, FloatArray], tokens_N: FloatArray) -> dict[str, Measure]:
    """The four cells and their total in nats per token, as measures over problems.

    Args:
        nats: excess of each problem on the tokens of each cell.
        tokens_N: tokens of each problem.
    """
    every = {**nats, TOTAL: np.sum(list(nats.values()), axis=0)}
    return {
        key: ratio_measure(key, "lower", "val:score", nats_N, tokens_N.astype(np.float64))
        for key, nats_N in every.items()
    }


def share(part: FloatArray, value: float, total: Bootstrapped) -> Estimate:
    """A part of the excess as a share of all of it; undefined where there is hardly any excess."""
    if not total.value >= MIN_EXCESS_NATS:
        return Estimate(math.nan, math.nan, math.nan, total.n, "there is no excess to take a share of")
    with np.errstate(invalid="ignore", divide="ignore"):
        return interval(value / total.value, part / total.draws_D, total.n)


def _words(drawn: Mapping[str, Bootstrapped], rows: pl.DataFrame, temperatures: Sequence[float]) -> str:
    total = drawn[TOTAL]
    parts = [f"excess {signed_text(total.estimate())} nats a token"]
    own_D = np.sum([drawn[key].draws_D for key in OWN_PATH], axis=0)
    own = share(own_D, sum(drawn[key].value for key in OWN_PATH), total)
    parts.append(f"on tokens that are not its first choice {_share_text(own)}")
    evidence = Evidence(rows={VAL_SCORES: rows}, texts={}, temperatures=tuple(temperatures))
    gap = next((m for m in calibration_measures(evidence) if m.name == "temperature_gap"), None)
    if gap is not None and gap.reason is None:
        heat = Bootstrapped.of(with_groups(gap, evidence))
        parts.append(f"one temperature would remove {_share_text(share(heat.draws_D, heat.value, total))}")
    return "; ".join(parts)


def _share_text(found: Estimate) -> str:
    return estimate_text(found, ".0%", frame=FULL, why=True)


def _traces(name: str, cells: Mapping[str, Estimate]) -> tuple[Trace, ...]:
    found = [cells[key] for key in (TOTAL, *CELLS)]
    labels = [TOTAL, *CELLS.values()]
    hover = [
        f"<b>{plotly_text(name)}</b><br>{label}<br>{signed_text(e)}<br>n = {e.n:,} problems"
        for label, e in zip(labels, found, strict=True)
    ]
    bars: Trace = {
        "type": "bar",
        "orientation": "h",
        "x": rounded([e.value for e in found]),
        "y": labels,
        "offsetgroup": "@role",
        "marker": {"color": "@series", "pattern": {"shape": "@pattern", "size": 6, "solidity": 0.3}},
        "error_x": error_bars(
            [e.value for e in found],
            [e.low for e in found],
            [e.high for e in found],
            color="@ink",
            thickness=1.2,
            width=3,
        ),
        "hovertext": hover,
        "hoverinfo": "text",
    }
    return (bars,)


def _figure(series: Mapping[str, tuple[Trace, ...]]) -> Figure:
    x = axis("nats a token above the lowest", zeroline=True, zerolinecolor="@muted", nticks=7)
    y = axis("", autorange="reversed", ticklabelstandoff=6)
    wide = layout(x, y, height=330, bargap=0.28, bargroupgap=0.1)
    wide["margin"] = {"l": 210, "r": 16, "t": 10, "b": 48}
    small = {"margin.l": 126, "yaxis.tickvals": [TOTAL, *CELLS.values()]}
    texts = [TOTAL, *(text.replace("first choice ", "first choice<br>") for text in CELLS.values())]
    return Figure(layout=wide, compact={**small, "yaxis.ticktext": texts, "height": 360}, series=series)


def _table(estimates: Mapping[str, Mapping[str, Estimate]]) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (name, CELLS.get(key, TOTAL), e.value, e.low, e.high, e.n)
        for name, cells in estimates.items()
        for key, e in cells.items()
    ]
    columns = ("checkpoint", "reference_token_is", "excess_nats_per_token", "low_95", "high_95", "problems")
    return Table(columns=columns, rows=tuple(rows))
