"""The notebook's figure: whole SVG, a point for each checkpoint, nothing that runs, foreign names escaped."""

import dataclasses
import math
import xml.etree.ElementTree as ET

from overmem.records import Estimate
from overmem.reporting.figures.inline import dynamics_svg
from tests.verdict.test_gate import memorized  # noqa: F401

NAMESPACE = {"s": "http://www.w3.org/2000/svg"}


def test_both_curves_are_drawn_point_by_point_with_the_shipped_one_larger(memorized):  # noqa: F811
    svg = ET.fromstring(dynamics_svg(memorized))
    circles = svg.findall("s:circle", NAMESPACE)
    assert len(circles) == 2 * len(memorized.checkpoints)
    large = [circle for circle in circles if circle.get("r") == "5"]
    assert [circle.find("s:title", NAMESPACE).text.split(":")[0] for circle in large] == (
        [memorized.recommended.name] * 2
    )
    assert len(svg.findall("s:polyline", NAMESPACE)) == 2
    heights = [float(circle.get("cy")) for circle in circles[: len(memorized.checkpoints)]]
    values = [found.accuracy.value for found in memorized.checkpoints]
    assert sorted(range(len(values)), key=lambda i: -values[i])[0] == heights.index(min(heights))


def test_hostile_names_are_escaped_and_undefined_figures_left_out(memorized):  # noqa: F811
    nothing = Estimate(math.nan, math.nan, math.nan, 0, "not measured")
    first = dataclasses.replace(memorized.checkpoints[0], name="<script>alert(1)</script>", accuracy=nothing)
    svg = dynamics_svg(dataclasses.replace(memorized, checkpoints=(first, *memorized.checkpoints[1:])))
    assert "<script" not in svg and "&lt;script&gt;" in svg and "nan" not in svg
    assert len(ET.fromstring(svg).findall("s:circle", NAMESPACE)) == 2 * len(memorized.checkpoints) - 1


def test_without_any_figure_nothing_is_drawn(memorized):  # noqa: F811
    nothing = Estimate(math.nan, math.nan, math.nan, 0, "not measured")
    blank = [dataclasses.replace(c, accuracy=nothing, perplexity=nothing) for c in memorized.checkpoints]
    assert dynamics_svg(dataclasses.replace(memorized, checkpoints=tuple(blank))) == ""
