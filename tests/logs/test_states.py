"""One trainer state: what old versions leave out, and what is no state."""

import json
from pathlib import Path
from typing import Any

import pytest

from overmem.errors import RunError
from overmem.logs.states import read_state, step_of


def write(folder: Path, **state: Any) -> Path:
    path = folder / "trainer_state.json"
    path.write_text(json.dumps(state))
    return path


def test_rows_without_a_step_are_placed_by_their_epoch(tmp_path: Path) -> None:
    history = [{"step": 50, "epoch": 0.5, "loss": 1.0}, {"epoch": 2.0, "predict_loss": 0.4}, {"loss": 3.0}, 7]
    state = read_state(write(tmp_path, global_step=300, epoch=3.0, max_steps=400, log_history=history))
    assert [row["step"] for row in state.rows] == [50, 200]
    assert (state.step, state.max_steps) == (300, 400)
    assert state.notes == (
        "1 of 4 rows have no step and were placed by their epoch.",
        "2 of 4 rows have no step and were left out.",
    )


def test_whole_floats_are_steps_and_the_last_row_stands_in_for_a_missing_count(tmp_path: Path) -> None:
    state = read_state(write(tmp_path, log_history=[{"step": 7.0, "loss": 1.0}]))
    assert state.rows[0]["step"] == 7
    assert isinstance(state.rows[0]["step"], int)
    assert (state.step, state.max_steps) == (7, None)


@pytest.mark.parametrize("value", [True, -1, 1.5, "3", None, float("nan"), 10**400, [1]])
def test_what_is_no_step(value: object) -> None:
    assert step_of(value) is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 4\n", "Git LFS pointer"),
        ("", "is empty"),
        ('{"log_history": [{"step": 1, "lo', "cannot be read as JSON"),
        ("[]", "not a trainer state"),
        ('{"weights": 3}', "not a trainer state"),
        ('{"log_history": {}}', "not a trainer state"),
        ('{"log_history": [{"eval_loss": 1}]}', "row 0 of log_history"),
        ('{"log_history": [{"step": "1"}, 3]}', "row 0 of log_history"),
    ],
)
def test_what_is_no_state_is_one_message(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "trainer_state.json"
    path.write_text(content)
    with pytest.raises(RunError, match=message):
        read_state(path)
