"""The report for a pull request or model card (Markdown), and for programs (JSON)."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from overmem.formatting import DASH, MINUS, accuracy_text, figure_text
from overmem.records import Cost, finite_or_none, to_plain
from overmem.reporting import provenance, view
from overmem.reporting.escaping import visible
from overmem.reporting.exhibits.build import Exhibits, shown_checkpoints
from overmem.reporting.exhibits.kinds import Table
from overmem.reporting.exhibits.tokens import token_table
from overmem.reporting.exhibits.verbatim import verbatim_table
from overmem.reporting.figures.curves import estimate_of

Record = Mapping[str, Any]
REPORT_SCHEMA = "overmem.report/1"


def markdown_report(
    verdict: Record, manifest: Record | None, repair: Record | None, *, title: str, run: str
) -> str:
    """The verdict, the key checkpoints, what the others cost, the repair, and how it was measured.

    Args:
        verdict: an `overmem.verdict/1` record.
        manifest: of its audit, if there was one.
        repair: an `overmem.repair/1` record, if there is one.
        title: the run's name.
        run: its folder as it was named.

    Returns:
        Markdown; what comes from the run is escaped.
    """
    said = view.headline(verdict)
    ship = (verdict["recommended"] or {}).get("name")
    lines = [f"## overmem: {_plain(title)}", ""]
    lines += [f"**{_plain(str(said['stage']).capitalize())}** ({_plain(said['detail'].rstrip('.'))}).", ""]
    lines += [f"**Ship {_plain(ship)}.**" if ship else "**Ship: none yet.**", ""]
    lines += [f"- {_plain(what)}: {_plain(figures)}." for what, figures in view.reasons(verdict)]
    if not view.reasons(verdict):
        lines += [f"- {_plain(words)}" for words in (verdict.get("words") or ())[:2]]
    lines += [f"- {_plain(note)}" for note in verdict.get("notes") or ()]
    lines += ["", *_checkpoints(verdict)]
    costs = view.by_reference(verdict.get("costs") or ())
    if costs:
        against, found = costs[0]
        last = verdict["checkpoints"][-1]["name"]
        how = "paired, 95% intervals over problems, readings adjusted over the axes (Holm)"
        lines += ["", f"{_plain(last)} against {_plain(against)}, {how}:", ""]
        lines += _differences(found, last, against)
    lines += _repair(repair)
    lines += ["", *_measured(verdict, manifest, run)]
    return "\n".join(lines) + "\n"


def json_report(
    verdict: Record, manifest: Record | None, repair: Record | None, exhibits: Exhibits | None, *, run: str
) -> str:
    """The records and the exhibits' data as one JSON object of schema `overmem.report/1`.

    Undefined figures are null; an exhibit that is not there carries its reason.
    """
    record = {
        "schema": REPORT_SCHEMA,
        "run": run,
        "verdict": verdict,
        "repair": repair,
        "exhibits": None if exhibits is None else _exhibits(exhibits),
        "measured": _measured_record(verdict, manifest, run),
    }
    return json.dumps(record, indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def _checkpoints(verdict: Record) -> Iterable[str]:
    """The key checkpoints as a table."""
    shown = shown_checkpoints(verdict)
    if not shown:
        return
    records = {record["name"]: record for record in verdict["checkpoints"]}
    yield "| checkpoint | step | stage | accuracy | perplexity |"
    yield "| --- | ---: | --- | ---: | ---: |"
    for item in shown:
        record = records[item.name]
        stage = record["stage"] + (f", leans {record['leaning']}" if record.get("leaning") else "")
        accuracy = accuracy_text(estimate_of(record.get("accuracy")), DASH)
        perplexity = figure_text(estimate_of(record.get("perplexity")), dash=DASH)
        yield f"| {_plain(item.label)} | {record['step']} | {_plain(stage)} | {accuracy} | {perplexity} |"


def _differences(costs: list[Cost], left: str, right: str) -> Iterable[str]:
    """Each axis's headline as a row."""
    yield f"| axis | measure | {_plain(left)} | {_plain(right)} | difference | n | reading |"
    yield "| --- | --- | ---: | ---: | ---: | ---: | --- |"
    for cost in costs:
        if cost.headline:
            found = cost.difference
            texts = [f"{x:+.3f}".replace("-", MINUS) for x in (found.value, found.low, found.high)]
            said = f"{texts[0]} ({texts[1]} to {texts[2]})" if math.isfinite(found.low) else "undefined"
            values = [
                f"{x:.3f}" if math.isfinite(x) else "undefined" for x in (cost.value, cost.reference_value)
            ]
            about = f"{_plain(cost.axis)} | {_plain(cost.measure.replace('_', ' '))}"
            yield f"| {about} | {' | '.join(values)} | {said} | {found.n} | {found.reason or cost.outcome} |"


