"""The report: one HTML file that opens anywhere, offline, from saved records.

plotly.js is inlined and a content security policy forbids every request and every script but the two
written here, so a hostile checkpoint name can neither run nor call home even if escaping failed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from overmem.artifacts.store import write_text_atomic
from overmem.errors import ArtifactError
from overmem.records import VERDICT_SCHEMA, Cost
from overmem.reporting import provenance, view
from overmem.reporting.assets import asset, environment, plotly_js, safe_json, script_hash
from overmem.reporting.downloads import data_link, file_name
from overmem.reporting.exhibits.build import Exhibits
from overmem.reporting.exhibits.kinds import Figure, Table
from overmem.reporting.exhibits.tokens import shade, token_table
from overmem.reporting.exhibits.verbatim import verbatim_table
from overmem.reporting.facts import manifest_facts
from overmem.reporting.figures.dynamics import figure_variants
from overmem.reporting.figures.dynamics_data import dynamics_table
from overmem.reporting.figures.forest import cost_table, forest_figure, forest_rows, forest_words
from overmem.reporting.figures.palette import DARK, LIGHT
from overmem.verdict.narrative import missing_text, why_text

Record = Mapping[str, Any]

TABLE_ROWS = 64
"""Figures with up to this many rows of data also show them as a table."""


def write_report(
    verdict_record: Record,
    out: Path,
    *,
    manifest: Record | None = None,
    repair: Record | None = None,
    repair_is_old: bool = False,
    exhibits: Exhibits | None = None,
    run: str | None = None,
    title: str,
) -> Path:
    """Write the self-contained HTML report of one verdict.

    The file is written whole or not at all: under a temporary name in the same folder, then moved.

    Args:
        verdict_record: the parsed `verdict.json`, schema `overmem.verdict/1`.
        out: the HTML file; its folder is made when missing.
        manifest: the parsed `manifest.json`, for how it was measured; None leaves that part out.
        repair: the parsed `repair.json`; likewise.
        repair_is_old: whether one was left out, being of another audit.
        exhibits: what the rows show beside the verdict; likewise.
        run: the run's folder as it was named, for the commands; the title by default.
        title: heading of the page, usually the run's name.

    Returns:
        `out`.

    Raises:
        ArtifactError: when the record is not a verdict of this schema.
    """
    page = render_report(
        verdict_record,
        manifest=manifest,
        repair=repair,
        repair_is_old=repair_is_old,
        exhibits=exhibits,
        run=run,
        title=title,
    )
    out = Path(out)
    write_text_atomic(out, page)
    return out


def render_report(
    verdict_record: Record,
    *,
    manifest: Record | None = None,
    repair: Record | None = None,
    repair_is_old: bool = False,
    exhibits: Exhibits | None = None,
    run: str | None = None,
    title: str,
) -> str:
    """The report as a string; see `write_report`."""
    check_verdict(verdict_record)
    scripts = {"plotly": plotly_js(), "draw": asset("draw.js")} if verdict_record["checkpoints"] else {}
    figures: dict[str, Figure] = {}
    page = _Page(title, figures)
    last = verdict_record["checkpoints"][-1]["name"] if scripts else ""
    costs = [
        page.forest(f"costs-{i}", found, last, against)
        for i, (against, found) in enumerate(view.by_reference(verdict_record.get("costs") or ()))
    ]
    shown = None if repair is None else _repair(repair, page)
    exhibited = _exhibits(exhibits, page) if exhibits is not None and scripts else None
    template = environment().get_template("template.html")
    return template.render(
        title=title,
        verdict=verdict_record,
        style=Markup(asset("page.css")),
        **_verdict_part(verdict_record),
        costs=costs,
        repair=shown,
        repair_is_old=repair_is_old,
        exhibits=exhibited,
        rows_lost=manifest is not None and "config" in manifest and scripts and exhibits is None,
        dynamics_csv=page.link("dynamics", dynamics_table(verdict_record)),
        **_measured_part(verdict_record, manifest, run or title),
        figure_json=safe_json(_figure_data(verdict_record, figures, exhibits)) if scripts else "",
        scripts={name: Markup(source) for name, source in scripts.items()},
        script_policy=" ".join(script_hash(source) for source in scripts.values()) or "'none'",
    )


def check_verdict(record: Record) -> None:
    """Refuse a record that is not a verdict of this schema.

    Raises:
        ArtifactError: naming the schema or what is missing.
    """
    found = record.get("schema") if isinstance(record, Mapping) else type(record).__name__
    if found != VERDICT_SCHEMA:
        raise ArtifactError(
            "this is not a verdict that the report can show",
            got=f"schema {found!r}",
            expected=f"schema {VERDICT_SCHEMA!r}",
            next_step="run `overmem diagnose` again to rewrite verdict.json",
        )
    missing = [key for key in ("stage", "checkpoints", "recommended") if key not in record]
    if missing:
        raise ArtifactError(
            "verdict.json is incomplete",
            got=f"no {', '.join(missing)}",
            expected="stage, checkpoints and recommended",
            next_step="run `overmem diagnose` again to rewrite verdict.json",
        )


class _Page:
    """Collects the figures of a page, and names the files of their data."""

    def __init__(self, title: str, figures: dict[str, Figure]) -> None:
        self.title, self.figures = title, figures

    def link(self, name: str, table: Table) -> Record:
        """A download of a figure's data."""
        return {"href": data_link(table), "file": file_name(self.title, name)}

    def forest(self, name: str, costs: Sequence[Cost], left: str, against: str) -> Record:
        """A forest plot with the table behind it."""
        rows = forest_rows(costs)
        figure = forest_figure(rows, left)
        if figure is not None:
            self.figures[name] = figure
        return {
            "name": name,
            "against": against,
            "left": left,
            "figure": figure is not None,
            "words": forest_words(rows),
            "n": _span([row.cost.difference.n for row in rows]),
            "rows": [view.cost_row(cost) for cost in costs],
            "csv": self.link(name, cost_table(costs, left)),
        }


