"""How a run, an audit, a verdict, a comparison and a repair look in a notebook and in a console."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from markupsafe import Markup, escape

from overmem.artifacts.manifest import Manifest
from overmem.formatting import (
    accuracy_text,
    certainty_text,
    confidence_text,
    difference_text,
    estimate_text,
    short_number,
    stage_text,
)
from overmem.records import CheckpointSummary, Comparison, Cost, Repair, Run, Verdict
from overmem.reporting.figures.inline import dynamics_svg
from overmem.verdict.words.headline import headline

_HEADS = ("checkpoint", "stage", "confidence", "accuracy", "perplexity")


def html_view(record: Any) -> str:
    """The table of a run, an audit, a verdict, one of its checkpoints or a repair."""
    if isinstance(record, Run):
        return run_html(record)
    if isinstance(record, CheckpointSummary):
        return _table("", _HEADS, [_summary(record, bold=False)])
    if isinstance(record, Verdict):
        return verdict_html(record)
    if isinstance(record, Comparison):
        return comparison_html(record)
    return (
        repair_html(record) if isinstance(record, Repair) else audit_html(record.manifest, record.store.root)
    )


def text_view(record: Any) -> str:
    """A run, an audit, a verdict, one of its checkpoints, a comparison or a repair in a few lines."""
    if isinstance(record, Run):
        names = [checkpoint.name for checkpoint in record.checkpoints]
        left_out = f", {len(record.skipped)} skipped" if record.skipped else ""
        ends = " to ".join(dict.fromkeys(names[:1] + names[-1:]))
        return f"Run {record.path}: {len(names)} checkpoints, {ends}{left_out}"
    if isinstance(record, CheckpointSummary):
        stage = f"{record.stage}, {certainty_text(record.leaning, record.confidence)}"
        figures = (
            f"accuracy {accuracy_text(record.accuracy)} %, perplexity {estimate_text(record.perplexity)}"
        )
        return f"Checkpoint {record.name}, step {record.step}: {stage}; {figures}"
    if isinstance(record, Verdict):
        return _verdict_text(record)
    if isinstance(record, Comparison):
        a, b = ", ".join(record.a), ", ".join(record.b)
        return "\n  ".join((f"Comparison of A {a} with B {b}", *record.words))
    if isinstance(record, Repair):
        return "\n  ".join((f"Repair of {record.run}", *record.words[:3]))
    manifest: Manifest = record.manifest
    sets = ", ".join(f"{name} {found.measured}" for name, found in manifest.splits.items())
    about = f"{len(manifest.checkpoints)} checkpoints, axes {', '.join(manifest.axes)}; problems: {sets}"
    return f"Audit {record.store.root}: {about}"


def _verdict_text(verdict: Verdict) -> str:
    first, found = headline(verdict), verdict.checkpoints
    span = f", step {found[0].step} to {found[-1].step}" if found else ""
    lines = [f"Verdict of {len(found)} checkpoints{span}", f"Stage  {first.line}", f"Ship   {first.shipped}"]
    return "\n  ".join(lines if verdict.reason is None else [*lines, verdict.reason])


def run_html(run: Run) -> str:
    """The checkpoints of a run, and those that were left out."""
    rows = [(c.name, c.step, "" if c.epoch is None else f"{c.epoch:g}", c.kind) for c in run.checkpoints]
    skipped = [f"skipped {name}: {reason.splitlines()[0]}" for name, reason in run.skipped.items()]
    return _table(f"Run {run.path}", ("checkpoint", "step", "epoch", "kind"), rows) + _notes(skipped)


def audit_html(manifest: Manifest, root: object) -> str:
    """What an audit measured: sets and checkpoints."""
    rows = [(name, found.source, found.measured, found.grader) for name, found in manifest.splits.items()]
    scope = f"{len(manifest.checkpoints)} checkpoints; axes: {', '.join(manifest.axes)}"
    return _table(f"Audit {root}", ("set", "source", "problems", "grader"), rows) + _notes([scope])


def verdict_html(verdict: Verdict) -> str:
    """The figure, every checkpoint's stage, the one to ship in bold, and the verdict in words."""
    shipped = verdict.recommended.name if verdict.recommended is not None else None
    rows = [_summary(summary, bold=summary.name == shipped) for summary in verdict.checkpoints]
    first = headline(verdict)
    caption = f"Verdict: {first.line}; ship {first.shipped}"
    return dynamics_svg(verdict) + _table(caption, _HEADS, rows) + _notes([*verdict.words, *verdict.notes])


def comparison_html(found: Comparison) -> str:
    """The answer, and each axis at the recommended checkpoints and at matched accuracy."""
    parts = (
        ("At the recommended checkpoints", found.at_recommended),
        ("At matched accuracy", found.differences),
    )
    tables = [_differences(caption, costs, "B", "A") for caption, costs in parts if costs]
    return Markup("").join([_notes(found.words), *tables])


def repair_html(repair: Repair) -> str:
    """Each axis before and after, and what came of it."""
    costs = repair.proof.differences if repair.proof is not None else ()
    return _differences("Repair", costs, repair.before, repair.winner or "") + _notes(repair.words)


def _differences(caption: str, costs: Iterable[Cost], before: str, after: str) -> Markup:
    """The headline of each axis: the reference's figure, the other's, and their difference."""
    rows = [
        (
            c.axis,
            c.measure,
            short_number(c.reference_value),
            short_number(c.value),
            difference_text(c),
            c.outcome,
        )
        for c in costs
        if c.headline
    ]
    heads = ("axis", "measure", before, after, "difference (95%)", "")
    return _table(caption, heads, rows)


def _summary(summary: CheckpointSummary, *, bold: bool) -> Sequence[object]:
    cells = (
        summary.name,
        stage_text(summary.stage, summary.leaning),
        confidence_text(summary.confidence),
        accuracy_text(summary.accuracy),
        estimate_text(summary.perplexity),
    )
    return tuple(Markup("<b>{}</b>").format(cell) for cell in cells) if bold else cells


def _table(caption: str, heads: Iterable[object], rows: Iterable[Sequence[object]]) -> Markup:
    head = _row("th", heads)
    body = Markup("").join(_row("td", row) for row in rows)
    return Markup("<table><caption>{}</caption><thead>{}</thead><tbody>{}</tbody></table>").format(
        caption, head, body
    )


def _row(tag: str, cells: Iterable[object]) -> Markup:
    filled = Markup("").join(Markup(f"<{tag}>{{}}</{tag}>").format(cell) for cell in cells)
    return Markup("<tr>{}</tr>").format(filled)


def _notes(texts: Iterable[str]) -> Markup:
    return Markup("").join(Markup("<p>{}</p>").format(escape(text)) for text in texts)