def _repair(repair: Record | None) -> Iterable[str]:
    if repair is None:
        return
    yield ""
    yield from (f"- {_plain(words)}" for words in repair.get("words") or ())
    found = view.repair_differences(repair)
    if found:
        against, costs = found[0]
        yield ""
        yield from _differences(costs, repair["winner"] or "repaired", against)


def _measured(verdict: Record, manifest: Record | None, run: str) -> Iterable[str]:
    """How it was measured, in three lines."""
    if manifest is None:
        yield "Read from the training log alone: nothing was measured."
        return
    sets = ", ".join(f"{_plain(name)} {n:,}" for name, n, _, _ in provenance.sizes(manifest))
    yield f"Measured on {sets} problems. {_plain(provenance.settings_line(verdict, manifest))}.  "
    yield f"{_plain(provenance.versions_line(manifest))}.  "
    if "config" in manifest:
        yield " · ".join(_code(command) for command in provenance.commands(verdict, manifest, run))


def _code(text: str) -> str:
    """Text as code, whatever backticks it holds."""
    fence = "`"
    while fence in text:
        fence += "`"
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{pad}{' '.join(text.split(chr(10)))}{pad}{fence}"


def _plain(text: object) -> str:
    """Text that Markdown shows as it is: no tags, tables, links or emphasis of its own."""
    out = visible(str(text)).replace("\\", "\\\\")
    for character in "`*_[]|#":
        out = out.replace(character, f"\\{character}")
    out = out.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return " ".join(out.split())


def _exhibits(exhibits: Exhibits) -> Record:
    figures = {
        item.name: {
            "title": item.title,
            "reason": item.reason,
            "measured": item.measured,
            "said": dict(item.said),
            "compared": [
                {"earlier": a, "later": b, "difference": text} for (a, b), text in item.compared.items()
            ],
            **_table(item.table),
        }
        for item in exhibits.figures
    }
    tokens, verbatim = exhibits.tokens, exhibits.verbatim
    figures["tokens"] = {"reason": tokens.reason, **_table(token_table(tokens))}
    counts = [to_plain(count) for count in verbatim.counts]
    figures["recited"] = {
        "reason": verbatim.reason,
        "before": verbatim.before,
        "after": verbatim.after,
        "became_verbatim": verbatim.became,
        "ceased": verbatim.ceased,
        "counts": counts,
        **_table(verbatim_table(verbatim)),
    }
    shown = [{"name": item.name, "roles": list(item.roles)} for item in exhibits.shown]
    return {"checkpoints": shown, "figures": figures}


def _table(table: Table) -> Record:
    rows = [[finite_or_none(cell) if isinstance(cell, float) else cell for cell in row] for row in table.rows]
    return {"columns": list(table.columns), "rows": rows}


def _measured_record(verdict: Record, manifest: Record | None, run: str) -> Record | None:
    if manifest is None:
        return None
    keys = (
        "created",
        "versions",
        "python",
        "device",
        "dtype",
        "config",
        "axes",
        "cut",
        "until_decided",
        "skipped",
    )
    sets = [
        {"set": name, "n": n, "source": source, "grader": grader}
        for name, n, source, grader in provenance.sizes(manifest)
    ]
    commands = list(provenance.commands(verdict, manifest, run)) if "config" in manifest else []
    return {**{key: manifest.get(key) for key in keys}, "sets": sets, "commands": commands}
