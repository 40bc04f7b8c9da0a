"""The page of a sweep: one HTML file that opens anywhere, offline, from the saved record."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from markupsafe import Markup

from overmem.artifacts.store import write_text_atomic
from overmem.errors import ArtifactError
from overmem.reporting.assets import asset, environment, plotly_js, safe_json, script_hash
from overmem.reporting.downloads import data_link, file_name
from overmem.reporting.figures.palette import DARK, LIGHT, STAGE_CODES
from overmem.sweeping.page import view as sweep_view
from overmem.sweeping.page.figure import onset_figure
from overmem.sweeping.record import SWEEP_SCHEMA

Record = Mapping[str, Any]


def write_sweep_report(record: Record, out: Path, *, title: str) -> Path:
    """Write the page of a sweep, whole or not at all.

    Args:
        record: the parsed `sweep.json`.
        out: the HTML file; links lead from its folder to each cell's own report.
        title: heading of the page, usually the folder's name.

    Returns:
        `out`.

    Raises:
        ArtifactError: the record is not a sweep's of this schema.
    """
    write_text_atomic(out, render_sweep_report(record, title=title))
    return out


def render_sweep_report(record: Record, *, title: str) -> str:
    """The page as a string; see `write_sweep_report`."""
    if record.get("schema") != SWEEP_SCHEMA:
        raise ArtifactError(
            "this is not a sweep that the report can show",
            got=f"schema {record.get('schema')!r}",
            expected=f"schema {SWEEP_SCHEMA!r}",
            next_step="run `overmem sweep` again to rewrite sweep.json",
        )
    figures = {f"onset-{i}": onset_figure(family) for i, family in enumerate(record["families"])}
    drawn = {name: figure for name, figure in figures.items() if figure is not None}
    scripts = {"plotly": plotly_js(), "draw": asset("draw.js")} if drawn else {}
    data = {
        "dynamics": {},
        "themes": {"light": LIGHT.roles(), "dark": DARK.roles()},
        "figures": {
            name: {"layout": figure.layout, "compact": figure.compact, "base": figure.base, "series": {}}
            for name, figure in drawn.items()
        },
    }
    return (
        environment()
        .get_template("sweep.html")
        .render(
            title=title,
            record=record,
            style=Markup(asset("page.css") + asset("sweep.css")),
            families=[
                _family(family, i, title, f"onset-{i}" in drawn)
                for i, family in enumerate(record["families"])
            ],
            cells=sweep_view.cell_rows(record),
            failed=[cell for cell in record["cells"] if cell["status"] == "failed"],
            stages=[(stage, code) for stage, code in STAGE_CODES.items() if stage != "undetermined"],
            settings=yaml.safe_dump(dict(record["settings"]), sort_keys=False),
            figure_json=safe_json(data) if drawn else "",
            scripts={name: Markup(source) for name, source in scripts.items()},
            script_policy=" ".join(script_hash(source) for source in scripts.values()) or "'none'",
        )
    )


def _family(family: Record, number: int, title: str, drawn: bool) -> Record:
    return {
        "model": family["model"],
        "n": family["n"],
        "headline": sweep_view.headline(family),
        "heat": sweep_view.heat_tables(family),
        "picks": sweep_view.pick_rows(family),
        "onsets": sweep_view.onset_rows(family),
        "figure": f"onset-{number}" if drawn else None,
        "csv": {
            "href": data_link(sweep_view.points_data(family)),
            "file": file_name(title, f"points-{number}" if number else "points"),
        },
    }
