"""The look of all figures: colours of stages and themes, marks, axes, layouts, and what a figure is.

Colours and marks are written as roles (`@series`), which the page fills in for its theme and for the place,
first or second, that a reader gives a checkpoint. The dynamics figure alone is drawn once a theme, since its
colours are mixed.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from overmem.formatting import visible
from overmem.stats.arrays import FloatArray

Trace = dict[str, Any]
Values = Sequence[float] | FloatArray

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"
STAGE_COLOURS: dict[str, str] = {  # Okabe and Ito's colour-blind safe set
    "learning": "#56B4E9",
    "fit": "#009E73",
    "over-memorized": "#E69F00",
    "overfit": "#D55E00",
    "unstable": "#CC79A7",
    "undetermined": "#8A8F98",
}
STAGE_CODES: dict[str, str] = {  # stand in the strip where the name does not fit
    "learning": "L",
    "fit": "F",
    "over-memorized": "OM",
    "overfit": "OF",
    "unstable": "U",
    "undetermined": "?",
}
MARKER = {"color": "@series", "size": 7, "symbol": "@symbol"}
"""A point of a checkpoint's series."""
SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "star")
"""Of several series in one figure, in turn."""
DASHES = ("solid", "dash", "dot", "dashdot")
OUTCOME_MARKS = {"worse": ("@worse", "diamond"), "better": ("@better", "circle")}
"""Colour and symbol of a clear difference."""
UNCLEAR_MARK = ("@muted", "circle-open")


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A plotly figure whose traces depend on which checkpoints are looked at."""

    layout: Mapping[str, Any]
    compact: Mapping[str, Any] = field(default_factory=dict)
    """What a narrow screen changes in the layout."""
    base: tuple[Trace, ...] = ()
    """Traces that are always there."""
    series: Mapping[str, tuple[Trace, ...]] = field(default_factory=dict)
    """Traces of each checkpoint."""


@dataclass(frozen=True, kw_only=True)
class Theme:
    """Colours of the page that the figure sits on."""

    ink: str
    muted: str
    grid: str
    paper: str
    accuracy: str
    perplexity: str
    band_opacity: float
    first: str
    """Of the checkpoint that a reader looks at first, and so on; told apart by dash and mark as well."""
    second: str
    worse: str
    better: str

    def roles(self) -> dict[str, dict[str, str]]:
        """What stands for each role of an exhibit's figure: for all traces, and for each place."""
        shared = {
            "@ink": self.ink,
            "@muted": self.muted,
            "@grid": self.grid,
            "@paper": self.paper,
            "@worse": self.worse,
            "@better": self.better,
        }
        return {
            "all": shared,
            "first": _place("first", self.first, dash="solid", symbol="circle", pattern=""),
            "second": _place("second", self.second, dash="7px,4px", symbol="diamond", pattern="/"),
        }


LIGHT = Theme(
    ink="#1d2127",
    muted="#5b6470",
    grid="rgba(29,33,39,0.10)",
    paper="#ffffff",
    accuracy="#0b5cad",
    perplexity="#8a2f6b",
    band_opacity=0.16,
    first="#0b5cad",
    second="#b4500b",
    worse="#b4410a",
    better="#00795a",
)
DARK = Theme(
    ink="#e8eaed",
    muted="#a4acb7",
    grid="rgba(232,234,237,0.12)",
    paper="#191c21",
    accuracy="#7db8f5",
    perplexity="#ef9ad0",
    band_opacity=0.20,
    first="#7db8f5",
    second="#f2a65a",
    worse="#f2925c",
    better="#3fc79a",
)


def rgba(colour: str, opacity: float) -> str:
    """A `#rrggbb` colour with an opacity."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity:g})"


def _place(role: str, colour: str, **marks: str) -> dict[str, str]:
    found = {"@role": role, "@series": colour, "@fill": rgba(colour, 0.18)}
    return found | {f"@{name}": mark for name, mark in marks.items()}


def rounded(values: Values, digits: int = 5) -> list[float | None]:
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
    """A layout of one panel in the page's style, its colours as roles."""
    return {
        "height": height,
        "margin": {"l": 58, "r": 16, "t": 10, "b": 48},
        **page_style("@ink", "@muted", "@paper"),
        "xaxis": dict(x),
        "yaxis": dict(y),
        **more,
    }


def page_style(ink: str, muted: str, paper: str) -> dict[str, Any]:
    """What the layouts of all figures share: the page shows through, its font, hover labels, no tools."""
    font = {"family": FONT, "size": 13, "color": ink}
    return {
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": font,
        "hoverlabel": {"bgcolor": paper, "bordercolor": muted, "font": font, "align": "left"},
        "showlegend": False,
        "hovermode": "closest",
        "dragmode": False,
    }


def error_bars(values: Values, lows: Values, highs: Values, **style: Any) -> dict[str, Any]:
    """Intervals around values, as plotly takes them."""
    above = [high - value for value, high in zip(values, highs, strict=True)]
    below = [value - low for value, low in zip(values, lows, strict=True)]
    ends = {"array": rounded(above), "arrayminus": rounded(below)}
    return {"type": "data", "symmetric": False, **ends, **style}


def plotly_text(text: object) -> str:
    """Text for a label of plotly, which reads a little HTML: tags and entities escaped, quotes not."""
    return html.escape(visible(str(text)), quote=False)


def mark(symbol: str, size: float, colour: str, edge: str, width: float = 1.5) -> dict[str, Any]:
    """A marker with an edge."""
    return {"symbol": symbol, "size": size, "color": colour, "line": {"width": width, "color": edge}}


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
