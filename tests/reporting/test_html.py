"""The report and the terminal: self-contained, escaped, complete, and within 80 columns."""

import io
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
from rich.console import Console

from overmem.cli.views.verdict import render_verdict
from overmem.errors import ArtifactError
from overmem.formatting import DASH
from overmem.records import CheckpointSummary, Cost, Estimate, Onset, Recommendation, Severity, Verdict
from overmem.reporting.figures.curves import Panel
from overmem.reporting.figures.dynamics import figure_variants
from overmem.reporting.html import render_report, write_report
from overmem.verdict.narrative import plain_words

HOSTILE = '</script><script>alert(1)</script><img src=x onerror=alert(2)>%{x}[red]"'
VOID = {"meta", "br", "img", "link", "input", "hr"}


def make_verdict(count: int = 6, **more: Any) -> Verdict:
    stages = ["learning", "fit", "fit", "undetermined", "over-memorized", "over-memorized"]
    checkpoints = []
    for i in range(count):
        stage = stages[i * len(stages) // count]
        accuracy, nll = 0.5 + 0.3 * min(1, 3 * i / count), 0.3 + abs(i / count - 0.4)
        checkpoints.append(
            CheckpointSummary(
                name=f"checkpoint-{(i + 1) * 1000}",
                step=(i + 1) * 1000,
                stage=stage,
                confidence=0.9,
                leaning="over-memorized" if stage == "undetermined" else None,
                problems_to_settle=1234 if stage == "undetermined" else None,
                accuracy=Estimate(accuracy, accuracy - 0.04321, accuracy + 0.04, 400),
                nll_nats=Estimate(nll, nll - 0.02, nll + 0.02, 400),
                perplexity=Estimate(math.exp(nll), math.exp(nll - 0.02), math.exp(nll + 0.02), 400),
                train_nll_nats=Estimate(nll / 2, nll / 2 - 0.01, nll / 2 + 0.01, 200),
                epoch=i / 3,
            )
        )
    fields = {
        "stage": "over-memorized",
        "confidence": 0.97,
        "checkpoints": tuple(checkpoints),
        "onset": Onset(step=checkpoints[-2].step, low=checkpoints[-3].step, high=checkpoints[-1].step),
        "severity": Severity(
            excess_nll_nats=Estimate(0.2, 0.15, 0.25, 400), perplexity_ratio=1.22, own_path_share=0.9
        ),
        "recommended": Recommendation(name=checkpoints[2].name, step=checkpoints[2].step, why="it is best"),
        "alternatives": {"lowest_perplexity": checkpoints[1].name, "highest_accuracy": checkpoints[-1].name},
        "alternative_costs": {"lowest_perplexity": "accuracy 0.031 lower"},
        "costs": (
            Cost(
                axis="diversity",
                measure="pass_at_8",
                against=checkpoints[2].name,
                difference=Estimate(-0.04, -0.06, -0.02, 400),
                direction="higher",
                p_holm=0.0002,
            ),
        ),
        "thresholds": {"accuracy_margin": 0.03, "perplexity_ratio": 1.10, "resamples": 2000, "seed": 0},
        "notes": ("checkpoint-9 was skipped: `pickled` weights",),
    }
    verdict = Verdict(**{**fields, **more})
    return Verdict(**{**verdict.__dict__, "words": plain_words(verdict)})


def record_of(verdict: Verdict) -> dict[str, Any]:
    return json.loads(json.dumps(verdict.to_dict(), allow_nan=False))


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
    manifest = {
        "versions": {"overmem": "0.1.0", "torch": "2.13.0"},
        "splits": {"val": {"n": 400, "fingerprint": "ab" * 32, "example_ids": [str(i) for i in range(400)]}},
        "checkpoints": [{}] * 6,
    }
    return Page(render_report(record_of(make_verdict()), manifest=manifest, title="runs/demo"))


def test_page_fetches_nothing(page: Page) -> None:
    for tag, attrs in page.tags:
        assert tag not in {"link", "iframe", "object", "embed", "base"}
        assert not {"src", "srcset", "action", "data", "background"} & set(attrs), (tag, attrs)
        assert tag == "a" or "href" not in attrs
        assert str(attrs.get("href", "data:text/csv;")).startswith("data:text/csv;"), attrs
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
    record = record_of(Verdict(**{**verdict.__dict__, **changes}))
    hostile = Page(render_report(record, manifest={HOSTILE: HOSTILE}, title=HOSTILE))
    assert hostile.count("script") == 3
    assert hostile.count("img") == 0
    assert not any(name.startswith("on") for _, attrs in hostile.tags for name in attrs)
    assert HOSTILE in " ".join(hostile.text)
    assert "<" not in hostile.scripts[0]
    figures = json.loads(hostile.scripts[0])["dynamics"]
    labels = [a["text"] for a in figures["light-wide"]["layout"]["annotations"]]
    hovers = [text for trace in figures["light-wide"]["data"] for text in trace.get("hovertext", [])]
    assert not any("<script" in text or "<img" in text for text in labels + hovers)


def test_policy_admits_exactly_the_two_scripts(page: Page) -> None:
    import base64
    import hashlib

    policy = next(attrs["content"] for _, attrs in page.tags if attrs.get("http-equiv"))
    digests = [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in page.scripts[1:]]
    assert re.findall(r"'sha256-([^']+)'", str(policy)) == digests


def test_figure_is_valid_plotly_and_holds_every_point() -> None:
    from plotly.graph_objects import Figure

    verdict = make_verdict()
    variants = figure_variants(record_of(verdict))
    assert set(variants) == {"light-wide", "light-compact", "dark-wide", "dark-compact"}
    for figure in variants.values():
        assert len(Figure(figure).data) == len(figure["data"])
        lines = {trace["name"]: trace for trace in figure["data"] if "name" in trace}
        assert lines["accuracy"]["y"] == [summary.accuracy.value for summary in verdict.checkpoints]
        assert lines["perplexity"]["y"] == [summary.perplexity.value for summary in verdict.checkpoints]
        assert lines["accuracy"]["x"] == [summary.step for summary in verdict.checkpoints]
        assert any("fillpattern" in trace for trace in figure["data"])


def test_undefined_accuracy_is_said_in_the_figure_and_the_table() -> None:
    nan = Estimate(math.nan, math.nan, math.nan, 0, "no grader was given")
    verdict = make_verdict()
    blind = tuple(CheckpointSummary(**{**s.__dict__, "accuracy": nan}) for s in verdict.checkpoints)
    record = record_of(Verdict(**{**verdict.__dict__, "checkpoints": blind}))
    layout = figure_variants(record)["light-wide"]["layout"]
    assert any("no grader was given" in note["text"] for note in layout["annotations"])
    text = " ".join(Page(render_report(record, title="t")).text)
    assert "undefined" in text
    assert not re.search(r"\bnan\b|\bNaN\b", text)


@pytest.mark.parametrize("count", [0, 1, 2, 40])
def test_any_number_of_checkpoints(count: int) -> None:
    base = make_verdict(40)
    record = record_of(Verdict(**{**base.__dict__, "checkpoints": base.checkpoints[:count]}))
    rendered = Page(render_report(record, title="t"))
    assert sum(attrs.get("scope") == "row" for _, attrs in rendered.tags) >= count
    assert rendered.count("script") == (3 if count else 0)


def test_write_is_atomic_and_leaves_no_litter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "deep" / "report.html"
    assert write_report(record_of(make_verdict()), out, title="first") == out
    before = out.read_text(encoding="utf-8")
    assert "first" in before

    def full_disk(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", full_disk)
    with pytest.raises(OSError, match="no space"):
        write_report(record_of(make_verdict()), out, title="second")
    assert out.read_text(encoding="utf-8") == before
    assert [path.name for path in out.parent.iterdir()] == ["report.html"]


@pytest.mark.parametrize("record", [{}, {"schema": "overmem.verdict/9"}, {"schema": "overmem.verdict/1"}])
def test_another_record_is_refused(record: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="diagnose"):
        write_report(record, tmp_path / "r.html", title="t")
    assert not list(tmp_path.iterdir())


def printed(verdict: Verdict, width: int = 80) -> str:
    stream = io.StringIO()
    render_verdict(verdict, Console(file=stream, width=width))
    return stream.getvalue()


@pytest.mark.parametrize("count", [2, 6, 20, 40, 200])
def test_terminal_fits_80_columns(count: int) -> None:
    verdict = make_verdict(40) if count == 40 else make_verdict(max(count, 6))
    verdict = Verdict(
        **{
            **verdict.__dict__,
            "checkpoints": verdict.checkpoints[:count] if count == 2 else verdict.checkpoints,
        }
    )
    text = printed(verdict)
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    assert "\x1b" not in text
    assert len(text.splitlines()) < 70


def test_terminal_shows_both_ends_the_choice_and_counts_the_rest() -> None:
    verdict = make_verdict(40, recommended=Recommendation(name="checkpoint-20000", step=20000, why="best"))
    lines = printed(verdict).splitlines()
    steps = [int(match[1]) for line in lines if (match := re.match(r"^[*pa=]{0,2} +(\d{4,5})  ", line))]
    hidden = sum(int(match[1]) for line in lines if (match := re.search(r"\.\.\. .*?(\d+) more", line)))
    assert {1000, 20000, 40000} <= set(steps)
    assert len(steps) + hidden == 40
    assert hidden > 15
    assert any(line.startswith("*") and "20000" in line for line in lines)
    assert "over-memorized, 97% confidence" in lines[1]
    assert "checkpoint-20000" in lines[2]


def test_terminal_is_literal_with_markup_and_huge_figures() -> None:
    verdict = make_verdict()
    huge = Estimate(123456.0, 100000.5, 150000.5, 400)
    wild = CheckpointSummary(**{**verdict.checkpoints[0].__dict__, "perplexity": huge, "step": 123456789})
    text = printed(
        Verdict(
            **{
                **verdict.__dict__,
                "checkpoints": (wild, *verdict.checkpoints[1:]),
                "notes": ("[red]x[/red]",),
            }
        )
    )
    assert "[red]x[/red]" in text
    assert "1.23e+05" in text
    assert "…" not in text
    assert "epoch" not in text.splitlines()[4]
    assert max(map(len, text.splitlines())) <= 80


def test_terminal_speaks_of_thin_evidence() -> None:
    verdict = make_verdict(stage="undetermined", recommended=None, alternatives={}, reason="7 problems")
    text = printed(Verdict(**{**verdict.__dict__, "checkpoints": ()}))
    assert "insufficient evidence" in text
    assert "none yet" in text


def test_report_imports_neither_torch_nor_plotly_until_used() -> None:
    code = (
        "import sys, overmem.reporting.html, overmem.cli.views.verdict;"
        "assert not {'torch', 'transformers', 'plotly'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run(
        [sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )


def test_an_untrained_first_checkpoint_does_not_flatten_the_perplexity_curve() -> None:
    record = make_verdict(5).to_dict()
    for name, value in (("value", 40.0), ("low", 38.0), ("high", 42.0)):
        record["checkpoints"][0]["perplexity"][name] = value
    panel = Panel(record, "perplexity", "y2", "#000")
    assert panel.off_scale == [0] and panel.ceiling < 10 and not panel.log
    record["checkpoints"][-1]["perplexity"]["value"] = 40.0
    assert Panel(record, "perplexity", "y2", "#000").off_scale == []
