"""Onset against learning rate: how many epochs each rate leaves before a run over-memorizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from overmem.reporting.figures.theme import (
    DASHES,
    SYMBOLS,
    Figure,
    Trace,
    axis,
    error_bars,
    layout,
    plotly_text,
)
from overmem.sweeping.page.view import LEARNING_RATE, onset_text, ordered_groups, setting_text
from overmem.sweeping.record import Family, Group


@dataclass(frozen=True, kw_only=True)
class _Onset:
    """The onset of one configuration, in epochs."""

    group: Group
    epoch: float
    low: float
    high: float
    rate: float | None
    """Its learning rate; None where it sets none."""


def onset_figure(family: Family) -> Figure | None:
    """Points with 95% intervals over learning rate, or over configuration.

    Args:
        family: points that can be compared.

    Returns:
        The figure; None where no configuration has an onset in epochs.
    """
    onsets = [found for group in ordered_groups(family) if (found := _onset(group)) is not None]
    if not onsets:
        return None
    by_rate = all(onset.rate is not None for onset in onsets)
    series: dict[str, list[_Onset]] = {}
    for onset in onsets:
        rest = {key: value for key, value in onset.group.settings.items() if key != LEARNING_RATE}
        series.setdefault(setting_text(rest) if by_rate and rest else "", []).append(onset)
    traces = tuple(_trace(name, members, i, by_rate) for i, (name, members) in enumerate(series.items()))
    x = axis("learning rate", type="log", **_ticks(onsets)) if by_rate else axis("", type="category")
    y = axis("onset, epochs", range=[0, 1.12 * max(onset.high for onset in onsets)])
    legend = {"showlegend": True, "legend": {"orientation": "h", "y": 1.12}} if len(series) > 1 else {}
    return Figure(layout=layout(x, y, height=360, **legend), base=traces)


def _onset(group: Group) -> _Onset | None:
    epoch, low, high = group.onset_epoch, group.onset_epoch_low, group.onset_epoch_high
    if epoch is None or low is None or high is None:
        return None
    rate = group.settings.get(LEARNING_RATE)
    known = float(rate) if isinstance(rate, int | float) and rate > 0 else None
    return _Onset(group=group, epoch=epoch, low=low, high=high, rate=known)


def _trace(name: str, onsets: Sequence[_Onset], number: int, by_rate: bool) -> Trace:
    epochs = [onset.epoch for onset in onsets]
    lows, highs = [onset.low for onset in onsets], [onset.high for onset in onsets]
    return {
        "type": "scatter",
        "mode": "lines+markers" if by_rate else "markers",
        "name": plotly_text(name),
        "x": [o.rate if by_rate else plotly_text(setting_text(o.group.settings)) for o in onsets],
        "y": epochs,
        "error_y": error_bars(epochs, lows, highs, color="@ink", thickness=1.5, width=5),
        "line": {"color": "@worse", "width": 2, "dash": DASHES[number % len(DASHES)]},
        "marker": {"color": "@worse", "size": 9, "symbol": SYMBOLS[number % len(SYMBOLS)]},
        "hovertext": [f"<b>{plotly_text(o.group.name)}</b><br>onset: {onset_text(o.group)}" for o in onsets],
        "hoverinfo": "text",
    }


def _ticks(onsets: Sequence[_Onset]) -> Mapping[str, Any]:
    rates = sorted({onset.rate for onset in onsets if onset.rate is not None})
    return {"tickvals": rates, "ticktext": [f"{rate:g}" for rate in rates]}
