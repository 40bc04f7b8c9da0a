"""`overmem audit` and `plan` name the runs in a folder that holds several."""

import json
from pathlib import Path

import pytest

from overmem.cli.commands.audit import _name_several_runs


def write_state(folder: Path, step: int, loss: float) -> None:
    folder.mkdir(parents=True)
    rows = [{"step": s, "loss": loss / s} for s in range(1, step + 1)]
    (folder / "trainer_state.json").write_text(json.dumps({"global_step": step, "log_history": rows}))


def test_two_runs_are_named_on_standard_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_state(tmp_path / "checkpoint-2", 2, 1.0)
    write_state(tmp_path / "checkpoint-4", 4, 1.0)
    _name_several_runs(tmp_path)
    assert capsys.readouterr() == ("", "")
    write_state(tmp_path / "checkpoint-5", 5, 3.0)
    _name_several_runs(tmp_path)
    out, err = capsys.readouterr()
    text = " ".join(err.split())
    assert out == "" and "2 runs lie in this folder" in text
    assert "checkpoint-2, checkpoint-4" in text and "--checkpoints-glob" in text


def test_a_folder_without_logs_is_no_matter(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _name_several_runs(tmp_path)
    (tmp_path / "trainer_state.json").write_text("{")
    _name_several_runs(tmp_path)
    assert capsys.readouterr() == ("", "")
