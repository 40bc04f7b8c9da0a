"""After an audit: its verdict and its page, or why there are none; the audit stands either way."""

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from overmem.cli import conclude as module
from overmem.cli.conclude import Conclusion, conclude, render_conclusion
from overmem.errors import ArtifactError, RunError
from overmem.rule import Rule
from tests.helpers.verdicts import make_verdict

DONE = SimpleNamespace(manifest=SimpleNamespace(axes=("likelihood", "accuracy")))


@pytest.fixture
def steps(monkeypatch, tmp_path):
    """Diagnosing and reporting that work, each told what it was called with."""
    called = {}

    def diagnose(done, rule):
        called["rule"] = rule
        return make_verdict()

    def report(place):
        called["place"] = place
        return tmp_path / "report.html"

    monkeypatch.setattr(module, "diagnose", diagnose)
    monkeypatch.setattr(module, "report", report)
    return called


def printed(found, place):
    out = io.StringIO()
    render_conclusion(found, place, Console(file=out, width=80, highlight=False))
    return out.getvalue().splitlines()


def test_stage_ship_and_page_stand_last(steps, tmp_path):
    found = conclude(DONE, Rule(perplexity_ratio=1.3), tmp_path)
    assert steps == {"rule": Rule(perplexity_ratio=1.3), "place": tmp_path}
    *_, stage, ship, _, page = printed(found, tmp_path)
    assert stage.startswith("│ Stage  ") and ship.startswith("│ Ship   ")
    assert page == f"page: {tmp_path / 'report.html'}"
    assert found.to_dict()["verdict"]["schema"] == "overmem.verdict/1"
    assert found.to_dict()["report"] == str(tmp_path / "report.html")


def test_an_audit_that_no_verdict_can_rest_on_says_so(tmp_path):
    part = SimpleNamespace(manifest=SimpleNamespace(axes=("likelihood",)))
    found = conclude(part, Rule(), tmp_path)
    assert "accuracy was not measured" in found.no_verdict and found.to_dict()["verdict"] is None
    assert printed(found, tmp_path) == [f"no verdict: {found.no_verdict}"]
    assert found.to_dict()["no_verdict"] == found.no_verdict


def test_a_verdict_that_fails_takes_nothing_from_the_audit(steps, monkeypatch, tmp_path):
    def refuses(*_):
        raise RunError("fewer than two were measured", got=1)

    monkeypatch.setattr(module, "diagnose", refuses)
    found = conclude(DONE, Rule(), tmp_path)
    assert found == Conclusion(no_verdict="fewer than two were measured\n  got:      1")
    assert "place" not in steps


def test_a_page_that_cannot_be_written_leaves_the_verdict(steps, monkeypatch, tmp_path):
    def refuses(_):
        raise ArtifactError("the report cannot be written")

    monkeypatch.setattr(module, "report", refuses)
    found = conclude(DONE, Rule(), tmp_path)
    lines = printed(found, tmp_path)
    assert found.verdict is not None and lines[-1] == "no page: the report cannot be written"
    assert any("Stage" in line for line in lines)
    assert found.to_dict()["no_report"] == "the report cannot be written"
    assert lines[0] == f"the verdict in full: overmem diagnose {tmp_path}"
    spaced = printed(found, tmp_path / "my run")
    assert spaced[0].endswith("/my run'")
