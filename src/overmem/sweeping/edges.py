"""The margin of a recommendation: grid steps to the nearest point that is not fit, on each side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from overmem.sweeping.record import Edge, Group, Point

EPOCH = "epoch"
NO_RESULT = "without a result"
"""Stands for the stage of a configuration that failed: it may well lie past the edge."""


def find_edges(
    chosen: Point,
    points: Sequence[Point],
    groups: Sequence[Group],
    absent: Mapping[str, Mapping[str, Any]] | None = None,
) -> tuple[Edge, ...]:
    """Walk from a point along every dimension that has an order, both ways, to where the fit region ends.

    Along a key of the recipe the other settings and the epoch stay what they are; along the epochs the
    configuration does.

    Args:
        chosen: where to start; its own stage does not count.
        points: of the family.
        groups: its configurations.
        absent: settings of those that were asked for and have no result, by name; the fit region is not
            known to reach past them.

    Returns:
        Two edges a dimension, down and up; none for a dimension with one value.
    """
    here = next(group for group in groups if group.name == chosen.group)
    settings = {group.name: group.settings for group in groups} | dict(absent or {})
    lines = {key: _along(key, here, settings, points, chosen) for key in here.settings}
    lines[EPOCH] = [*(point for point in points if point.group == chosen.group)]
    return tuple(
        _edge(key, line, line.index(chosen), upward)
        for key, line in lines.items()
        if len(line) > 1
        for upward in (False, True)
    )


def _along(
    key: str, here: Group, settings: Mapping[str, Mapping[str, Any]], points: Sequence[Point], chosen: Point
) -> list[Point | str]:
    """Points that differ from the chosen one by one setting, in its order; it alone where that has none.

    A configuration without any point is there by its name.
    """
    others = {name: value for name, value in here.settings.items() if name != key}
    same = {
        name: values[key]
        for name, values in settings.items()
        if {other: value for other, value in values.items() if other != key} == others
    }
    if not all(_is_number(value) for value in same.values()):
        return [chosen]
    measured = {point.group for point in points}
    at: list[Point | str | None] = [
        next((p for p in points if p.group == name and _same_place(p, chosen)), None)
        if name in measured
        else name
        for name in sorted(same, key=lambda name: float(same[name]))
    ]
    # The grid ends where a configuration has no checkpoint at this epoch.
    start = at.index(chosen)
    line: list[Point | str] = [chosen]
    for point in at[start + 1 :]:
        if point is None:
            break
        line.append(point)
    for point in reversed(at[:start]):
        if point is None:
            break
        line.insert(0, point)
    return line


def _edge(key: str, line: Sequence[Point | str], start: int, upward: bool) -> Edge:
    way = line[start + 1 :] if upward else line[:start][::-1]
    for steps, point in enumerate(way, start=1):
        if isinstance(point, str):
            return Edge(key=key, upward=upward, steps=steps, to=point, stage=NO_RESULT)
        if point.likely != "fit":
            return Edge(key=key, upward=upward, steps=steps, to=point.label, stage=point.likely)
    return Edge(key=key, upward=upward, steps=len(way), to=None)


def _same_place(point: Point, other: Point) -> bool:
    if point.epoch is None or other.epoch is None:
        return point.step == other.step
    return abs(point.epoch - other.epoch) < 1e-6


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
