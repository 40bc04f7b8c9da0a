"""What the page of a sweep says, as plain values for its template, from the `overmem.sweep/1` record."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from overmem.formatting import DASH, accuracy_text, confidence_text, figure_text
from overmem.reporting.exhibits.kinds import Cell, Table
from overmem.reporting.figures.curves import estimate_of
from overmem.reporting.figures.palette import STAGE_CODES
from overmem.reporting.terminal_tables import time_text
from overmem.reporting.view import stage_slug
from overmem.sweeping.narrative import CHOICES
from overmem.sweeping.record import short_key

Record = Mapping[str, Any]

LEARNING_RATE = "training.learning_rate"
OUTLINED = "over-memorized"
_DARKEST_RATIO = 2.0
"""Perplexity over the lowest from which all is equally dark; the untrained model would flatten the rest."""


def heat_tables(family: Record) -> list[Record]:
    """Accuracy and perplexity over (configuration, epoch), each cell with its stage."""
    groups, columns = ordered_groups(family), _columns(family)
    grid = [[_at(family, group["name"], column) for column in columns] for group in groups]
    return [_heat_table(family, groups, columns, grid, measure) for measure in ("accuracy", "perplexity")]


def ordered_groups(family: Record) -> list[Record]:
    """Configurations with the learning rate ascending within what else they set."""
    groups = list(family["groups"])
    others = list(dict.fromkeys(_others(group) for group in groups))
    return sorted(groups, key=lambda g: (others.index(_others(g)), _order(g["settings"].get(LEARNING_RATE))))


def setting_text(settings: Record) -> str:
    """The settings of a configuration for a person: `learning rate 0.0004, loss mar`."""
    said = [f"{short_key(key).replace('_', ' ')} {value_text(value)}" for key, value in settings.items()]
    return ", ".join(said) or "the recipe"


def value_text(value: Any) -> str:
    """A value of a setting."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _heat_table(
    family: Record,
    groups: Sequence[Record],
    columns: Sequence[Record],
    grid: Sequence[Sequence[Record | None]],
    measure: str,
) -> Record:
    values = [_value(point, measure) for row in grid for point in row if point is not None]
    known = [value for value in values if math.isfinite(value)]
    low, high = min(known, default=0.0), max(known, default=1.0)
    rows = []
    for i, group in enumerate(groups):
        cells = [_heat_cell(family, point, measure, low, high) for point in grid[i]]
        for j, cell in enumerate(cells):
            if cell is not None:
                cell["edges"] = _edges(groups, grid, i, j)
        rows.append({"label": setting_text(group["settings"]), "cells": cells})
    title = {"accuracy": "Accuracy", "perplexity": "Perplexity"}[measure]
    return {"name": measure, "title": title, "columns": [c["label"] for c in columns], "rows": rows}


def _heat_cell(
    family: Record, point: Record | None, measure: str, low: float, high: float
) -> dict[str, Any] | None:
    if point is None:
        return None
    estimate, likely = estimate_of(point[measure]), point["leaning"] or point["stage"]
    say = accuracy_text if measure == "accuracy" else figure_text
    code = STAGE_CODES.get(likely, "?") + ("?" if point["leaning"] else "")
    sure = confidence_text(point["confidence"])
    stage = f"undetermined, leans {likely}" if point["leaning"] else likely
    return {
        "text": say(estimate).partition(" ")[0],
        "heat": f"{_heat(estimate.value, measure, low, high):.3f}",
        "code": code,
        "stage": stage,
        "slug": stage_slug(likely),
        "title": f"{say(estimate, dash=DASH)}, n = {estimate.n}; {stage}, {sure} confidence",
        "marks": _marks(family, label_of(point)),
    }


def _heat(value: float, measure: str, low: float, high: float) -> float:
    if not math.isfinite(value) or high <= low:
        return 0.0
    if measure == "accuracy":
        return (value - low) / (high - low)
    return min(1.0, math.log(value / low) / math.log(min(high / low, _DARKEST_RATIO)))


def _edges(groups: Sequence[Record], grid: Sequence[Sequence[Record | None]], i: int, j: int) -> str:
    """On which sides the outline of the over-memorized region runs: some of `top right bottom left`."""
    if not _outlined(grid[i][j]):
        return ""

    def inside(row: int, column: int) -> bool:
        if not (0 <= row < len(grid) and 0 <= column < len(grid[row])):
            return False
        return _others(groups[row]) == _others(groups[i]) and _outlined(grid[row][column])

    sides = {"top": (i - 1, j), "right": (i, j + 1), "bottom": (i + 1, j), "left": (i, j - 1)}
    return " ".join(f"edge-{side}" for side, place in sides.items() if not inside(*place))


def _outlined(point: Record | None) -> bool:
    return point is not None and (point["leaning"] or point["stage"]) == OUTLINED


def _marks(family: Record, label: str) -> list[str]:
    chosen = family["recommended"]
    marks = ["recommended"] if chosen is not None and chosen["label"] == label else []
    return marks + [CHOICES[key] for key, name in family["alternatives"].items() if name == label]


def label_of(point: Record) -> str:
    """How a point is told of, as `overmem.sweeping.record.Point.label`."""
    epoch = point["epoch"]
    return f"{point['group']}, " + (point["checkpoint"] if epoch is None else f"epoch {epoch:g}")


