"""Onset against learning rate: how many epochs each rate leaves before a run over-memorizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from overmem.reporting.escaping import plotly_text
from overmem.reporting.exhibits.kinds import Figure, Trace
from overmem.reporting.figures.theme import axis, layout
from overmem.sweeping.page.view import LEARNING_RATE, onset_text, ordered_groups, setting_text

Record = Mapping[str, Any]
SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "star")
DASHES = ("solid", "dash", "dot", "dashdot")


def onset_figure(family: Record) -> Figure | None:
    """Points with 95% intervals over learning rate, or over configuration.

    Args:
        family: of an `overmem.sweep/1` record.

    Returns:
        The figure; None where no configuration has an onset in epochs.
    """
    groups = [group for group in ordered_groups(family) if group["onset_epoch"] is not None]
    if not groups:
        return None
    by_rate = all(_rate(group) is not None for group in groups)
    series: dict[str, list[Record]] = {}
    for group in groups:
        rest = {key: value for key, value in group["settings"].items() if key != LEARNING_RATE}
        series.setdefault(setting_text(rest) if by_rate and rest else "", []).append(group)
    traces = tuple(_trace(name, members, i, by_rate) for i, (name, members) in enumerate(series.items()))
    x = axis("learning rate", type="log", **_ticks(groups)) if by_rate else axis("", type="category")
    top = max(group["onset_epoch_high"] for group in groups)
    legend = {"showlegend": True, "legend": {"orientation": "h", "y": 1.12}} if len(series) > 1 else {}
    return Figure(
        layout=layout(x, axis("onset, epochs", range=[0, 1.12 * top]), height=360, **legend), base=traces
    )


def _trace(name: str, groups: Sequence[Record], number: int, by_rate: bool) -> Trace:
    onset = [group["onset_epoch"] for group in groups]
    return {
        "type": "scatter",
        "mode": "lines+markers" if by_rate else "markers",
        "name": plotly_text(name),
        "x": [_rate(g) if by_rate else plotly_text(setting_text(g["settings"])) for g in groups],
        "y": onset,
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": [g["onset_epoch_high"] - y for g, y in zip(groups, onset, strict=True)],
            "arrayminus": [y - g["onset_epoch_low"] for g, y in zip(groups, onset, strict=True)],
            "color": "@ink",
            "thickness": 1.5,
            "width": 5,
        },
        "line": {"color": "@worse", "width": 2, "dash": DASHES[number % len(DASHES)]},
        "marker": {"color": "@worse", "size": 9, "symbol": SYMBOLS[number % len(SYMBOLS)]},
        "hovertext": [f"<b>{plotly_text(g['name'])}</b><br>onset: {onset_text(g)}" for g in groups],
        "hoverinfo": "text",
    }


def _ticks(groups: Sequence[Record]) -> dict[str, Any]:
    rates = sorted({rate for group in groups if (rate := _rate(group)) is not None})
    return {"tickvals": rates, "ticktext": [f"{rate:g}" for rate in rates]}


def _rate(group: Record) -> float | None:
    rate = group["settings"].get(LEARNING_RATE)
    return float(rate) if isinstance(rate, int | float) and rate > 0 else None
