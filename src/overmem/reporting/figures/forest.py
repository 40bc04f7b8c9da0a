"""A forest plot of paired differences: how far each axis moved, counted in the width of its own interval.

Axes have different units, so a common scale in units would be a lie. Each difference is divided by half
the width of its 95% interval: every whisker is then two wide, and one that does not touch zero is a
clear difference. The figures in their own units stand at the right. Right is worse on every row.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from overmem.formatting import estimate_text, signed, spaced
from overmem.records import Cost
from overmem.reporting.downloads import Cell, Table
from overmem.reporting.figures.theme import (
    OUTCOME_MARKS,
    UNCLEAR_MARK,
    Figure,
    Trace,
    axis,
    layout,
    mark,
    plotly_text,
)

FARTHEST = 8.0
"""Half widths from which a point is drawn at the edge, as an arrow."""


@dataclass(frozen=True, kw_only=True)
class ForestRow:
    """One difference, in its own units and in half widths."""

    label: str
    cost: Cost
    at: float
    """Difference in half widths; above 0 is worse."""
    low: float
    high: float


def forest_rows(costs: Sequence[Cost]) -> list[ForestRow]:
    """The headlines that have an interval and a better side, in the order of the record."""
    found = []
    for cost in costs:
        value, low, high = (cost.difference.value, cost.difference.low, cost.difference.high)
        half = (high - low) / 2
        if not cost.headline or cost.direction == "context" or not math.isfinite(half) or half <= 0:
            continue
        sign = -1.0 if cost.direction == "higher" else 1.0
        ends = sorted((sign * low / half, sign * high / half))
        label = f"{cost.axis}: {spaced(cost.measure)}"
        found.append(ForestRow(label=label, cost=cost, at=sign * value / half, low=ends[0], high=ends[1]))
    return found


def forest_figure(rows: Sequence[ForestRow], left: str) -> Figure | None:
    """Draw the rows; None when there is none.

    Args:
        rows: of `forest_rows`.
        left: what the left side of the differences is called, as in `better at LEFT`.
    """
    if not rows:
        return None
    reach = max(2.5, *(min(FARTHEST, max(abs(row.low), abs(row.high))) for row in rows)) + 0.5
    traces: list[Trace] = []
    for i, row in enumerate(rows):
        colour, symbol = OUTCOME_MARKS.get(row.cost.outcome, UNCLEAR_MARK)
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "x": [min(max(end, -reach), reach) for end in (row.low, row.high)],
                "y": [i, i],
                "line": {"color": colour, "width": 2.5},
                "hoverinfo": "skip",
            }
        )
        inside = abs(row.at) <= reach - 0.25
        arrow = "triangle-right" if row.at > 0 else "triangle-left"
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "x": [row.at if inside else math.copysign(reach - 0.2, row.at)],
                "y": [i],
                "marker": mark(
                    symbol if inside else arrow, 11, colour, colour, 2 if symbol.endswith("open") else 0
                ),
                "hovertext": [_hover(row)],
                "hoverinfo": "text",
            }
        )
    return Figure(
        layout=_layout(rows, reach, left, compact=False),
        base=tuple(traces),
        compact=_compact(rows, reach, left),
    )


def cost_table(costs: Sequence[Cost], left: str) -> Table:
    """Every difference, headline or not, one a row."""
    about = ("axis", "measure", "better_is", "headline", "of", "against", "value", "reference_value")
    columns = (*about, "difference", "low_95", "high_95", "problems", "p_holm", "reading")
    rows: list[tuple[Cell, ...]] = [
        (
            *(cost.axis, cost.measure, cost.direction, cost.headline, left, cost.against),
            *(cost.value, cost.reference_value),
            *(cost.difference.value, cost.difference.low, cost.difference.high, cost.difference.n),
            *(cost.p_holm, cost.difference.reason or cost.outcome),
        )
        for cost in costs
    ]
    return Table(columns=columns, rows=tuple(rows))


def forest_words(rows: Sequence[ForestRow]) -> str:
    """The figure for who cannot see it."""
    return "; ".join(f"{row.label} {_in_units(row.cost)}, {row.cost.outcome}" for row in rows)


def _layout(rows: Sequence[ForestRow], reach: float, left: str, *, compact: bool) -> dict[str, Any]:
    way = f"better at {left} \u2190   half widths of the 95% interval   \u2192 worse at {left}"
    title = "\u2190 better   half widths of the interval   worse \u2192" if compact else plotly_text(way)
    x = axis(title, range=[-reach, reach], tickvals=_ticks(reach), zeroline=True, zerolinecolor="@ink")
    y = {"visible": False, "range": [len(rows) - 0.4, -0.7 if compact else -0.6], "fixedrange": True}
    made = layout(x, y, height=76 + (58 if compact else 38) * len(rows), annotations=_labels(rows, compact))
    made["margin"] = {"l": 12, "r": 12, "t": 8, "b": 50} if compact else {"l": 210, "r": 300, "t": 8, "b": 50}
    return made


def _compact(rows: Sequence[ForestRow], reach: float, left: str) -> dict[str, Any]:
    narrow = _layout(rows, reach, left, compact=True)
    keys = ("height", "margin", "annotations", "xaxis", "yaxis")
    return {key: narrow[key] for key in keys}


def _labels(rows: Sequence[ForestRow], compact: bool) -> list[dict[str, Any]]:
    """Names at the left and figures at the right; on a narrow screen both stand above the whisker."""
    found = []
    for i, row in enumerate(rows):
        clear = row.cost.outcome in OUTCOME_MARKS
        figures = f"<b>{_in_units(row.cost)}</b>" if clear else _in_units(row.cost)
        name = f"<b>{plotly_text(row.cost.axis)}</b>"
        if not compact:
            name += f" <span style='font-size:12px'>{plotly_text(spaced(row.cost.measure))}</span>"
            figures += f" <span style='font-size:12px'>n = {row.cost.difference.n:,}</span>"
        for text, x, anchor, shift in ((name, 0, "right", -14), (figures, 1, "left", 12)):
            inside = {"xanchor": "left" if x == 0 else "right", "xshift": 0, "yshift": 13}
            found.append(
                {
                    "text": text,
                    "x": x,
                    "xref": "paper",
                    "y": i,
                    "yref": "y",
                    "yanchor": "bottom" if compact else "middle",
                    "showarrow": False,
                    "font": {"size": 12.5 if compact else 13, "color": "@ink"},
                    "bgcolor": "@paper",
                    "borderpad": 1,
                    **(inside if compact else {"xanchor": anchor, "xshift": shift}),
                }
            )
    return found


def _ticks(reach: float) -> list[int]:
    step = 1 if reach < 4 else 2
    most = int(reach // step) * step
    return list(range(-most, most + 1, step))


def _in_units(cost: Cost) -> str:
    return estimate_text(cost.difference, signed)


def _hover(row: ForestRow) -> str:
    cost = row.cost
    p = "" if not math.isfinite(cost.p_holm) else f"<br>p = {cost.p_holm:.3f} (Holm over the axes)"
    return (
        f"<b>{plotly_text(row.label)}</b><br>{_in_units(cost)}, {cost.outcome}<br>"
        f"{cost.value:.3f} here, {cost.reference_value:.3f} at {plotly_text(cost.against)}<br>"
        f"n = {cost.difference.n:,} problems{p}"
    )
