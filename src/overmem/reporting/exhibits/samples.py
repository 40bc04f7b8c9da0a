"""pass@k: how many problems are solved at least once as more samples are drawn.

Shape suffixes: N problems, K numbers of samples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from overmem.axes.diversity import POPULATION
from overmem.axes.grouped import groups_in
from overmem.axes.samples.problem_samples import ProblemSamples, group_samples
from overmem.axes.samples.subsets import pass_at_k
from overmem.records import Estimate
from overmem.reporting.downloads import Cell, Table
from overmem.reporting.exhibits.bootstrapped import Bootstrapped, compare, plain_text
from overmem.reporting.exhibits.exhibit import Exhibit, left_out
from overmem.reporting.figures.theme import MARKER, Figure, Trace, axis, layout, plotly_text, rounded
from overmem.stats.groups import Groups
from overmem.stats.measures import ratio_measure

NAME, TITLE = "pass-at-k", "pass@k: how far more samples help"


def pass_exhibit(rows: Mapping[str, pl.DataFrame], temperature: float | None, command: str) -> Exhibit:
    """The pass@k curve of each checkpoint, k from 1 to all samples.

    Args:
        rows: sampled answers on val of each checkpoint, aligned.
        temperature: they were drawn at.
        command: what would measure them where there are none.
    """
    problems = {name: group_samples(table) for name, table in rows.items() if len(table)}
    if not problems:
        return left_out(NAME, TITLE, f"no samples were drawn; {command}")
    n_samples = max(len(p.texts) for found in problems.values() for p in found)
    curves = {name: pass_curve(found, n_samples, groups_in(rows[name])) for name, found in problems.items()}
    estimates = {name: [point.estimate() for point in curve] for name, curve in curves.items()}
    n = next(iter(curves.values()))[0].n
    heat = "" if temperature is None else f" at temperature {temperature:g}"
    return Exhibit(
        name=NAME,
        title=TITLE,
        reading="Share of problems that at least one of k samples solves. If the curve starts high and stays "
        "flat, the model has only one way to solve a problem.",
        measured=f"n = {n:,} validation problems, {n_samples} samples of each{heat}; shaded: 95% interval "
        "over problems.",
        figure=_figure({name: _traces(name, found) for name, found in estimates.items()}, n_samples),
        table=_table(estimates),
        words={
            name: f"pass@1 {plain_text(found[0])}; pass@{n_samples} {plain_text(found[-1])}"
            for name, found in estimates.items()
        },
        compared=compare({name: curve[-1] for name, curve in curves.items()}, f"pass@{n_samples}"),
    )


def pass_curve(
    problems: Sequence[ProblemSamples], n_samples: int, groups: Groups | None = None
) -> list[Bootstrapped]:
    """pass@k for k from 1 to `n_samples`; problems with fewer samples carry no weight."""
    full_N = np.array([len(p.texts) == n_samples for p in problems])
    correct_N = np.array([sum(p.correct) for p in problems])
    found = []
    for k in range(1, n_samples + 1):
        value_N = np.where(full_N, pass_at_k(n_samples, np.minimum(correct_N, n_samples), k), 0.0)
        measure = ratio_measure(f"pass_at_{k}", "higher", POPULATION, value_N, full_N.astype(np.float64))
        found.append(Bootstrapped.of(replace(measure, groups={} if groups is None else {POPULATION: groups})))
    return found


def _traces(name: str, curve: Sequence[Estimate]) -> tuple[Trace, ...]:
    k = list(range(1, len(curve) + 1))
    hover = [
        f"<b>{plotly_text(name)}</b><br>pass@{i} {plain_text(e)}<br>n = {e.n:,}"
        for i, e in zip(k, curve, strict=True)
    ]
    known = [(i, e) for i, e in zip(k, curve, strict=True) if np.isfinite(e.low)]
    band: Trace = {
        "type": "scatter",
        "mode": "lines",
        "x": [i for i, _ in known] + [i for i, _ in reversed(known)],
        "y": rounded([e.high for _, e in known] + [e.low for _, e in reversed(known)]),
        "fill": "toself",
        "fillcolor": "@fill",
        "line": {"width": 0},
        "hoverinfo": "skip",
    }
    line: Trace = {
        "type": "scatter",
        "mode": "lines+markers",
        "x": k,
        "y": rounded([e.value for e in curve]),
        "line": {"color": "@series", "width": 2, "dash": "@dash"},
        "marker": MARKER,
        "hovertext": hover,
        "hoverinfo": "text",
    }
    return (band, line)


def _figure(series: Mapping[str, tuple[Trace, ...]], n_samples: int) -> Figure:
    values = [y for traces in series.values() for t in traces for y in t["y"] if y is not None]
    pad = 0.12 * (max(values) - min(values)) or 0.05
    powers = [2**power for power in range(n_samples.bit_length()) if 2**power <= n_samples]
    ends = [max(-0.01, min(values) - pad), min(1.02, max(values) + pad)]
    x = axis("k, samples drawn", type="log", tickvals=powers, ticktext=[str(k) for k in powers])
    return Figure(
        layout=layout(x, axis("solved at least once", range=ends, tickformat=".0%", nticks=6)),
        series=series,
    )


def _table(estimates: Mapping[str, Sequence[Estimate]]) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (name, k, e.value, e.low, e.high, e.n)
        for name, curve in estimates.items()
        for k, e in enumerate(curve, start=1)
    ]
    return Table(columns=("checkpoint", "k", "pass_at_k", "low_95", "high_95", "problems"), rows=tuple(rows))
