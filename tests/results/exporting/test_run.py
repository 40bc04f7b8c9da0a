"""Rows of an audit, written as other tools have them and read back.

Covers: overmem.results.exporting.rows, overmem.results.exporting.as_lm_eval,
    overmem.results.exporting.as_inspect
"""

import json
import re

import polars as pl
import pytest

import overmem
from overmem.errors import OvermemError
from overmem.results.exporting.run import export_rows
from overmem.results.run import import_results
from tests.helpers.results import STEPS, planted, write_checkpoints


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run with imported rows of answers, likelihoods and texts."""
    home = tmp_path_factory.mktemp("export")
    run = write_checkpoints(home / "run")
    correct, nll = planted(60)
    rows = [
        {
            "checkpoint": f"checkpoint-{step}", "example_id": f"q{i}", "correct": correct[c][i],
            "nll_nats": nll[c][i], "n_tokens": 20, "prompt": f"Q{i}?", "completion": f" It is {i}.",
            "answer": str(i), "text": "=SUM(A1)",
        }
        for c, step in enumerate(STEPS) for i in range(60)
    ]  # fmt: skip
    pl.DataFrame(rows).write_parquet(home / "rows.parquet")
    import_results("parquet", home / "rows.parquet", run)
    return run


@pytest.mark.parametrize("format, name", [("csv", "t.csv"), ("parquet", "t.parquet"), ("lm-eval", "f")])
def test_there_and_back_gives_the_same_verdict(run, tmp_path, format, name):
    export_rows(format, run, tmp_path / name)
    import_results(format, tmp_path / name, run, out=tmp_path / "back")
    before, after = (overmem.diagnose(folder, save=False) for folder in (run, tmp_path / "back"))
    for a, b in zip(before.checkpoints, after.checkpoints, strict=True):
        assert (a.name, a.stage, a.accuracy) == (b.name, b.stage, b.accuracy)
        assert a.nll_nats.value == pytest.approx(b.nll_nats.value, abs=1e-12)


def test_a_log_of_inspect_holds_the_answers(run, tmp_path):
    files = export_rows("inspect", run, tmp_path / "logs")
    found = import_results("inspect", tmp_path / "logs", run, out=tmp_path / "back", metric="correct")
    assert found.manifest.val.n == 60
    # What `inspect view` lists (inspect_ai 0.3.285): a name that begins with a time, and these parts.
    assert all(
        re.match(r"\d{4}-\d{2}-\d{2}T\d{2}-\d{2}-\d{2}_\w+_checkpoint-\d+\.json$", f.name) for f in files
    )
    record = json.loads(files[0].read_text())
    assert {"status", "eval", "plan", "stats"} <= record.keys() and record["eval"][
        "model"
    ] == "overmem/checkpoint-100"
    sample = record["samples"][0]
    assert sample["scores"]["nll_nats"]["value"] > 0 and sample["scores"]["correct"]["answer"] == "=SUM(A1)"
    assert [turn["role"] for turn in sample["messages"]] == ["user", "assistant"]
    log = pytest.importorskip("inspect_ai.log")
    assert len(log.read_eval_log(str(files[0])).samples) == 60
    listed = log.list_eval_logs(str(tmp_path / "logs"))
    assert len(listed) == len(files) and all(
        log.read_eval_log(item, header_only=True).plan for item in listed
    )


def test_ids_are_no_formulas_in_a_spreadsheet(tmp_path):
    run = write_checkpoints(tmp_path / "run")
    lines = [f"checkpoint-{s},=cmd{i}\x1b[2J,1" for s in STEPS for i in range(3)]
    (tmp_path / "t.csv").write_text("\n".join(["checkpoint,example_id,correct", *lines]) + "\n")
    import_results("csv", tmp_path / "t.csv", run)
    (written,) = export_rows("csv", run, tmp_path / "out.csv")
    text = written.read_text()
    assert ",'=cmd0\\x1b[2J," in text and "\x1b" not in text


def test_a_run_without_rows_and_an_unknown_format_are_refused(run, tmp_path):
    with pytest.raises(OvermemError, match="unknown format"):
        export_rows("xlsx", run, tmp_path / "x")
    other = write_checkpoints(tmp_path / "run")
    with pytest.raises(OvermemError, match="manifest"):
        export_rows("csv", other, tmp_path / "x")
    (tmp_path / "t.csv").write_text("checkpoint,accuracy,n\ncheckpoint-100,0.5,90\ncheckpoint-200,0.5,90\n")
    import_results("csv", tmp_path / "t.csv", other)
    with pytest.raises(OvermemError, match="no row on val"):
        export_rows("csv", other, tmp_path / "x")
    assert not (tmp_path / "x").exists()
