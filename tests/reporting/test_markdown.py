"""The report as Markdown: short, escaped, with the headline."""

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

from overmem.artifacts.manifest import Manifest
from overmem.reporting.markdown import markdown_report
from overmem.reporting.run import render
from tests.helpers.verdicts import HOSTILE, make_verdict


def manifest(**config: Any) -> Manifest:
    base = {"val": "val.jsonl", "train": None, "limit": None, "seed": 0, "samples": 8, "temperature": 0.8}
    return Manifest(config={**base, **config}, axes=("likelihood", "accuracy"), splits={}, checkpoints=())


def test_markdown_is_short_and_holds_the_verdict(run: Path) -> None:
    text = render(run, format="md")
    assert text.startswith("## overmem: my run\n")
    assert "**Over-memorized**" in text and "**Ship checkpoint-300 (" in text
    assert "Accuracy" in text and "Perplexity is inflated" in text
    assert "| checkpoint-600 (last) | 600 | over-memorized |" in text
    assert len(text.splitlines()) < 60
    assert shlex.quote(str(run)) in text


def test_markdown_cannot_be_broken_out_of() -> None:
    text = markdown_report(
        make_verdict(notes=(HOSTILE, "a | b\n# c", "[x](javascript:1)")),
        replace(manifest(val="`x` <b>"), versions={"a|b": "<i>"}),
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
    costs = tuple(replace(cost, headline=True) for cost in verdict.costs)
    text = markdown_report(replace(verdict, costs=costs), None, None, title="t", run="t")
    assert "| diversity | pass at 8 |" in text and "worse" in text
    assert "Read from the training log alone" in text
