"""The dynamics figure: accuracy and perplexity by step, as a plotly figure in plain dicts.

Two panels share the step axis (a second y axis in one panel would invite reading crossings that mean
nothing). The stage of each checkpoint is the background, named in a strip above the panels. Text that
comes from the record is escaped, since plotly reads a little HTML in labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from overmem.formatting import DASH, accuracy_text, confidence_text, estimate_text, stage_text
from overmem.records import CheckpointSummary, Verdict, finite_or_none
from overmem.reporting.figures.curves import Band, Panel, finite_ends, stage_bands
from overmem.reporting.figures.layout import STRIP_AXIS, figure_layout
from overmem.reporting.figures.theme import DARK, LIGHT, STAGE_COLOURS, Theme, Trace, mark, plotly_text, rgba

Record = Mapping[str, Any]


def figure_variants(verdict: Verdict) -> dict[str, Record]:
    """Build the figure for both themes, each wide and compact (for a phone).

    Args:
        verdict: with at least one checkpoint.

    Returns:
        Plotly figures (`data` and `layout`) under `light-wide`, `light-compact`, `dark-wide` and
        `dark-compact`.
    """
    return {
        f"{name}-{'compact' if compact else 'wide'}": dynamics_figure(verdict, theme, compact=compact)
        for name, theme in (("light", LIGHT), ("dark", DARK))
        for compact in (False, True)
    }


def dynamics_figure(verdict: Verdict, theme: Theme, *, compact: bool) -> Record:
    """Draw accuracy and perplexity by step over the stages.

    Args:
        verdict: with at least one checkpoint.
        theme: colours.
        compact: for a narrow screen: stage codes in place of names, shorter labels.

    Returns:
        A plotly figure as plain dicts, ready for JSON.
    """
    checkpoints = verdict.checkpoints
    bands = stage_bands(checkpoints)
    panels = (
        Panel(verdict, "accuracy", "y", theme.accuracy),
        Panel(verdict, "perplexity", "y2", theme.perplexity),
    )
    data: list[Trace] = []
    for panel in panels:
        data += [_band_trace(band, panel.axis, panel.floor, panel.ceiling, theme) for band in bands]
    data += [_band_trace(band, STRIP_AXIS, 0.0, 1.0, theme, solid=True) for band in bands]
    for panel in panels:
        data += _panel_traces(panel, theme)
    return {"data": data, "layout": figure_layout(verdict, panels, bands, theme, compact)}


# Traces.


def _band_trace(
    band: Band, axis: str, floor: float, ceiling: float, theme: Theme, *, solid: bool = False
) -> Trace:
    colour = STAGE_COLOURS.get(band.stage, STAGE_COLOURS["undetermined"])
    opacity = 0.85 if solid else theme.band_opacity
    trace: Trace = {
        "type": "scatter",
        "mode": "lines",
        "x": [band.start, band.end, band.end, band.start],
        "y": [floor, floor, ceiling, ceiling],
        "yaxis": axis,
        "fill": "toself",
        "fillcolor": rgba(colour, opacity),
        "line": {"width": 0},
        "hoverinfo": "skip",
    }
    if band.stage == "undetermined":
        hatch = STAGE_COLOURS.get(band.leaning or "", colour)
        trace["fillpattern"] = {
            "shape": "/",
            "size": 7 if solid else 14,
            "solidity": 0.35 if solid else 0.13,
            "fgcolor": rgba(hatch, 0.9 if solid else 0.45),
            "bgcolor": rgba(colour, 0.25 if solid else 0.10),
        }
    return trace


def _panel_traces(panel: Panel, theme: Theme) -> list[Trace]:
    if not panel.measured:
        return []
    traces = [_interval_trace(panel, run) for run in _runs_with_interval(panel)]
    if panel.train:
        traces.append(_train_trace(panel, theme))
    traces.append(_line_trace(panel, theme))
    traces += _marker_traces(panel, theme)
    return traces


def _runs_with_interval(panel: Panel) -> list[list[int]]:
    runs: list[list[int]] = []
    for i, estimate in enumerate(panel.estimates):
        if len(finite_ends(estimate)) < 3:
            continue
        if runs and runs[-1][-1] == i - 1:
            runs[-1].append(i)
        else:
            runs.append([i])
    return runs


def _interval_trace(panel: Panel, run: Sequence[int]) -> Trace:
    """The 95% interval of neighbours as a band; of a lone checkpoint as a bar."""
    steps = [panel.steps[i] for i in run]
    highs, lows = [panel.estimates[i].high for i in run], [panel.estimates[i].low for i in run]
    alone = len(run) == 1
    return {
        "type": "scatter",
        "mode": "lines",
        "x": steps + steps[::-1],
        "y": highs + lows[::-1],
        "yaxis": panel.axis,
        "fill": "none" if alone else "toself",
        "fillcolor": rgba(panel.colour, 0.22),
        "line": {"width": 2 if alone else 0, "color": panel.colour},
        "hoverinfo": "skip",
    }


def _train_trace(panel: Panel, theme: Theme) -> Trace:
    return {
        "type": "scatter",
        "mode": "lines",
        "x": panel.steps,
        "y": [finite_or_none(value) for value in panel.train],
        "yaxis": panel.axis,
        "line": {"color": theme.muted, "width": 1.5, "dash": "dot"},
        "hoverinfo": "skip",
    }


def _line_trace(panel: Panel, theme: Theme) -> Trace:
    values = [finite_or_none(estimate.value) for estimate in panel.estimates]
    size = 7 if len(values) <= 24 else 4
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": panel.measure,
        "x": panel.steps,
        "y": values,
        "yaxis": panel.axis,
        "line": {"color": panel.colour, "width": 2.5},
        "marker": mark("circle", size, panel.colour, theme.paper, 1),
        "hovertext": [_hover_text(summary) for summary in panel.checkpoints],
        "hoverinfo": "text",
    }


def _marker_traces(panel: Panel, theme: Theme) -> list[Trace]:
    """The recommended checkpoint, and the one that this panel's measure alone would have picked."""
    traces, naive = [], panel.naive
    recommended = panel.verdict.recommended
    chosen = panel.position(recommended.name if recommended is not None else None)
    if naive is not None:
        traces.append(_marker(panel, naive, mark("circle-open", 17, theme.ink, theme.ink)))
    if chosen is not None:
        traces.append(_marker(panel, chosen, mark("star", 16, theme.ink, theme.paper)))
    return traces


def _marker(panel: Panel, position: int, style: Record) -> Trace:
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [panel.steps[position]],
        "y": [panel.estimates[position].value],
        "yaxis": panel.axis,
        "marker": dict(style),
        "hoverinfo": "skip",
        "cliponaxis": False,
    }


def _hover_text(found: CheckpointSummary) -> str:
    sure = confidence_text(found.confidence)
    stage = plotly_text(stage_text(found.stage, found.leaning))
    lines = [
        f"<b>{plotly_text(found.name)}</b>",
        f"step {found.step}" + (f", epoch {found.epoch:g}" if found.epoch is not None else ""),
        stage + (f" ({sure})" if sure != "none" else ""),
        f"accuracy {accuracy_text(found.accuracy, DASH)}",
        f"perplexity {estimate_text(found.perplexity, to=DASH)}",
    ]
    return "<br>".join(lines)
