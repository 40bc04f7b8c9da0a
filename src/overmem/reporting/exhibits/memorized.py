"""Memorized rows: which training rows a run remembers, and how much of it the highest carry."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl

from overmem.memorized.ranking import MemorizedRows
from overmem.reporting.downloads import Cell, Table
from overmem.reporting.exhibits.exhibit import Exhibit, left_out
from overmem.reporting.figures.theme import Figure, Trace, axis, diagonal, layout, rounded

NAME, TITLE = "memorized-rows", "Memorized rows: which training rows are remembered"
POINTS = 160
"""Most points of a curve."""
ROWS = 200
"""Most rows of a checkpoint that are written into the page."""
COLUMNS = ("example_id", "excess", "nll_before", "nll", "n_tokens", "verbatim")


def memorized_exhibit(found: Mapping[str, MemorizedRows], reason: str) -> Exhibit:
    """The share of all that was memorized that the highest rows carry, and these rows as a table.

    Args:
        found: the ranked rows of each checkpoint.
        reason: why there are none.
    """
    if not found:
        return left_out(NAME, TITLE, reason)
    one = next(iter(found.values()))
    rows: list[tuple[Cell, ...]] = [
        (name, *row) for name, ranked in found.items() for row in memorized_table(ranked, ROWS).rows
    ]
    return Exhibit(
        name=NAME,
        title=TITLE,
        reading="Training rows, most memorized first, and their share of all that was memorized. On the "
        "diagonal all rows have the same share.",
        measured=f"n = {len(one.table):,} training rows, {one.n_val:,} of val; memorized: how much further a "
        "row's NLL fell than val's, from its mean while val's still fell; in brackets: 95% interval over "
        f"rows. The data: the highest {ROWS} rows; all of them: overmem data memorized RUN --csv FILE.",
        figure=_figure({name: (_trace(ranked),) for name, ranked in found.items()}),
        table=Table(columns=("checkpoint", *COLUMNS), rows=tuple(rows)),
        words={name: ranked.words for name, ranked in found.items()},
    )


def memorized_table(
    found: MemorizedRows, most: int | None = None, texts: pl.DataFrame | None = None
) -> Table:
    """The rows, most memorized first.

    Args:
        found: the ranked rows.
        most: how many; all by default.
        texts: example_id, prompt and completion, to be shown with them.
    """
    table = found.table.select(COLUMNS).head(len(found.table) if most is None else most)
    if texts is not None:
        written = texts.select("example_id", "prompt", "completion")
        table = table.join(written, on="example_id", how="left", maintain_order="left")
    return Table(columns=tuple(table.columns), rows=tuple(table.iter_rows()))


def _trace(found: MemorizedRows) -> Trace:
    above_N = np.maximum(found.table["excess"].to_numpy(), 0.0)
    carried_N1 = np.concatenate([[0.0], np.cumsum(above_N) / max(above_N.sum(), 1e-12)])
    kept = np.unique(np.linspace(0, len(above_N), POINTS).astype(int))
    return {
        "type": "scatter",
        "mode": "lines",
        "x": rounded(kept / len(above_N), 4),
        "y": rounded(carried_N1[kept], 4),
        "line": {"color": "@series", "width": 2.2, "dash": "@dash"},
        "hovertemplate": "the highest %{x:.1%} of the rows<br>carry %{y:.1%}<extra></extra>",
    }


def _figure(series: Mapping[str, tuple[Trace, ...]]) -> Figure:
    ends = [-0.02, 1.02]
    return Figure(
        layout=layout(
            axis("share of the training rows, most memorized first", range=ends, nticks=6),
            axis("share of what was memorized", range=ends, nticks=6),
        ),
        compact={"xaxis.title.text": "training rows", "yaxis.title.text": "share of what was memorized"},
        base=(diagonal(),),
        series=series,
    )
