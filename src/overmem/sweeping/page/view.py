"""What the page of a sweep says, as plain values for its template, from the record."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from overmem.formatting import (
    DASH,
    accuracy_text,
    certainty_text,
    estimate_parts,
    estimate_text,
    spaced,
    stage_text,
    time_text,
)
from overmem.records import Estimate
from overmem.reporting.downloads import Cell, Table
from overmem.reporting.figures.theme import STAGE_CODES
from overmem.reporting.view import FORMS, Values, stage_slug
from overmem.sweeping.narrative import CHOICES
from overmem.sweeping.record import Family, Group, Point, SweepResult, short_key

Column = tuple[str, float]
"""Where a point lies along its run: `epoch`, or `step` where epochs are not known, and which."""

LEARNING_RATE = "training.learning_rate"
OUTLINED = "over-memorized"
_DARKEST_RATIO = 2.0
"""Perplexity over the lowest from which all is equally dark; the untrained model would flatten the rest."""


def heat_tables(family: Family) -> list[Values]:
    """Accuracy and perplexity over (configuration, epoch), each cell with its stage."""
    groups = ordered_groups(family)
    columns = sorted({_column(point) for point in family.points})
    there = {(point.group, _column(point)): point for point in family.points}
    grid = [[there.get((group.name, column)) for column in columns] for group in groups]
    return [_heat_table(family, groups, columns, grid, measure) for measure in ("accuracy", "perplexity")]


def ordered_groups(family: Family) -> list[Group]:
    """Configurations with the learning rate ascending within what else they set."""
    others = list(dict.fromkeys(_others(group) for group in family.groups))
    return sorted(
        family.groups, key=lambda g: (others.index(_others(g)), _order(g.settings.get(LEARNING_RATE)))
    )


def setting_text(settings: Mapping[str, Any]) -> str:
    """The settings of a configuration for a person: `learning rate 0.0004, loss mar`."""
    parts = [f"{spaced(short_key(key))} {value_text(value)}" for key, value in settings.items()]
    return ", ".join(parts) or "the recipe"


def value_text(value: Any) -> str:
    """A value of a setting."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _heat_table(
    family: Family,
    groups: Sequence[Group],
    columns: Sequence[Column],
    grid: Sequence[Sequence[Point | None]],
    measure: str,
) -> Values:
    values = [_measure(point, measure).value for row in grid for point in row if point is not None]
    known = [value for value in values if math.isfinite(value)]
    low, high = min(known, default=0.0), max(known, default=1.0)
    rows = []
    for i, group in enumerate(groups):
        cells = [_heat_cell(family, point, measure, low, high) for point in grid[i]]
        for j, cell in enumerate(cells):
            if cell is not None:
                cell["edges"] = _edges(groups, grid, i, j)
        rows.append({"label": setting_text(group.settings), "cells": cells})
    labels = [f"{at:g}" if unit == "epoch" else f"step {at:g}" for unit, at in columns]
    return {"name": measure, "title": measure.capitalize(), "columns": labels, "rows": rows}


def _heat_cell(
    family: Family, point: Point | None, measure: str, low: float, high: float
) -> dict[str, Any] | None:
    if point is None:
        return None
    estimate, form = _measure(point, measure), FORMS[measure]
    about = f"n = {estimate.n}; {_stage_and_certainty(point)}"
    return {
        "text": estimate_parts(estimate, form)[0],
        "heat": f"{_heat(estimate.value, measure, low, high):.3f}",
        "code": STAGE_CODES.get(point.likely, "?") + ("?" if point.leaning else ""),
        "stage": stage_text(point.stage, point.leaning),
        "slug": stage_slug(point.likely),
        "title": f"{estimate_text(estimate, form, to=DASH)}, {about}",
        "marks": _marks(family, point.label),
    }


def _stage_and_certainty(point: Point) -> str:
    return f"{point.stage}, {certainty_text(point.leaning, point.confidence)}"


def _heat(value: float, measure: str, low: float, high: float) -> float:
    if not math.isfinite(value) or high <= low:
        return 0.0
    if measure == "accuracy":
        return (value - low) / (high - low)
    return min(1.0, math.log(value / low) / math.log(min(high / low, _DARKEST_RATIO)))


def _edges(groups: Sequence[Group], grid: Sequence[Sequence[Point | None]], i: int, j: int) -> str:
    """On which sides the outline of the over-memorized region runs: some of `top right bottom left`."""
    if not _outlined(grid[i][j]):
        return ""

    def inside(row: int, column: int) -> bool:
        if not (0 <= row < len(grid) and 0 <= column < len(grid[row])):
            return False
        return _others(groups[row]) == _others(groups[i]) and _outlined(grid[row][column])

    sides = {"top": (i - 1, j), "right": (i, j + 1), "bottom": (i + 1, j), "left": (i, j - 1)}
    return " ".join(f"edge-{side}" for side, place in sides.items() if not inside(*place))