def _columns(family: Record) -> list[Record]:
    """Epochs, or steps where epochs are not known."""
    found = {_column(point) for point in family["points"]}
    return [
        {"key": key, "label": f"{key[1]:g}" if key[0] == "epoch" else f"step {key[1]:g}"}
        for key in sorted(found)
    ]


def _column(point: Record) -> tuple[str, float]:
    return ("step", point["step"]) if point["epoch"] is None else ("epoch", round(point["epoch"], 4))


def _at(family: Record, group: str, column: Record) -> Record | None:
    here = (p for p in family["points"] if p["group"] == group and _column(p) == column["key"])
    return next(here, None)


def _value(point: Record, measure: str) -> float:
    return estimate_of(point[measure]).value


def _others(group: Record) -> str:
    return str({key: value for key, value in group["settings"].items() if key != LEARNING_RATE})


def _order(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def pick_rows(family: Record) -> Sequence[Record]:
    """The recommended point and the naive ones, with what they measured here and on `confirm`."""
    if family["recommended"] is None:
        return []
    labels = dict.fromkeys([family["recommended"]["label"], *family["alternatives"].values()])
    points = {label_of(point): point for point in family["points"]}
    rows = []
    for label in labels:
        found = family["confirmed_figures"].get(label)
        rows.append(
            {
                "label": label,
                "why": ", ".join(_marks(family, label)),
                "stage": points[label]["stage"],
                "here": _figures(points[label]),
                "confirm": None if found is None else _figures(found),
                "cost": next(
                    (family["alternative_costs"][k] for k, v in family["alternatives"].items() if v == label),
                    "",
                ),
                "chosen": label == family["recommended"]["label"],
            }
        )
    return rows


def _figures(record: Record) -> tuple[str, str]:
    return (
        accuracy_text(estimate_of(record["accuracy"]), DASH),
        figure_text(estimate_of(record["perplexity"]), dash=DASH),
    )


def onset_rows(family: Record) -> list[Record]:
    """Since when each configuration is over-memorized or overfit, with its interval."""
    return [
        {"label": setting_text(group["settings"]), "seeds": len(group["cells"]), "onset": onset_text(group)}
        for group in ordered_groups(family)
    ]


def onset_text(group: Record) -> str:
    """An onset in words: `epoch 5 (4-6)`."""
    onset, epoch = group["onset"], group["onset_epoch"]
    if onset["step"] is None:
        return f"none: {onset['reason']}"
    if epoch is None:
        return f"step {onset['step']} ({onset['low']}{DASH}{onset['high']})"
    return f"epoch {epoch:g} ({group['onset_epoch_low']:g}{DASH}{group['onset_epoch_high']:g})"


def cell_rows(record: Record) -> list[Record]:
    """Every cell with its state, its times, and where its own report is."""
    return [
        {
            **cell,
            "href": f"{quote(cell['name'])}/overmem/report.html" if cell["status"] == "done" else None,
            "slug": stage_slug(cell["stage"]),
            "time": " + ".join(
                time_text(cell[key]) if cell[key] is not None else "?"
                for key in ("train_seconds", "audit_seconds")
            ),
        }
        for cell in record["cells"]
    ]


def points_data(family: Record) -> Table:
    """All points of a family as a table for a download."""
    keys = list(family["groups"][0]["settings"])
    settings = {group["name"]: group["settings"] for group in family["groups"]}
    ends = [
        f"{m}{end}" for m in ("accuracy", "nll_nats", "perplexity") for end in ("", "_low_95", "_high_95")
    ]
    rows: list[tuple[Cell, ...]] = []
    for point in family["points"]:
        found = [estimate_of(point[m]) for m in ("accuracy", "nll_nats", "perplexity")]
        figures = [cell for e in found for cell in (e.value, e.low, e.high)]
        about = [_plain(settings[point["group"]][key]) for key in keys]
        about += [point[key] for key in ("checkpoint", "step", "epoch", "stage", "leaning", "confidence")]
        rows.append((*about, *figures, point["perplexity_ratio"], found[0].n))
    names = ("checkpoint", "step", "epoch", "stage", "leaning", "confidence")
    return Table(columns=(*keys, *names, *ends, "perplexity_ratio", "problems"), rows=tuple(rows))


def _plain(value: Any) -> Cell:
    return value if isinstance(value, str | int | float | None) else str(value)


def headline(family: Record) -> Record:
    """The recommended point as the page's first words."""
    chosen = family["recommended"]
    if chosen is None:
        return {"big": "None yet", "detail": family["reason"], "none": True}
    point = next(p for p in family["points"] if label_of(p) == chosen["label"])
    group = next(g for g in family["groups"] if g["name"] == chosen["group"])
    epoch = point["epoch"]
    stop = chosen["checkpoint"] if epoch is None else f"{epoch:g} epochs"
    accuracy, perplexity = _figures(point)
    likely = point["leaning"] or point["stage"]
    stage = "undetermined, leans " + likely if point["leaning"] else likely
    sure = confidence_text(point["confidence"])
    return {
        "big": f"{setting_text(group['settings'])}, {stop}",
        "detail": f"accuracy {accuracy}, perplexity {perplexity}; {stage}, {sure} confidence",
        "none": False,
    }
