"""Accuracy and perplexity by step over the stages as plain SVG, for notebooks and whatever runs no script.

It draws what the page's figure draws (`dynamics`), smaller; text takes the colour of its surroundings.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from markupsafe import Markup

from overmem.formatting import number, percent
from overmem.records import Estimate, Verdict
from overmem.reporting.figures.curves import Band, finite_ends, measured, stage_bands
from overmem.reporting.figures.theme import STAGE_COLOURS

WIDTH, PANEL, GAP, LEFT, TOP = 640, 120, 26, 56, 22
"""Pixels: of the figure, a panel's height, between panels, left of them and above."""
_LINES = {"accuracy": "#0072B2", "perplexity": "#B3391F"}


def dynamics_svg(verdict: Verdict) -> Markup:
    """Draw a verdict's curves; empty where no checkpoint has a figure.

    Args:
        verdict: with its checkpoints in order.
    """
    shown = {
        name: [measured(found, name) for found in verdict.checkpoints]
        for name in _LINES
        if any(math.isfinite(measured(found, name).value) for found in verdict.checkpoints)
    }
    if not shown:
        return Markup("")
    bands = stage_bands(verdict.checkpoints)
    first, last = bands[0].start, bands[-1].end

    def across(step: float) -> float:
        return LEFT + (step - first) / (last - first) * (WIDTH - LEFT - 8)

    parts = [
        _panel(verdict, name, estimates, bands, across, TOP + i * (PANEL + GAP))
        for i, (name, estimates) in enumerate(shown.items())
    ]
    height = TOP + len(shown) * (PANEL + GAP) + 2
    said = f"{' and '.join(shown)} by training step, over the stages of the checkpoints"
    return Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {} {}" width="{}" role="img" '
        'style="max-width:100%;font:11px system-ui,sans-serif"><title>{}</title>{}</svg>'
    ).format(WIDTH, height, WIDTH, said, Markup("").join(parts))


def _panel(
    verdict: Verdict,
    name: str,
    estimates: Sequence[Estimate],
    bands: Sequence[Band],
    across: Callable[[float], float],
    top: float,
) -> Markup:
    """One measure over the bands, with its 95% intervals and the checkpoint to ship."""
    ends = [end for estimate in estimates for end in finite_ends(estimate)]
    low, high = min(ends), max(ends)
    span = (high - low) or abs(high) or 1.0

    def down(value: float) -> float:
        return top + PANEL - 6 - (value - low) / span * (PANEL - 12)

    text: Callable[[float], str] = percent if name == "accuracy" else number
    colour, steps = _LINES[name], [found.step for found in verdict.checkpoints]
    parts = [_band(band, across, top) for band in bands]
    places = [(across(step), e) for step, e in zip(steps, estimates, strict=True) if math.isfinite(e.value)]
    for x, estimate in places:
        if math.isfinite(estimate.low) and math.isfinite(estimate.high):
            line = '<line x1="{0:.1f}" x2="{0:.1f}" y1="{1:.1f}" y2="{2:.1f}" stroke="{3}" opacity="0.5"/>'
            parts.append(Markup(line).format(x, down(estimate.low), down(estimate.high), colour))
    points = " ".join(f"{x:.1f},{down(estimate.value):.1f}" for x, estimate in places)
    curve = Markup('<polyline points="{}" fill="none" stroke="{}" stroke-width="2"/>')
    parts.append(curve.format(points, colour))
    shipped = verdict.recommended.name if verdict.recommended is not None else None
    for found, estimate in zip(verdict.checkpoints, estimates, strict=True):
        if math.isfinite(estimate.value):
            about = f"{found.name}: {name} {text(estimate.value)}, {found.stage}"
            radius = 5 if found.name == shipped else 2.5
            dot = Markup('<circle cx="{:.1f}" cy="{:.1f}" r="{}" fill="{}"><title>{}</title></circle>')
            parts.append(dot.format(across(found.step), down(estimate.value), radius, colour, about))
    label = Markup('<text x="{}" y="{:.1f}" text-anchor="{}" fill="currentColor">{}</text>')
    parts += [label.format(LEFT - 4, down(value) + 4, "end", text(value)) for value in {low, high}]
    said = name if shipped is None else f"{name}; the large point is the checkpoint to ship, {shipped}"
    parts.append(label.format(LEFT, top - 6, "start", said))
    return Markup("").join(parts)


def _band(band: Band, across: Callable[[float], float], top: float) -> Markup:
    x, end = across(band.start), across(band.end)
    stage = band.stage if band.leaning is None else f"{band.stage}, leaning {band.leaning}"
    return Markup(
        '<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{}" fill="{}" fill-opacity="0.25">'
        "<title>{}</title></rect>"
    ).format(x, top, end - x, PANEL, STAGE_COLOURS.get(band.stage, STAGE_COLOURS["undetermined"]), stage)
