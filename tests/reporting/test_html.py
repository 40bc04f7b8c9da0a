"""The report as a page: self-contained, escaped and complete.

Covers: overmem.reporting.facts
"""

import json
import math
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from overmem.artifacts.manifest import Manifest
from overmem.artifacts.manifest_parts.measured_sets import MeasuredSet
from overmem.artifacts.manifest_parts.model_rows import CheckpointRows
from overmem.artifacts.store import Store
from overmem.errors import ArtifactError
from overmem.formatting import DASH
from overmem.records import CheckpointSummary, Estimate, Recommendation, Verdict
from overmem.reporting.figures.dynamics import figure_variants
from overmem.reporting.html import render_report
from overmem.reporting.run import report
from tests.helpers.verdicts import HOSTILE, make_verdict

VOID = {"meta", "br", "img", "link", "input", "hr"}


def renamed(verdict: Verdict, position: int, name: str) -> Verdict:
    summaries = list(verdict.checkpoints)
    summaries[position] = CheckpointSummary(**{**summaries[position].__dict__, "name": name})
    return Verdict(**{**verdict.__dict__, "checkpoints": tuple(summaries)})


class Page(HTMLParser):
    """Checks nesting and collects what a browser would act on."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts[-1] += data
        elif not self.open or self.open[-1] != "style":
            self.text.append(data)

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.tags)


@pytest.fixture(scope="module")
def page() -> Page:
    val = MeasuredSet(
        set="val", variant="clean", source="val.jsonl", shape="", grader="exact", n=400,
        fingerprint="ab" * 32, example_ids=tuple(map(str, range(400))), example_shas=(),
    )  # fmt: skip
    manifest = Manifest(
        versions={"overmem": "0.1.0", "torch": "2.13.0"},
        splits={"val": val},
        checkpoints=tuple(CheckpointRows(name=f"c{i}", step=i, weights="w") for i in range(6)),
    )
    return Page(render_report(make_verdict(), manifest=manifest, title="runs/demo"))


def test_page_fetches_nothing(page: Page) -> None:
    for tag, attrs in page.tags:
        assert tag not in {"link", "iframe", "object", "embed", "base"}
        assert not {"src", "srcset", "action", "data", "background"} & set(attrs), (tag, attrs)
        assert tag == "a" or "href" not in attrs
        assert str(attrs.get("href", "#")).startswith(("data:text/csv;", "#")), attrs
    policies = [
        attrs["content"] for _, attrs in page.tags if attrs.get("http-equiv") == "Content-Security-Policy"
    ]
    assert len(policies) == 1
    assert "default-src 'none'" in str(policies[0])
    assert "script-src 'sha256-" in str(policies[0])


def test_page_shows_every_figure(page: Page) -> None:
    text = " ".join(page.text)
    verdict = make_verdict()
    for summary in verdict.checkpoints:
        assert summary.name in text
        assert f"{100 * summary.accuracy.value:.1f}%" in text
        assert f"{100 * summary.accuracy.low:.1f}{DASH}{100 * summary.accuracy.high:.1f}" in text
        assert f"{summary.nll_nats.value:.3f}" in text
        assert f"{summary.perplexity.value:.2f}" in text
        assert f"{summary.train_nll_nats.value:.3f}" in text
    for word in verdict.words:
        assert word.rstrip(".") in text
    for expected in (
        "97% confidence",
        "accuracy 0.031 lower".capitalize(),
        "since step 5000 (95% interval 4000 to 6000)",
        "about 1,234 problems",
        "pickled",
        "worse",
    ):
        assert expected in text, expected
    for fact in ("torch 2.13.0", "abababababababab…", "400 listed", "0.03", "2000", "6 in the manifest"):
        assert fact in text, fact


def test_page_is_semantic(page: Page) -> None:
    assert page.count("h1") == 1
    assert page.count("caption") == page.count("table") > 2
    figure = next(attrs for tag, attrs in page.tags if attrs.get("id") == "dynamics")
    assert figure["role"] == "img"
    assert "over-memorized" in str(figure["aria-label"])
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    labels = {attrs["aria-labelledby"] for _, attrs in page.tags if "aria-labelledby" in attrs}
    assert labels <= set(ids)


@pytest.mark.parametrize("position", [0, 2, 5])
def test_hostile_names_stay_text(position: int) -> None:
    verdict = renamed(make_verdict(), position, HOSTILE)
    chosen = Recommendation(name=HOSTILE, step=3000, why=HOSTILE)
    changes = {
        "recommended": chosen,
        "notes": (HOSTILE,),
        "words": (HOSTILE,),
        "alternatives": {HOSTILE: HOSTILE},
        "reason": HOSTILE,
    }
    changed = Verdict(**{**verdict.__dict__, **changes})
    hostile = Page(
        render_report(
            changed, manifest=Manifest(versions={HOSTILE: HOSTILE}, splits={}, checkpoints=()), title=HOSTILE
        )
    )
    assert hostile.count("script") == 4
    assert hostile.count("img") == 0
    assert not any(name.startswith("on") for _, attrs in hostile.tags for name in attrs)
    assert HOSTILE in " ".join(hostile.text)
    assert "<" not in hostile.scripts[0]
    figures = json.loads(hostile.scripts[0])["dynamics"]
    labels = [a["text"] for a in figures["light-wide"]["layout"]["annotations"]]
    hovers = [text for trace in figures["light-wide"]["data"] for text in trace.get("hovertext", [])]
    assert not any("<script" in text or "<img" in text for text in labels + hovers)


def test_policy_admits_exactly_the_scripts_that_are_there(page: Page) -> None:
    import base64
    import hashlib

    policy = next(attrs["content"] for _, attrs in page.tags if attrs.get("http-equiv"))
    digests = [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in page.scripts[1:]]
    assert re.findall(r"'sha256-([^']+)'", str(policy)) == digests


def test_undefined_accuracy_is_said_in_the_figure_and_the_table() -> None:
    nan = Estimate(math.nan, math.nan, math.nan, 0, "no grader was given")
    verdict = make_verdict()
    blind = tuple(CheckpointSummary(**{**s.__dict__, "accuracy": nan}) for s in verdict.checkpoints)
    unseen = Verdict(**{**verdict.__dict__, "checkpoints": blind})
    layout = figure_variants(unseen)["light-wide"]["layout"]
    assert any("no grader was given" in note["text"] for note in layout["annotations"])
    text = " ".join(Page(render_report(unseen, title="t")).text)
    assert "no grader was given" in text and text.count("undefined") <= 1  # in the folded sentences
    assert not re.search(r"\bnan\b|\bNaN\b", text)


@pytest.mark.parametrize("count", [0, 1, 2, 40])
def test_any_number_of_checkpoints(count: int) -> None:
    base = make_verdict(40)
    cut = Verdict(**{**base.__dict__, "checkpoints": base.checkpoints[:count]})
    rendered = Page(render_report(cut, title="t"))
    assert sum(attrs.get("scope") == "row" for _, attrs in rendered.tags) >= count
    assert rendered.count("script") == (4 if count else 1)


def test_write_is_atomic_and_leaves_no_litter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Store(tmp_path / "overmem").write_record("verdict", make_verdict().to_dict())
    out = tmp_path / "deep" / "report.html"
    assert report(tmp_path, out=out) == out
    before = out.read_text(encoding="utf-8")
    Store(tmp_path / "overmem").write_record("verdict", make_verdict(stage="fit").to_dict())

    def full_disk(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", full_disk)
    with pytest.raises(OSError, match="no space"):
        report(tmp_path, out=out)
    assert out.read_text(encoding="utf-8") == before
    assert [path.name for path in out.parent.iterdir()] == ["report.html"]


@pytest.mark.parametrize("record", [{}, {"schema": "overmem.verdict/9"}, {"schema": "overmem.verdict/1"}])
def test_another_record_is_refused(record: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "overmem"
    folder.mkdir()
    (folder / "verdict.json").write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"diagnose|run the stage again"):
        report(tmp_path)
    assert [path.name for path in folder.iterdir()] == ["verdict.json"]


def test_report_imports_neither_torch_nor_plotly_until_used() -> None:
    code = (
        "import sys, overmem.reporting.html, overmem.cli.views.verdict;"
        "assert not {'torch', 'transformers', 'plotly'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run(
        [sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )


def test_the_contents_lead_to_every_section_and_back(page: Page) -> None:
    ids = [attrs["id"] for tag, attrs in page.tags if tag == "section" and "id" in attrs]
    links = [str(attrs["href"])[1:] for tag, attrs in page.tags if tag == "a" and attrs["href"][:1] == "#"]
    assert links[: len(ids)] == ids and ids[0] == "answer" and "checkpoints" in ids
    assert "costs" in ids and "problems" not in ids and "base" not in ids  # nothing of them is known


def test_prose_is_folded_and_the_figure_follows_the_answer() -> None:
    page = render_report(make_verdict(), title="t")
    answer = page[page.index('id="answer"') : page.index('id="checkpoints"')]
    assert answer.index('class="answer"') < answer.index('id="dynamics"') < answer.index("<details")
    words = make_verdict().words[1].rstrip(".")
    assert (
        words in answer[answer.index("<details") :] and words not in answer[: answer.index('id="dynamics"')]
    )
    assert answer[: answer.index("<figure")].count("times the lowest") == 1


def test_what_was_not_measured_is_said_once_and_has_no_section() -> None:
    nan = Estimate(math.nan, math.nan, math.nan, 0, "not in the log")
    verdict = make_verdict(evidence="logged", recommended=None, costs=(), stage="undetermined")
    summaries = tuple(
        CheckpointSummary(**{**s.__dict__, "accuracy": nan, "train_nll_nats": None})
        for s in verdict.checkpoints
    )
    logged = Page(render_report(Verdict(**{**verdict.__dict__, "checkpoints": summaries}), title="t"))
    visible = " ".join(logged.text)
    assert "undefined" not in visible and visible.count("not in the log") == 1
    ids = {attrs.get("id") for _, attrs in logged.tags}
    assert not {"costs", "exhibits", "tokens", "problems", "training"} & ids
