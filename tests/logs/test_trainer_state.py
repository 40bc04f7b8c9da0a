"""A run's folder, a checkpoint's, or a trainer state: whose log it is, and which checkpoints are on disk.

Covers: overmem.logs.configuration
"""

import json
from pathlib import Path
from typing import Any

import pytest

from overmem.errors import RunError
from overmem.logs.reading import read_histories
from overmem.logs.trainer_state import _read_all


def rows(upto: int, salt: float = 0.0) -> list[dict[str, Any]]:
    return [{"step": s, "loss": 3 / s + salt, "epoch": s / 100} for s in range(10, upto + 1, 10)]


def write_state(folder: Path, step: int, history: list[Any], **more: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    state = {"global_step": step, "max_steps": 100, "num_train_epochs": 3, "log_history": history} | more
    (folder / "trainer_state.json").write_text(json.dumps(state))


def write_run(run: Path, steps: tuple[int, ...] = (20, 40, 60), salt: float = 0.0, **more: Any) -> Path:
    for step in steps:
        write_state(run / f"checkpoint-{step}", step, rows(step, salt), **more)
    return run


def test_the_longest_log_speaks_for_a_run_and_its_checkpoints_are_named(tmp_path: Path) -> None:
    (tmp_path / "checkpoint-80").mkdir()
    write_run(tmp_path, best_metric=0.5, best_model_checkpoint="out/checkpoint-40")
    (tmp_path / "checkpoint-40" / "adapter_model.safetensors").touch()
    (history,) = read_histories(tmp_path)
    assert len(history.rows) == 6
    assert (history.max_steps, history.planned_epochs) == (100, 3)
    assert (history.best_metric, history.best_checkpoint) == (0.5, "out/checkpoint-40")
    assert [(one.step, one.has_weights) for one in history.saved] == [
        (20, False),
        (40, True),
        (60, False),
        (80, False),
    ]


def test_two_runs_in_a_folder_each_have_their_own_checkpoints(tmp_path: Path) -> None:
    write_run(tmp_path)
    write_run(tmp_path, (30, 90), salt=0.5, max_steps=90)
    first, second = read_histories(tmp_path)
    assert [one.step for one in first.saved] == [20, 40, 60]
    assert [one.step for one in second.saved] == [30, 90]
    assert first.branch_of is second.branch_of is None


def test_a_branch_that_was_left_names_its_run(tmp_path: Path) -> None:
    write_run(tmp_path)
    write_state(tmp_path / "checkpoint-50", 50, [*rows(30), *rows(50, 0.5)[3:]])
    main, branch = read_histories(tmp_path)
    assert branch.branch_of == main.source
    assert [one.step for one in main.saved] == [20, 40, 60]
    assert [one.step for one in branch.saved] == [50]
    assert "up to step 30" in branch.notes[0]


def test_a_run_that_was_made_longer_is_one_run(tmp_path: Path) -> None:
    write_run(tmp_path, (20, 40))
    write_state(tmp_path / "checkpoint-60", 60, rows(60), max_steps=200)
    (history,) = read_histories(tmp_path)
    assert history.notes == ("It was resumed with 200 planned steps, after 100.",)


@pytest.mark.parametrize("name", ["checkpoint-40", "checkpoint-40/trainer_state.json"])
def test_a_checkpoint_speaks_for_its_own_step_and_knows_its_neighbours(tmp_path: Path, name: str) -> None:
    write_run(tmp_path)
    write_run(tmp_path, (30,), salt=0.5)
    (history,) = read_histories(tmp_path / name)
    assert len(history.rows) == 4
    assert [one.step for one in history.saved] == [20, 40]


def test_a_damaged_state_costs_no_more_than_itself(tmp_path: Path) -> None:
    write_run(tmp_path)
    (tmp_path / "checkpoint-60" / "trainer_state.json").write_text("{")
    (history,) = read_histories(tmp_path)
    assert len(history.rows) == 4
    assert [one.step for one in history.saved] == [20, 40, 60]
    assert "checkpoint-60" in history.notes[0]
    with pytest.raises(RunError, match="cannot be read as JSON"):
        read_histories(tmp_path / "checkpoint-60")


def test_the_model_at_the_root_is_of_the_last_step(tmp_path: Path) -> None:
    write_run(tmp_path)
    (tmp_path / "model.safetensors").touch()
    (history,) = read_histories(tmp_path)
    assert [(one.name, one.step) for one in history.saved][-1] == ("final", 60)


def test_settings_come_from_the_files_beside_the_log(tmp_path: Path) -> None:
    write_run(tmp_path, logging_steps=10)
    home = tmp_path / "checkpoint-60"
    (home / "config.json").write_text('{"architectures": ["XForCausalLM"], "hidden_size": 4}')
    (home / "adapter_config.json").write_text('{"task_type": "CAUSAL_LM", "r": 8}')
    (tmp_path / "args.json").write_text('{"gradient_accumulation_steps": 16, "seed": 1, "packing": null}')
    assert read_histories(tmp_path)[0].settings == {
        "architectures": ["XForCausalLM"],
        "task_type": "CAUSAL_LM",
        "gradient_accumulation_steps": 16,
        "logging_steps": 10,
    }


def test_a_state_under_another_name_is_known_by_its_content(tmp_path: Path) -> None:
    write_state(tmp_path, 20, rows(20))
    (tmp_path / "trainer_state.json").rename(tmp_path / "mine.json")
    assert len(read_histories(tmp_path / "mine.json")[0].rows) == 2


def test_nothing_to_read_is_one_message(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no training log"):
        read_histories(tmp_path)
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(RunError, match="of another kind"):
        read_histories(tmp_path / "notes.txt")
    with pytest.raises(RunError, match="does not exist"):
        read_histories(tmp_path / "nowhere")


def test_a_folder_without_a_state_belongs_to_none_of_several_runs(tmp_path: Path) -> None:
    write_run(tmp_path)
    write_state(tmp_path / "checkpoint-50", 50, rows(50, salt=1.0))
    (tmp_path / "checkpoint-55").mkdir()
    (tmp_path / "checkpoint-55" / "model.safetensors").write_bytes(b"")
    (tmp_path / "checkpoint-55" / "config.json").write_text("{}")
    assert all("checkpoint-55" not in {one.name for one in run.saved} for run in read_histories(tmp_path))


def test_states_of_one_run_share_their_rows_in_memory(tmp_path: Path) -> None:
    write_run(tmp_path, salt=0.1)
    write_state(tmp_path / "checkpoint-70", 70, rows(70, salt=0.2))
    files = sorted(tmp_path.glob("checkpoint-*/trainer_state.json"))
    states, _ = _read_all(files)
    assert [state.path for state in states] == files
    *own, other = sorted(states, key=lambda state: state.step)
    for state in own:
        assert all(a is b for a, b in zip(state.rows, own[-1].rows, strict=False))
        assert state.rows[-1]["step"] == state.step and "log_history" not in state.found
    assert other.rows[0] is not own[-1].rows[0]
