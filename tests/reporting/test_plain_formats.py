"""The report as Markdown and JSON."""

import json
import shlex
from pathlib import Path
from typing import Any

from overmem.reporting.plain_formats import markdown_report
from overmem.reporting.run import render
from tests.reporting.test_html import HOSTILE, make_verdict, record_of


def manifest(**config: Any) -> dict[str, Any]:
    base = {"val": "val.jsonl", "train": None, "limit": None, "seed": 0, "samples": 8, "temperature": 0.8}
    return {"config": {**base, **config}, "axes": ["likelihood", "accuracy"], "splits": {}, "checkpoints": []}


def test_markdown_is_short_and_holds_the_verdict(run: Path) -> None:
    text = render(run, format="md")
    assert text.startswith("## overmem: my run\n")
    assert "**Over-memorized**" in text and "**Ship checkpoint-300.**" in text
    assert "Accuracy" in text and "Perplexity is inflated" in text
    assert "| checkpoint-600 (last) | 600 | over-memorized |" in text
    assert len(text.splitlines()) < 60
    assert shlex.quote(str(run)) in text


def test_markdown_cannot_be_broken_out_of() -> None:
    text = markdown_report(
        record_of(make_verdict(notes=(HOSTILE, "a | b\n# c", "[x](javascript:1)"))),
        {**manifest(val="`x` <b>"), "versions": {"a|b": "<i>"}},
        None,
        title=HOSTILE,
        run="a`b`` c",
    )
    outside = "\n".join(line for line in text.splitlines() if "overmem audit" not in line)
    assert "<" not in outside
    assert "](javascript" not in outside.replace("\\](", "")
    assert "a \\| b \\# c" in text
    assert "``` " in text or "```o" in text


def test_markdown_shows_the_headlines_and_the_repair_that_is_there() -> None:
    verdict = make_verdict()
    record = record_of(verdict)
    record["costs"][0]["headline"] = True
    text = markdown_report(record, None, None, title="t", run="t")
    assert "| diversity | pass at 8 |" in text and "worse" in text
    assert "Read from the training log alone" in text


def test_json_holds_records_and_data(run: Path) -> None:
    record = json.loads(render(run, format="json"))
    assert record["schema"] == "overmem.report/1"
    assert record["verdict"]["schema"] == "overmem.verdict/1"
    figures = record["exhibits"]["figures"]
    assert set(figures) >= {"reliability-tokens", "pass-at-k", "membership-roc", "excess-nll", "tokens"}
    for figure in figures.values():
        assert figure["reason"] is None and figure["rows"]
        assert all(len(row) == len(figure["columns"]) for row in figure["rows"])
    assert [c.split()[1] for c in record["measured"]["commands"]] == ["audit", "diagnose", "report"]
