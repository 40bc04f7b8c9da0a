"""The report: one HTML file that opens anywhere, offline, from saved records.

plotly.js is inlined and a content security policy forbids every request and every script but those
written here, so a hostile checkpoint name can neither run nor call home even if escaping failed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from overmem.artifacts.manifest import Manifest
from overmem.contamination.record import Contamination
from overmem.formatting import spaced
from overmem.records import VERDICT_SCHEMA, Cost, Repair, Verdict
from overmem.reporting import provenance, view
from overmem.reporting.answer import accepted, answer
from overmem.reporting.assets import render_page
from overmem.reporting.downloads import Table, data_link, file_name
from overmem.reporting.exhibits.build import Exhibits
from overmem.reporting.exhibits.tokens import TokenExample, shade, token_table
from overmem.reporting.exhibits.verbatim import verbatim_table
from overmem.reporting.facts import manifest_facts
from overmem.reporting.figures.curves import dynamics_table
from overmem.reporting.figures.dynamics import figure_variants
from overmem.reporting.figures.forest import cost_table, forest_figure, forest_rows, forest_words
from overmem.reporting.figures.theme import Figure
from overmem.reporting.logged import render_logged_page
from overmem.reporting.overlap import overlap_part
from overmem.reporting.problems.lists import training_part, val_part
from overmem.reporting.problems.training_rows import TrainingRows
from overmem.reporting.problems.val_problems import ValProblems
from overmem.reporting.view import Values

TABLE_ROWS = 64
"""Figures with up to this many rows of data also show them as a table."""


@dataclass(frozen=True)
class Section:
    """One part of the page below the answer, and its line in the table of contents."""

    id: str
    """Its anchor, which is also the name of its template."""
    label: str

    @property
    def template(self) -> str:
        """The file that writes it."""
        return f"sections/{self.id.replace('-', '_')}.html"


def render_report(
    verdict: Verdict,
    *,
    title: str,
    manifest: Manifest | None = None,
    repair: Repair | None = None,
    repair_is_old: bool = False,
    exhibits: Exhibits | None = None,
    contamination: Contamination | None = None,
    problems: ValProblems | None = None,
    training: TrainingRows | None = None,
    run: str | None = None,
) -> str:
    """The self-contained HTML report of one verdict.

    Args:
        verdict: the record.
        title: heading of the page, usually the run's name.
        manifest: for how it was measured; None leaves that part out.
        repair: the record; likewise.
        repair_is_old: whether one was left out, being of another audit.
        exhibits: what the rows show beside a verdict on at least one checkpoint; likewise.
        contamination: what training had of val, by the texts; likewise.
        problems: every val problem with its answers; likewise.
        training: every training row; likewise.
        run: the run's folder as it was named, for the commands; the title by default.
    """
    if verdict.logged is not None:
        return render_logged_page(verdict, title=title)
    page = _Page(title)
    last = verdict.checkpoints[-1].name if verdict.checkpoints else ""
    costs = [
        page.forest(f"costs-{i}", found, last, against)
        for i, (against, found) in enumerate(view.by_reference(verdict.costs))
    ]
    places = _places(exhibits) if exhibits is not None else {}
    values: Values = {
        "title": title,
        **_verdict_part(verdict, repair),
        "costs": costs,
        **_repair_part(repair, page),
        "exhibits": _exhibits(exhibits, page, places) if exhibits is not None else None,
        "problems": val_part(problems, verdict) if problems is not None else None,
        "training": training_part(training, verdict) if training is not None else None,
        "overlap": overlap_part(verdict, contamination),
        "dynamics_csv": page.link("dynamics", dynamics_table(verdict)),
        **_measured_part(verdict, manifest, run or title),
        "left_out": _left_out(verdict, manifest, exhibits, repair_is_old, run or title),
    }
    return render_page(
        "report.html",
        {**values, "sections": _sections(values, repair)},
        figures=page.figures,
        dynamics=figure_variants(verdict) if verdict.checkpoints else None,
        places={name: str(place) for name, place in places.items()},
        scripts=("contents.js", *(["lists.js"] if problems is not None or training is not None else [])),
    )


def _sections(values: Values, repair: Repair | None) -> list[Section]:
    """The parts of the page in reading order; one without anything to show is not there."""
    exhibits, proved = values["exhibits"], accepted(repair)
    recited = exhibits is not None and not exhibits["verbatim"].reason
    found = (
        (Section("repair", "Repair"), proved),
        (Section("checkpoints", "Checkpoints"), values["rows"]),
        (Section("problems", "Problems"), values["problems"]),
        (Section("training", "Training rows"), recited or values["training"]),
        (Section("choices", "Other choices"), values["choices"] or values["trade"]),
        (Section("base", "Base model"), values["against_base"]),
        (Section("costs", "What changed"), values["costs"]),
        (Section("exhibits", "More figures"), exhibits is not None and exhibits["figures"]),
        (Section("tokens", "Token by token"), exhibits is not None and not exhibits["tokens"].reason),
        (Section("repair", "Repair"), repair is not None and not proved),
        (Section("data", "Data check"), values["overlap"]),
        (Section("left-out", "Not shown"), values["left_out"]),
        (Section("method", "Method"), True),
        (Section("reading", "Glossary"), True),
    )
    return [section for section, there in found if there]


def _left_out(
    verdict: Verdict, manifest: Manifest | None, exhibits: Exhibits | None, repair_is_old: bool, run: str
) -> list[tuple[str, str]]:
    """What is not on the page, and what would bring it there."""
    found: list[tuple[str, str]] = []
    audited = manifest is not None and bool(manifest.config)
    if audited and verdict.checkpoints and exhibits is None:
        why = (
            "the rows are not those of this verdict, or the texts of the problems were not kept; "
            "run `overmem audit` and `overmem diagnose` again"
        )
        found.append(("Problems, reliability, pass@k, membership, tokens and training rows", why))
    if audited and manifest is not None and verdict.evidence != "logged":
        command = provenance.axes_command(manifest, run)
        if command is not None:
            why = f"only likelihood and accuracy were measured; this command measures the rest: `{command}`"
            found.append(("The other axes", why))
    if exhibits is not None:
        found += [(item.title, item.reason) for item in exhibits.figures if item.reason]
        if exhibits.tokens.reason:
            found.append(("Reference solutions, token by token", exhibits.tokens.reason))
        if exhibits.verbatim.reason:
            found.append(("Training solutions written word for word", exhibits.verbatim.reason))
    if repair_is_old:
        why = (
            "the one that is saved rests on an audit of other weights or problems; run `overmem repair` again"
        )
        found.append(("Repair", why))
    return found


class _Page:
    """Collects the figures of a page, and names the files of their data."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.figures: dict[str, Figure] = {}

    def link(self, name: str, table: Table) -> Values:
        """A download of a figure's data."""
        return {"href": data_link(table), "file": file_name(self.title, name)}

    def forest(self, name: str, costs: Sequence[Cost], left: str, against: str) -> Values:
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


