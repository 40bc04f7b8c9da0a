"""The page of a sweep: one HTML file that opens anywhere, offline, from its record."""

from __future__ import annotations

from pathlib import Path

import yaml

from overmem.artifacts.files import write_text_atomic
from overmem.reporting.assets import render_page
from overmem.reporting.downloads import data_link, file_name
from overmem.reporting.figures.theme import STAGE_CODES
from overmem.reporting.view import Values
from overmem.sweeping.page import view
from overmem.sweeping.page.figure import onset_figure
from overmem.sweeping.record import Family, SweepResult


def write_sweep_report(result: SweepResult, out: Path, *, title: str) -> Path:
    """Write the page of a sweep, whole or not at all.

    Args:
        result: the record.
        out: the HTML file; links lead from its folder to each cell's own report.
        title: heading of the page, usually the folder's name.

    Returns:
        `out`.
    """
    write_text_atomic(out, render_sweep_report(result, title=title))
    return out


def render_sweep_report(result: SweepResult, *, title: str) -> str:
    """The page as a string; see `write_sweep_report`."""
    figures = {f"onset-{i}": onset_figure(family) for i, family in enumerate(result.families)}
    drawn = {name: figure for name, figure in figures.items() if figure is not None}
    return render_page(
        "sweep.html",
        {
            "title": title,
            "result": result,
            "families": [
                _family(family, i, title, f"onset-{i}" in drawn) for i, family in enumerate(result.families)
            ],
            "cells": view.cell_rows(result),
            "stages": [(stage, code) for stage, code in STAGE_CODES.items() if stage != "undetermined"],
            "settings": yaml.safe_dump(dict(result.settings), sort_keys=False),
        },
        figures=drawn,
        package=__package__,
        styles=("page.css", "sweep.css"),
    )


def _family(family: Family, number: int, title: str, drawn: bool) -> Values:
    return {
        "model": family.model,
        "n": family.n,
        "headline": view.recommendation(family),
        "heat": view.heat_tables(family),
        "picks": view.pick_rows(family),
        "onsets": view.onset_rows(family),
        "figure": f"onset-{number}" if drawn else None,
        "csv": {
            "href": data_link(view.points_data(family)),
            "file": file_name(title, f"points-{number}" if number else "points"),
        },
    }