def _outlined(point: Point | None) -> bool:
    return point is not None and point.likely == OUTLINED


def _marks(family: Family, label: str) -> list[str]:
    chosen = family.recommended
    marks = ["recommended"] if chosen is not None and chosen.label == label else []
    return marks + [CHOICES[key] for key, name in family.alternatives.items() if name == label]


def _column(point: Point) -> Column:
    return ("step", point.step) if point.epoch is None else ("epoch", round(point.epoch, 4))


def _measure(point: Point, measure: str) -> Estimate:
    return point.accuracy if measure == "accuracy" else point.perplexity


def _others(group: Group) -> str:
    return str({key: value for key, value in group.settings.items() if key != LEARNING_RATE})


def _order(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def pick_rows(family: Family) -> list[Values]:
    """The recommended point and the naive ones, with what they measured here and on `confirm`."""
    if family.recommended is None:
        return []
    costs: dict[str, str] = {}
    for key, label in family.alternatives.items():
        costs.setdefault(label, family.alternative_costs[key])
    rows = []
    for label in dict.fromkeys([family.recommended.label, *family.alternatives.values()]):
        point, found = family.point(label), family.confirmed_figures.get(label)
        rows.append(
            {
                "label": label,
                "why": ", ".join(_marks(family, label)),
                "here": _figures(point.accuracy, point.perplexity),
                "confirm": None if found is None else _figures(found["accuracy"], found["perplexity"]),
                "cost": costs.get(label, ""),
                "chosen": label == family.recommended.label,
            }
        )
    return rows


def _figures(accuracy: Estimate, perplexity: Estimate) -> tuple[str, str]:
    return accuracy_text(accuracy, DASH), estimate_text(perplexity, to=DASH)


def onset_rows(family: Family) -> list[Values]:
    """Since when each configuration is over-memorized or overfit, with its interval."""
    return [
        {"label": setting_text(group.settings), "seeds": len(group.cells), "onset": onset_text(group)}
        for group in ordered_groups(family)
    ]


def onset_text(group: Group) -> str:
    """An onset in words: `epoch 5 (4-6)`."""
    onset = group.onset
    if onset.step is None:
        return f"none: {onset.reason}"
    if group.onset_epoch is None:
        return f"step {onset.step} ({onset.low}{DASH}{onset.high})"
    return f"epoch {group.onset_epoch:g} ({group.onset_epoch_low:g}{DASH}{group.onset_epoch_high:g})"


def cell_rows(result: SweepResult) -> list[Values]:
    """Every cell with its state, its times, and where its own report is."""
    return [
        {
            "state": cell,
            "href": f"{quote(cell.name)}/overmem/report.html" if cell.status == "done" else None,
            "slug": stage_slug(cell.stage),
            "time": " + ".join(
                "?" if seconds is None else time_text(seconds)
                for seconds in (cell.train_seconds, cell.audit_seconds)
            ),
        }
        for cell in result.cells
    ]


def points_data(family: Family) -> Table:
    """All points of a family as a table for a download."""
    keys = list(family.groups[0].settings)
    settings = {group.name: group.settings for group in family.groups}
    measures = ("accuracy", "nll_nats", "perplexity")
    ends = [f"{measure}{end}" for measure in measures for end in ("", "_low_95", "_high_95")]
    rows: list[tuple[Cell, ...]] = []
    for point in family.points:
        estimates = (point.accuracy, point.nll_nats, point.perplexity)
        figures = [cell for e in estimates for cell in (e.value, e.low, e.high)]
        values = [_plain(settings[point.group][key]) for key in keys]
        place = (point.checkpoint, point.step, point.epoch, point.stage, point.leaning, point.confidence)
        rows.append((*values, *place, *figures, point.perplexity_ratio, point.accuracy.n))
    names = ("checkpoint", "step", "epoch", "stage", "leaning", "confidence")
    return Table(columns=(*keys, *names, *ends, "perplexity_ratio", "problems"), rows=tuple(rows))


def _plain(value: Any) -> Cell:
    return value if isinstance(value, str | int | float | None) else str(value)


def recommendation(family: Family) -> Values:
    """The recommended point as the page's first words."""
    chosen = family.recommended
    if chosen is None:
        return {"big": "None yet", "detail": family.reason, "none": True}
    point = family.point(chosen.label)
    group = next(group for group in family.groups if group.name == chosen.group)
    stop = chosen.checkpoint if point.epoch is None else f"{point.epoch:g} epochs"
    accuracy, perplexity = _figures(point.accuracy, point.perplexity)
    return {
        "big": f"{setting_text(group.settings)}, {stop}",
        "detail": f"accuracy {accuracy}, perplexity {perplexity}; {_stage_and_certainty(point)}",
        "none": False,
    }
