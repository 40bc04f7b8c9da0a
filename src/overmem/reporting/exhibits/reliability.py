"""Reliability: is the model right as often as it is sure, of the references' tokens and of its answers.

Shape suffixes: M groups of items (tokens or answers), N problems, B bins, D draws.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from overmem.axes.calibration import (
    BINS,
    Items,
    answer_items,
    bin_equal_mass,
    ece_measure,
    token_items,
)
from overmem.axes.grouped import groups_in
from overmem.formatting import estimate_text
from overmem.records import Estimate
from overmem.reporting.downloads import Cell, Table
from overmem.reporting.exhibits.bootstrapped import DRAWS, SEED, Bootstrapped, compare, interval
from overmem.reporting.exhibits.exhibit import Exhibit, left_out
from overmem.reporting.figures.theme import (
    MARKER,
    Figure,
    Trace,
    axis,
    diagonal,
    error_bars,
    layout,
    plotly_text,
    rounded,
)
from overmem.stats.groups import Groups
from overmem.stats.paired import over_draws

TOKENS, ANSWERS = "reliability-tokens", "reliability-answers"
TITLES = {TOKENS: "Reliability of its tokens", ANSWERS: "Reliability of its answers"}


@dataclass(frozen=True, kw_only=True)
class Bin:
    """One point of the diagram."""

    n: int
    confidence: float
    accuracy: Estimate
    """Share of the items that is right; interval over problems."""


def reliability_bins(items: Items, population: str, groups: Groups | None = None) -> list[Bin]:
    """Equal-mass bins that hold items, with the share right in each and its interval over problems.

    Args:
        items: at least one of them.
        population: name of the problems resampled.
        groups: of those that are drawn together.
    """
    cell_M = items.problem_M * BINS + bin_equal_mass(items.rank_M, count_M=items.count_M)
    size = items.n_problems * BINS
    right_N_B = np.bincount(cell_M, items.correct_M, minlength=size).reshape(-1, BINS)
    items_N_B = np.bincount(cell_M, items.count_M, minlength=size).reshape(-1, BINS)
    sure_B = np.bincount(cell_M % BINS, items.confidence_M, minlength=BINS)
    with np.errstate(invalid="ignore", divide="ignore"):
        share_D_B = over_draws(
            {population: items.n_problems},
            DRAWS,
            SEED,
            lambda counts: (counts[population] @ right_N_B) / (counts[population] @ items_N_B),
            None if groups is None else {population: groups},
        )
    found = []
    for b in np.flatnonzero(items_N_B.sum(axis=0)):
        n = int(items_N_B[:, b].sum())
        problems = int((items_N_B[:, b] > 0).sum())
        share = interval(float(right_N_B[:, b].sum() / n), share_D_B[:, b], problems)
        found.append(Bin(n=n, confidence=float(sure_B[b] / n), accuracy=share))
    return found


def tokens_exhibit(rows: Mapping[str, pl.DataFrame], command: str) -> Exhibit:
    """The reliability diagram of the references' tokens.

    Args:
        rows: likelihood rows on val of each checkpoint, aligned.
        command: what would measure them where there are none.
    """
    items = {name: token_items(table) for name, table in rows.items()}
    return _exhibit(TOKENS, items, _groups(rows), "val:score", "tokens", command)


def answers_exhibit(rows: Mapping[str, pl.DataFrame], command: str) -> Exhibit:
    """The reliability diagram of greedy answers; arguments as `tokens_exhibit`."""
    known = _with_confidence(rows)
    items = {name: answer_items(table) for name, table in known.items()}
    return _exhibit(ANSWERS, items, _groups(known), "val:greedy", "answers", command)


def _groups(rows: Mapping[str, pl.DataFrame]) -> dict[str, Groups | None]:
    return {name: groups_in(table) for name, table in rows.items()}


def _exhibit(
    name: str,
    items: Mapping[str, Items],
    groups: Mapping[str, Groups | None],
    population: str,
    noun: str,
    command: str,
) -> Exhibit:
    enough = {key: found for key, found in items.items() if found.n >= BINS}
    if not enough:
        return left_out(name, TITLES[name], f"no {noun} with a confidence were measured; {command}")
    bins = {key: reliability_bins(found, population, groups[key]) for key, found in enough.items()}
    measures = {key: ece_measure("ece", population, found) for key, found in enough.items()}
    drawn = {
        key: Bootstrapped.of(m if (of := groups[key]) is None else replace(m, groups={population: of}))
        for key, m in measures.items()
    }
    some = next(iter(enough.values()))
    mode = "lines+markers" if noun == "tokens" else "markers"  # a line through few answers shows noise
    count = f"{some.n:,} {noun}"
    on = f"{count} of {some.n_problems:,} validation problems" if noun == "tokens" else count
    sure = "its first choice at each token of the reference" if noun == "tokens" else "its greedy answer"
    return Exhibit(
        name=name,
        title=TITLES[name],
        reading=f"How sure the model is of {sure}, against how often it is right. Below the diagonal it is "
        "too confident.",
        measured=f"n = {on} at each checkpoint, in bins that hold equally many; bars: 95% interval over "
        "problems. ECE: mean distance from the diagonal.",
        figure=_figure({key: _traces(key, found, mode) for key, found in bins.items()}, noun),
        table=_table(bins),
        words={key: f"ECE {d.value:.3f}" for key, d in drawn.items()},
        compared=compare(drawn, "ECE"),
    )


def _traces(name: str, bins: list[Bin], mode: str) -> tuple[Trace, ...]:
    value = [b.accuracy.value for b in bins]
    hover = [
        f"<b>{plotly_text(name)}</b><br>sure: {b.confidence:.3f}<br>"
        f"right: {estimate_text(b.accuracy, '.3f')}<br>n = {b.n:,}"
        for b in bins
    ]
    trace: Trace = {
        "type": "scatter",
        "mode": mode,
        "x": rounded([b.confidence for b in bins]),
        "y": rounded(value),
        "error_y": error_bars(
            value,
            [b.accuracy.low for b in bins],
            [b.accuracy.high for b in bins],
            color="@series",
            thickness=1.2,
            width=0,
        ),
        "line": {"color": "@series", "width": 1.5, "dash": "@dash"},
        "marker": MARKER,
        "hovertext": hover,
        "hoverinfo": "text",
    }
    return (trace,)


def _figure(series: Mapping[str, tuple[Trace, ...]], noun: str) -> Figure:
    least = min(x for traces in series.values() for t in traces for x in (*t["x"], *t["y"]) if x is not None)
    low = -0.02 if least < 0.45 else max(0.0, float(np.floor(least * 10 - 0.5) / 10))
    ends = [low, 1.02]
    what = "probability of the first choice" if noun == "tokens" else "mean token probability of the answer"
    return Figure(
        layout=layout(
            axis(f"how sure: {what}", range=ends, nticks=6),
            axis("how often right", range=ends, nticks=6),
        ),
        compact={"xaxis.title.text": "how sure"},
        base=(diagonal(max(low, 0)),),
        series=series,
    )


def _table(bins: Mapping[str, list[Bin]]) -> Table:
    columns = ("checkpoint", "confidence", "share_right", "low_95", "high_95", "items", "problems")
    rows: list[tuple[Cell, ...]] = [
        (name, b.confidence, b.accuracy.value, b.accuracy.low, b.accuracy.high, b.n, b.accuracy.n)
        for name, found in bins.items()
        for b in found
    ]
    return Table(columns=columns, rows=tuple(rows))


def _with_confidence(rows: Mapping[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """The answers whose confidence and correctness are known at every checkpoint; not all engines tell."""
    known: pl.Series | None = None
    for table in rows.values():
        here = table["mean_logprob"].is_not_null() & table["correct"].is_not_null()
        known = here if known is None else known & here
    return {name: table.filter(known) for name, table in rows.items() if known is not None}