def _verdict_part(verdict: Verdict, repair: Repair | None) -> Values:
    return {
        "verdict": verdict,
        "schema": VERDICT_SCHEMA,
        "answer": answer(verdict, repair),
        "rows": [view.checkpoint_row(verdict, summary) for summary in verdict.checkpoints],
        "columns": view.columns(verdict),
        "choices": view.naive_choices(verdict),
        "stages": view.stages_present(verdict),
        "figure_label": view.figure_label(verdict),
        "trade": view.trade(verdict),
        "base_row": view.base_row(verdict),
        "against_base": view.against_base(verdict),
    }


def _repair_part(repair: Repair | None, page: _Page) -> Values:
    """What was tried and proved; empty without a repair."""
    if repair is None:
        return {"repair": None}
    winner = repair.winner or ""
    return {
        "repair": repair,
        "proved": accepted(repair),
        "repair_attempts": [view.attempt_row(attempt, repair.winner) for attempt in repair.attempts],
        "repair_differences": [
            page.forest(f"repair-{i}", found, winner, against)
            for i, (against, found) in enumerate(view.repair_differences(repair))
        ],
    }


def _measured_part(verdict: Verdict, manifest: Manifest | None, run: str) -> Values:
    known = manifest is not None and bool(manifest.config)
    return {
        "imported": manifest.imported if manifest is not None else None,
        "thresholds": [(spaced(key), value) for key, value in verdict.thresholds.items()],
        "facts": manifest_facts(manifest),
        "sizes": provenance.sizes(manifest) if manifest is not None else [],
        "settings": provenance.settings_line(verdict, manifest),
        "versions": provenance.versions_line(manifest) if manifest is not None else "",
        "commands": provenance.commands(verdict, manifest, run) if known and manifest is not None else (),
    }


def _places(exhibits: Exhibits) -> dict[str, int]:
    """Each checkpoint's place among those that the exhibits show."""
    return {item.name: i for i, item in enumerate(exhibits.checkpoints)}


def _exhibits(exhibits: Exhibits, page: _Page, places: Mapping[str, int]) -> Values:
    """The exhibits as the template shows them."""
    figures = []
    for item in exhibits.figures:
        if item.figure is None or item.reason:
            continue
        page.figures[item.name] = item.figure
        figures.append(
            {
                "item": item,
                "words": [(places[name], name, text) for name, text in item.words.items()],
                "compared": [(f"{places[a]}-{places[b]}", text) for (a, b), text in item.compared.items()],
                "csv": page.link(item.name, item.table),
                "show_table": 0 < len(item.table.rows) <= TABLE_ROWS,
            }
        )
    tokens, verbatim = exhibits.tokens, exhibits.verbatim
    return {
        "checkpoints": list(enumerate(exhibits.checkpoints)),
        "first": places[exhibits.first],
        "second": places[exhibits.second],
        "figures": figures,
        "tokens": tokens,
        "token_examples": [_token_example(example, places) for example in tokens.examples],
        "tokens_csv": page.link("tokens", token_table(tokens)),
        "verbatim": verbatim,
        "verbatim_csv": page.link("verbatim", verbatim_table(verbatim)),
    }


def _token_example(example: TokenExample, places: Mapping[str, int]) -> Values:
    predictions = []
    for name, found in example.predictions.items():
        marked = zip(example.texts_T, found.logprob_T, found.is_top1_T, shade(found.logprob_T), strict=True)
        predictions.append(
            {"place": places[name], "name": name, "nll": found.nll_nats, "tokens": list(marked)}
        )
    return {"example": example, "predictions": predictions, "cut": example.n_tokens - len(example.texts_T)}


def _span(counts: Sequence[int]) -> str:
    if not counts:
        return "0"
    return f"{min(counts):,}" if min(counts) == max(counts) else f"{min(counts):,} to {max(counts):,}"