def _verdict_part(verdict: Record) -> dict[str, Any]:
    chosen = verdict["recommended"]
    return {
        "why": why_text(chosen["name"], chosen["why"]) if chosen else "",
        "missing": missing_text(verdict.get("reason")),
        "headline": view.headline(verdict),
        "reasons": view.reasons(verdict),
        "tiles": view.tiles(verdict),
        "rows": [view.checkpoint_row(verdict, record) for record in verdict["checkpoints"]],
        "has_train": any(record.get("train_nll_nats") for record in verdict["checkpoints"]),
        "choices": view.naive_choices(verdict),
        "stages": view.stages_present(verdict),
        "figure_label": view.figure_label(verdict),
    }


def _measured_part(verdict: Record, manifest: Record | None, run: str) -> dict[str, Any]:
    known = manifest is not None and "config" in manifest
    return {
        "thresholds": [(view.spaced(k), value) for k, value in (verdict.get("thresholds") or {}).items()],
        "facts": manifest_facts(manifest),
        "sizes": provenance.sizes(manifest) if manifest is not None else [],
        "settings": provenance.settings_line(verdict, manifest),
        "versions": provenance.versions_line(manifest) if manifest is not None else "",
        "commands": provenance.commands(verdict, manifest, run) if known and manifest is not None else (),
        "axes_command": (
            provenance.axes_command(manifest, run)
            if known and manifest is not None and verdict.get("evidence") != "logged"
            else None
        ),
    }


def _exhibits(exhibits: Exhibits, page: _Page) -> Record:
    """The exhibits as the template shows them, checkpoints by their place among those shown."""
    places = {item.name: i for i, item in enumerate(exhibits.shown)}
    figures = []
    for item in exhibits.figures:
        if item.figure is not None:
            page.figures[item.name] = item.figure
        figures.append(
            {
                "item": item,
                "said": [(places[name], name, text) for name, text in item.said.items()],
                "compared": [(f"{places[a]}-{places[b]}", text) for (a, b), text in item.compared.items()],
                "csv": page.link(item.name, item.table) if item.figure is not None else None,
                "show_table": 0 < len(item.table.rows) <= TABLE_ROWS,
            }
        )
    tokens, verbatim = exhibits.tokens, exhibits.verbatim
    return {
        "shown": list(enumerate(exhibits.shown)),
        "first": places[exhibits.first],
        "second": places[exhibits.second],
        "figures": figures,
        "tokens": tokens,
        "token_examples": [_token_example(example, places) for example in tokens.examples],
        "tokens_csv": page.link("tokens", token_table(tokens)),
        "verbatim": verbatim,
        "verbatim_csv": page.link("verbatim", verbatim_table(verbatim)),
    }


def _token_example(example: Any, places: Mapping[str, int]) -> Record:
    readings = []
    for name, reading in example.readings.items():
        steps = shade(reading.logprob_T)
        marked = zip(example.texts_T, reading.logprob_T, reading.is_top1_T, steps, strict=True)
        readings.append(
            {"place": places[name], "name": name, "nll": reading.nll_nats, "tokens": list(marked)}
        )
    return {"example": example, "readings": readings, "cut": example.n_tokens - len(example.texts_T)}


def _repair(record: Record, page: _Page) -> Record:
    """What was tried and proved, as the page shows it."""
    winner = record["winner"] or ""
    return {
        **record,
        "attempts": [view.attempt_row(attempt, record["winner"]) for attempt in record["attempts"]],
        "differences": [
            page.forest(f"repair-{i}", found, winner, against)
            for i, (against, found) in enumerate(view.repair_differences(record))
        ],
    }


def _span(counts: Sequence[int]) -> str:
    if not counts:
        return "0"
    return f"{min(counts):,}" if min(counts) == max(counts) else f"{min(counts):,} to {max(counts):,}"


def _figure_data(verdict: Record, figures: Mapping[str, Figure], exhibits: Exhibits | None) -> Record:
    """All figures with the themes that fill in their colours; series by place among those shown."""
    places = {item.name: str(i) for i, item in enumerate(exhibits.shown)} if exhibits is not None else {}
    return {
        "dynamics": figure_variants(verdict),
        "themes": {"light": LIGHT.roles(), "dark": DARK.roles()},
        "figures": {
            name: {
                "layout": figure.layout,
                "compact": figure.compact,
                "base": figure.base,
                "series": {places[key]: traces for key, traces in figure.series.items()},
            }
            for name, figure in figures.items()
        },
    }
