"""Where a report goes, and which artifacts it may be made from."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import overmem
from overmem.artifacts.store import Store
from overmem.cli.app import app
from overmem.errors import OvermemError
from overmem.records import Repair
from overmem.reporting.run import print_or_write, render
from tests.helpers.synthetic import write_run
from tests.helpers.verdicts import make_verdict
from tests.helpers.written_logs import WRITTEN


@pytest.mark.parametrize("format", ["html", "md", "json"])
def test_default_file_lies_among_the_artifacts(run: Path, format: str) -> None:
    assert overmem.report(run, format=format) == run / "overmem" / f"report.{format}"
    assert overmem.report(run / "overmem", format=format) == run / "overmem" / f"report.{format}"


def test_a_log_that_is_no_run_has_its_report_beside_it(tmp_path: Path) -> None:
    log = tmp_path / "llamafactory" / "trainer_log.jsonl"
    log.parent.mkdir()
    log.write_text((WRITTEN / "llamafactory" / "trainer_log.jsonl").read_text())
    assert overmem.report(log, format="md") == log.parent / "trainer_log-report.md"
    assert overmem.report(log.parent) == tmp_path / "llamafactory-report.html"
    assert "eval_loss" in (tmp_path / "llamafactory-report.html").read_text()


def test_a_log_that_went_on_is_read_anew(tmp_path: Path) -> None:
    rows = [{"step": step, "eval_loss": 2.0} for step in (1, 2)]
    state = tmp_path / "trainer_state.json"
    state.write_text(json.dumps({"log_history": rows}))
    overmem.diagnose(tmp_path)
    state.write_text(json.dumps({"log_history": [*rows, {"step": 77, "eval_loss": 2.5}]}))
    assert "step-77" in render(tmp_path, format="json")


def test_an_artifact_folder_stands_for_its_run(run: Path) -> None:
    assert render(run, format="md") == render(run / "overmem", format="md")


def test_unknown_formats_and_printed_pages_are_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(OvermemError, match="expected: html, md, json"):
        overmem.report(run, format="pdf")
    with pytest.raises(OvermemError, match="not printed"):
        print_or_write(run, out="-")
    result = CliRunner().invoke(app, ["report", str(run), "--format", "pdf"])
    assert isinstance(result.exception, OvermemError)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("format", "start"), [("md", "## overmem"), ("json", "{")])
def test_out_dash_prints_and_writes_nothing(run: Path, format: str, start: str) -> None:
    before = set(Path.cwd().iterdir())
    result = CliRunner().invoke(app, ["report", str(run), "--format", format, "--out", "-"])
    assert result.exit_code == 0 and result.stdout.startswith(start)
    assert set(Path.cwd().iterdir()) == before


def test_a_verdict_of_other_rows_is_shown_without_exhibits(run: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "overmem")
    store.write_record("manifest", Store(run / "overmem").read_record("manifest", "overmem.manifest/1"))
    store.write_record("verdict", make_verdict().to_dict())
    page = render(tmp_path)
    assert "the rows are not those of this verdict" in page.lower() and 'data-figure="dynamics"' in page


def test_a_repair_of_another_audit_is_left_out_and_said_so(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    overmem.diagnose(folder)
    repair = Repair(
        run=folder,
        before="checkpoint-300",
        last="checkpoint-600",
        n_search=1,
        n_confirm=1,
        attempts=(),
        winner=None,
        proof=None,
        against_last=(),
        temperature=None,
        retraining=None,
        model=None,
        audited="of something else",
        words=("Repaired: x",),
    )
    Store(folder / "overmem").write_record("repair", repair.to_dict())
    page = render(folder)
    assert "other weights or problems" in page and "Repaired: x" not in page
    assert "Repaired: x" not in render(folder, format="md")
