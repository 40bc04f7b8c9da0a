"""A log's verdict in the terminal: what to keep first, in 80 columns, and never a row of undefined."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from overmem.cli.views.verdict import render_verdict
from overmem.verdict.logged import read_logged


def printed(folder: Path, rows: list[dict[str, Any]]) -> str:
    state = {"global_step": rows[-1]["step"], "max_steps": 900, "log_history": rows}
    (folder / "trainer_state.json").write_text(json.dumps(state))
    stream = io.StringIO()
    render_verdict(read_logged(folder), Console(file=stream, width=80))
    return stream.getvalue()


@pytest.mark.parametrize("count", [0, 1, 5, 200])
def test_it_fits_80_columns_and_names_what_to_keep(tmp_path: Path, count: int) -> None:
    rows = [
        {"step": s, "epoch": s / 3, "eval_loss": 1 + (s - 3) ** 2, "eval_wer": s} for s in range(1, count + 1)
    ]
    text = printed(tmp_path, [*rows, {"step": count + 1, "loss": 1.0}])
    assert max(map(len, text.splitlines())) <= 80
    assert "undefined" not in text and "Ship" not in text and "stage" not in text.lower()
    assert len(text.splitlines()) < 60
    assert ("cannot be told" if count == 0 else "step 1, by eval_wer alone") in text


def test_the_best_and_those_alike_are_marked(tmp_path: Path) -> None:
    losses = (1.5, 1.01, 1.0, 1.02, 1.0, 1.5)
    lines = printed(tmp_path, [{"step": i, "eval_loss": v} for i, v in enumerate(losses, 1)]).splitlines()
    marks = {line.split()[1]: line[0] for line in lines if line[:1] in "*=" and line.split()[1:2]}
    assert marks["3"] == "*" and marks["5"] == "="


def test_several_sets_have_a_line_each(tmp_path: Path) -> None:
    rows = [{"step": s, "eval_a_loss": 2.0 / s, "eval_b_loss": s} for s in (1, 2, 3, 4)]
    text = printed(tmp_path, rows)
    assert "eval_a_loss" in text and "eval_b_loss" in text and "mean of the sets" in text


def test_each_of_several_runs_has_its_lines(tmp_path: Path) -> None:
    for step, loss in ((5, 1.0), (9, 2.0)):
        (tmp_path / f"checkpoint-{step}").mkdir()
        state = {"global_step": step, "log_history": [{"step": step, "eval_loss": loss}]}
        (tmp_path / f"checkpoint-{step}" / "trainer_state.json").write_text(json.dumps(state))
    stream = io.StringIO()
    render_verdict(read_logged(tmp_path), Console(file=stream, width=80))
    panel = stream.getvalue().rpartition("╭")[2]
    assert panel.index("Run 1  checkpoint-9:") < panel.index("Keep   checkpoint-9, by eval_loss alone (2)")
    assert panel.index("Run 2  checkpoint-5:") < panel.index("Keep   checkpoint-5, by eval_loss alone (1)")
