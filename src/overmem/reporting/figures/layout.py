"""Axes, labels and lines of the dynamics figure; `dynamics` has the data that they frame."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from overmem.formatting import MINUS, TIMES
from overmem.records import Recommendation, Verdict
from overmem.reporting.figures.curves import Band, Panel
from overmem.reporting.figures.theme import STAGE_CODES, Theme, page_style, plotly_text, rgba

Record = Mapping[str, Any]

STRIP_AXIS = "y3"
_TOP = 0.885
_GAP = 0.085
_EMPTY_SHARE = 0.09
"""Height of a panel without figures, which only says why."""
_STRIP_DOMAIN = (0.955, 1.0)


def figure_layout(
    verdict: Verdict, panels: Sequence[Panel], bands: Sequence[Band], theme: Theme, compact: bool
) -> Record:
    """Frame the panels: axes, stage names, limits of the rule, the checkpoint to ship."""
    accuracy, perplexity = panels
    domains = _domains(panels)
    chosen = verdict.recommended
    annotations = [
        *_titles(panels, domains, theme, compact),
        *_strip_labels(bands, compact),
        *_limit_labels(panels, theme, compact),
    ]
    annotations += [
        _empty_label(panel, domain, theme, compact)
        for panel, domain in zip(panels, domains, strict=True)
        if not panel.measured
    ]
    annotations += [_naive_label(panel, theme, compact) for panel in panels if panel.naive is not None]
    shapes = [_limit_line(panel, theme) for panel in panels if panel.threshold is not None]
    if chosen is not None:
        annotations.append(_ship_label(chosen, bands, theme, compact))
        shapes.append(_ship_line(chosen, theme))
    return {
        "height": 430 if compact else 500,
        "margin": {"l": 46 if compact else 62, "r": 46 if compact else 104, "t": 30, "b": 42},
        **page_style(theme.ink, theme.muted, theme.paper),
        "xaxis": {
            "range": [bands[0].start, bands[-1].end],
            "title": {"text": "optimizer step", "standoff": 8},
            "anchor": "y2",
            "fixedrange": True,
            "showgrid": False,
            "zeroline": False,
            "nticks": 5 if compact else 10,
            "tickcolor": theme.muted,
            "ticks": "outside",
        },
        "yaxis": _y_axis(accuracy, domains[0], theme) | {"tickformat": ".0%"},
        "yaxis2": _y_axis(perplexity, domains[1], theme),
        "yaxis3": {"domain": list(_STRIP_DOMAIN), "range": [0, 1], "visible": False, "fixedrange": True},
        "annotations": annotations,
        "shapes": shapes,
    }


def _y_axis(panel: Panel, domain: tuple[float, float], theme: Theme) -> dict[str, Any]:
    ends = (panel.floor, panel.ceiling)
    return {
        "domain": list(domain),
        "range": [math.log10(end) for end in ends] if panel.log else list(ends),
        "type": "log" if panel.log else "linear",
        **({"tickvals": _log_ticks(*ends)} if panel.log else {"nticks": 6}),
        "visible": bool(panel.measured),
        "gridcolor": theme.grid,
        "zeroline": False,
        "fixedrange": True,
    }


def _log_ticks(low: float, high: float) -> list[float]:
    """Round values in the range: 1, 2, 5 and their powers of ten, more of them in a narrow range."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1, 2, 5), (1, 1.5, 2, 3, 5, 7)):
        ticks = [
            step * 10.0**power for power in powers for step in steps if low <= step * 10.0**power <= high
        ]
        if len(ticks) >= 4:
            break
    return ticks


def _paper(x: float, y: float, text: str, **more: Any) -> Record:
    place = {"xref": "paper", "yref": "paper", "x": x, "y": y, "showarrow": False}
    return {**place, "text": text, "xanchor": "left", "yanchor": "bottom", **more}


def _titles(
    panels: Sequence[Panel], domains: Sequence[tuple[float, float]], theme: Theme, compact: bool
) -> list[Record]:
    hints = (
        "share of problems right",
        "how unlikely the reference solutions are" + (", log scale" if panels[1].log else ""),
    )
    out = []
    for panel, domain, name, hint in zip(panels, domains, ("Accuracy", "Perplexity"), hints, strict=True):
        arrow = "higher is better" if panel.measure == "accuracy" else "lower is better"
        if panel.measure == "perplexity" and panel.train:
            hint += "; dotted: on train"
        if panel.off_scale:
            arrow += f"; off the scale: {_off_scale_text(panel, compact)}"
        tail = arrow if compact else f"{hint}; {arrow}"
        text = f"<b>{name}</b> <span style='color:{theme.muted}'>{tail}</span>"
        out.append(
            _paper(
                0, domain[1], text, font={"size": 13, "color": panel.colour}, yshift=3, bgcolor=theme.paper
            )
        )
    return out


def _off_scale_text(panel: Panel, compact: bool) -> str:
    values = [panel.estimates[i].value for i in panel.off_scale]
    if compact:
        return f"{max(values):.3g}"
    where = f"step {panel.steps[panel.off_scale[-1]]}"
    return f"{max(values):.3g} at {where}" if len(values) == 1 else f"up to {max(values):.3g}, until {where}"


