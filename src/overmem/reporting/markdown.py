"""The report as Markdown, for a pull request or a model card."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from overmem.artifacts.manifest import Manifest
from overmem.formatting import (
    DASH,
    accuracy_text,
    estimate_text,
    markdown,
    sentence,
    signed,
    spaced,
    stage_text,
)
from overmem.records import Cost, Repair, Verdict
from overmem.reporting import provenance, view
from overmem.reporting.answer import accepted, answer
from overmem.reporting.exhibits.build import compared_checkpoints
from overmem.reporting.logged import logged_markdown
from overmem.verdict.words.headline import headline

Record = Mapping[str, Any]


def markdown_report(
    verdict: Verdict, manifest: Manifest | None, repair: Repair | None, *, title: str, run: str
) -> str:
    """The verdict, the key checkpoints, what the others cost, the repair, and how it was measured.

    Args:
        verdict: the record.
        manifest: of its audit, if there was one.
        repair: the record, if there is one.
        title: the run's name.
        run: its folder as it was named.

    Returns:
        Markdown; what comes from the run is escaped.
    """
    if verdict.logged is not None:
        return logged_markdown(verdict, title=title)
    first, said = headline(verdict), answer(verdict, repair)
    lines = [f"## overmem: {markdown(title)}", ""]
    sure = first.confidence if said["reasons"] else first.detail.rstrip(".")
    lines += [f"**{markdown(first.stage.capitalize())}** ({markdown(sure)}).", ""]
    if accepted(repair):
        lines += [f"**Ship the repaired model** ({markdown(said['ship_stage'])}).", ""]
        lines += [f"- {markdown(sentence(said['why']))}", f"- {markdown(said['instead'])}"]
    else:
        lines += [f"**Ship{'' if verdict.recommended else ':'} {markdown(first.shipped)}.**", ""]
    lines += [f"- {markdown(what)}: {markdown(figures)}." for what, figures in said["reasons"]]
    if not said["reasons"]:
        lines += [f"- {markdown(words)}" for words in verdict.words[:2]]
    lines += [f"- {markdown(note)}" for note in verdict.notes]
    lines += ["", *_checkpoints(verdict)]
    if verdict.trade is not None:
        trade = verdict.trade
        about = (
            f"The most accurate checkpoint, {trade.most_accurate}, beside the one to ship, {trade.shipped}"
        )
        lines += ["", f"{markdown(about)}:", ""]
        lines += _differences(trade.differences, trade.most_accurate, trade.shipped)
        ships = ((use, use.ships or "neither is clearly better") for use in trade.uses)
        lines += ["", *(f"- {markdown(f'For {use.name}: {what} ({use.why})')}" for use, what in ships)]
    for item in verdict.base.comparisons if verdict.base is not None else ():
        lines += ["", f"{markdown(item.checkpoint)} against the base model: {markdown(item.outcome)}.", ""]
        lines += _differences(item.differences, item.checkpoint, "base model")
    if verdict.costs:
        against, found = view.by_reference(verdict.costs)[0]
        last = verdict.checkpoints[-1].name
        how = "paired, 95% intervals over problems, readings adjusted over the axes (Holm)"
        lines += ["", f"{markdown(last)} against {markdown(against)}, {how}:", ""]
        lines += _differences(found, last, against)
    lines += _repair(repair) if repair is not None else []
    lines += ["", *_measured(verdict, manifest, run)]
    return "\n".join(lines) + "\n"


def _checkpoints(verdict: Verdict) -> Iterable[str]:
    """The key checkpoints as a table."""
    shown = compared_checkpoints(verdict)
    if not shown:
        return
    by_name = {summary.name: summary for summary in verdict.checkpoints}
    yield "| checkpoint | step | stage | accuracy | perplexity |"
    yield "| --- | ---: | --- | ---: | ---: |"
    for item in shown:
        found = by_name[item.name]
        stage = markdown(stage_text(found.stage, found.leaning))
        figures = f"{accuracy_text(found.accuracy, DASH)} | {estimate_text(found.perplexity, to=DASH)}"
        yield f"| {markdown(item.label)} | {found.step} | {stage} | {figures} |"


def _differences(costs: Sequence[Cost], left: str, right: str) -> Iterable[str]:
    """Each axis's headline as a row."""
    yield f"| axis | measure | {markdown(left)} | {markdown(right)} | difference | n | reading |"
    yield "| --- | --- | ---: | ---: | ---: | ---: | --- |"
    for cost in costs:
        if cost.headline:
            found = cost.difference
            values = [
                f"{x:.3f}" if math.isfinite(x) else "undefined" for x in (cost.value, cost.reference_value)
            ]
            about = f"{markdown(cost.axis)} | {markdown(spaced(cost.measure))} | {' | '.join(values)}"
            reading = markdown(found.reason or cost.outcome)
            yield f"| {about} | {estimate_text(found, signed)} | {found.n} | {reading} |"


def _repair(repair: Repair) -> Iterable[str]:
    yield ""
    yield from (f"- {markdown(words)}" for words in repair.words)
    found = view.repair_differences(repair)
    if found:
        against, costs = found[0]
        yield ""
        yield from _differences(costs, repair.winner or "repaired", against)


def _measured(verdict: Verdict, manifest: Manifest | None, run: str) -> Iterable[str]:
    """How it was measured, in three lines."""
    if manifest is None:
        yield "Read from the training log alone: nothing was measured."
        return
    sets = ", ".join(f"{markdown(name)} {n:,}" for name, n, _, _ in provenance.sizes(manifest))
    yield f"Measured on {sets} problems. {markdown(provenance.settings_line(verdict, manifest))}.  "
    yield f"{markdown(provenance.versions_line(manifest))}.  "
    if verdict.clean_val is not None:
        premise = verdict.clean_val.premise
        yield f"{markdown(premise[:1].upper() + premise[1:])}.  "
    if manifest.config:
        yield " · ".join(_code(command) for command in provenance.commands(verdict, manifest, run))


def _code(text: str) -> str:
    """Text as code, whatever backticks it holds."""
    fence = "`"
    while fence in text:
        fence += "`"
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{pad}{' '.join(text.split(chr(10)))}{pad}{fence}"
