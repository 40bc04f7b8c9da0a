"""The style of the figures that exhibits draw: axes, layout, marks, and numbers short enough for the page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from overmem.reporting.exhibits.kinds import Trace
from overmem.stats.arrays import FloatArray

MARKER = {"color": "@series", "size": 7, "symbol": "@symbol"}
"""A point of a checkpoint's series."""


def rounded(values: Sequence[float] | FloatArray, digits: int = 5) -> list[float | None]:
    """Numbers for JSON, without digits that nobody can see; undefined ones become null."""
    return [round(float(value), digits) if math.isfinite(value) else None for value in values]


def axis(title: str, **more: Any) -> dict[str, Any]:
    """An axis of an exhibit in the page's style."""
    return {
        "title": {"text": title, "standoff": 8, "font": {"color": "@muted", "size": 12.5}},
        "gridcolor": "@grid",
        "linecolor": "@grid",
        "zeroline": False,
        "fixedrange": True,
        "tickfont": {"size": 12},
        "automargin": False,
        **more,
    }


def layout(x: Mapping[str, Any], y: Mapping[str, Any], height: int = 340, **more: Any) -> dict[str, Any]:
    """A layout of one panel in the page's style."""
    return {
        "height": height,
        "margin": {"l": 58, "r": 16, "t": 10, "b": 48},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {
            "family": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif",
            "size": 13,
            "color": "@ink",
        },
        "hoverlabel": {
            "bgcolor": "@paper",
            "bordercolor": "@muted",
            "font": {"color": "@ink"},
            "align": "left",
        },
        "showlegend": False,
        "hovermode": "closest",
        "dragmode": False,
        "xaxis": dict(x),
        "yaxis": dict(y),
        **more,
    }


def diagonal(low: float = 0) -> Trace:
    """The dotted line from (low, low) to (1, 1), where both axes say the same."""
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [low, 1],
        "y": [low, 1],
        "line": {"color": "@muted", "width": 1, "dash": "dot"},
        "hoverinfo": "skip",
    }