def _strip_labels(bands: Sequence[Band], compact: bool) -> list[Record]:
    """Name each stage in the strip: in full where it fits, else by its code."""
    span, width = bands[-1].end - bands[0].start, 270.0 if compact else 670.0
    labels: list[Record] = []
    for band in bands:
        room = width * (band.end - band.start) / span
        code = STAGE_CODES.get(band.stage, "?")
        texts = [band.stage, code]
        if band.leaning:
            lean = f"leans {band.leaning}"
            texts = [f"{band.stage}, {lean}", lean, f"{STAGE_CODES.get(band.leaning, '')}?", code]
        text = next((text for text in texts if 7.2 * len(text) + 6 <= room), "")
        labels.append(
            {
                "x": (band.start + band.end) / 2,
                "y": sum(_STRIP_DOMAIN) / 2,
                "xref": "x",
                "yref": "paper",
                "text": f"<b>{plotly_text(text)}</b>",
                "xanchor": "center",
                "yanchor": "middle",
                "showarrow": False,
                "font": {"size": 12, "color": "#14171b"},
                **(
                    {"bgcolor": "rgba(255,255,255,0.72)", "borderpad": 1}
                    if band.stage == "undetermined" and text
                    else {}
                ),
            }
        )
    return labels


def _limit_labels(panels: Sequence[Panel], theme: Theme, compact: bool) -> list[Record]:
    limits = panels[0].verdict.thresholds
    labels = []
    for panel in panels:
        if panel.threshold is None:
            continue
        if panel.measure == "accuracy":
            points = f"{100 * limits['accuracy_margin']:.3g} pts"
            text = f"{MINUS}{points}" if compact else f"peak {MINUS} {points}"
        else:
            text = (
                f"{TIMES}{limits['perplexity_ratio']:.2f}"
                if compact
                else f"lowest {TIMES} {limits['perplexity_ratio']:.2f}"
            )
        y = math.log10(panel.threshold) if panel.log else panel.threshold
        labels.append(
            _paper(
                1,
                y,
                text,
                yref=panel.axis,
                yanchor="middle",
                xshift=5,
                font={"size": 11.5, "color": theme.muted},
            )
        )
    return labels


def _limit_line(panel: Panel, theme: Theme) -> Record:
    line = {"color": theme.muted, "width": 1.5, "dash": "dash"}
    ends = {"x0": 0, "x1": 1, "y0": panel.threshold, "y1": panel.threshold}
    return {"type": "line", "xref": "paper", "yref": panel.axis, **ends, "line": line}


def _ship_line(chosen: Recommendation, theme: Theme) -> Record:
    ends = {"x0": chosen.step, "x1": chosen.step, "y0": 0, "y1": _STRIP_DOMAIN[0]}
    return {"type": "line", "xref": "x", "yref": "paper", **ends, "line": {"color": theme.ink, "width": 1.5}}


def _ship_label(chosen: Recommendation, bands: Sequence[Band], theme: Theme, compact: bool) -> Record:
    share = (chosen.step - bands[0].start) / (bands[-1].end - bands[0].start)
    anchor = "left" if share < 0.3 else "right" if share > 0.7 else "center"
    name = chosen.name
    limit = 26 if compact else 60
    name = name if len(name) <= limit else name[: limit - 1] + "…"
    text = f"<b>★ {plotly_text(name)}</b>"
    return _paper(
        chosen.step, 1.0, text, xref="x", xanchor=anchor, font={"size": 13.5, "color": theme.ink}, yshift=2
    )


def _naive_label(panel: Panel, theme: Theme, compact: bool) -> Record:
    i = panel.naive or 0
    share = (panel.steps[i] - panel.steps[0]) / ((panel.steps[-1] - panel.steps[0]) or 1)
    above = panel.measure == "accuracy"
    value = panel.estimates[i].value
    if compact and (value - panel.floor) > 0.7 * (panel.ceiling - panel.floor):
        above = False  # the panel's title is there
    unsaved = panel.verdict.evidence == "logged" and i != panel.best  # the best was not kept
    return _paper(
        panel.steps[i],
        math.log10(value) if panel.log else value,
        ("highest accuracy" if panel.measure == "accuracy" else "lowest perplexity")
        + (" on disk" if unsaved else ""),
        xref="x",
        yref=panel.axis,
        xanchor="left" if share < 0.15 else "right" if share > 0.85 else "center",
        yanchor="bottom" if above else "top",
        yshift=11 if above else -11,
        font={"size": 11.5, "color": theme.ink},
        bgcolor=rgba(theme.paper, 0.65),
        borderpad=1,
    )


def _domains(panels: Sequence[Panel]) -> tuple[tuple[float, float], tuple[float, float]]:
    """Heights of the accuracy and perplexity panels; one without figures leaves its room to the other."""
    room = _TOP - _GAP
    accuracy, perplexity = panels
    if bool(accuracy.measured) == bool(perplexity.measured):
        share = room * 0.475
    else:
        share = room - _EMPTY_SHARE if accuracy.measured else _EMPTY_SHARE
    return (_TOP - share, _TOP), (0.0, _TOP - share - _GAP)


def _empty_label(panel: Panel, domain: tuple[float, float], theme: Theme, compact: bool) -> Record:
    reason = next((e.reason for e in panel.estimates if e.reason), None) or "no reason was recorded"
    text = f"<b>no {panel.measure}</b><br>{plotly_text(_wrapped(reason, 40 if compact else 80))}"
    text = text.replace("\n", "<br>")
    font, paper = {"color": theme.ink}, rgba(theme.paper, 0.65)
    return _paper(0.5, sum(domain) / 2, text, xanchor="center", yanchor="middle", font=font, bgcolor=paper)


def _wrapped(text: str, width: int) -> str:
    lines, line = [], ""
    for word in text.split():
        if line and len(line) + len(word) >= width:
            lines.append(line)
            line = ""
        line = f"{line} {word}".strip()
    return "\n".join([*lines, line])
