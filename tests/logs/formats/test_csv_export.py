import csv

import pytest

from overmem.errors import RunError
from overmem.logs.formats import csv_export


def write(path, *lines):
    with path.open("w", newline="") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows(lines)
    return path


def test_a_chart_of_wandb_has_a_run_a_column(tmp_path):
    header = ["train/global_step"]
    for run in ("a - b", "c"):
        header += [f"{run} - eval/loss", f"{run} - eval/loss__MIN", f"{run} - eval/loss__MAX"]
    file = write(tmp_path / "chart.csv", header, [10, 2.5, 2.5, 2.5, "", "", ""], [20, 2, 2, 2, 3, 3, 3])
    assert csv_export.recognizes(file)
    first, second = csv_export.read(file)
    assert (first.source, second.source, first.kind) == (f"{file}, run a - b", f"{file}, run c", "wandb")
    assert [dict(row) for row in first.rows] == [{"step": 10, "eval_loss": 2.5}, {"step": 20, "eval_loss": 2}]
    assert [dict(row) for row in second.rows] == [{"step": 20, "eval_loss": 3}]


def test_the_history_of_a_run_is_read_with_what_else_it_has(tmp_path):
    file = write(
        tmp_path / "history.csv",
        ["", "_step", "_runtime", "train/loss", "eval/loss", "train/global_step", "train/epoch"],
        [0, 0, 1.5, 2.5, "NaN", 10, 0.5],
        [1, 1, 2.5, "", 2.0, 10, 0.5],
        [2, 2, 2.5, 1.0, "", "", 0.5],
    )
    (history,) = csv_export.read(file)
    assert [row["step"] for row in history.rows] == [10, 10]
    assert history.rows[0]["loss"] == 2.5 and history.rows[1]["eval_loss"] == 2.0
    assert history.notes == ("1 of 3 lines have no step and were left out.",)


def test_scalars_of_tensorboard_are_named_by_their_file(tmp_path):
    file = write(
        tmp_path / "run-Nov29_host-tag-eval_loss.csv", ["Wall time", "Step", "Value"], [1.5, 10, 2.5]
    )
    assert csv_export.recognizes(file)
    (history,) = csv_export.read(file)
    assert history.rows[0]["eval_loss"] == 2.5 and history.kind == "csv"


@pytest.mark.parametrize(
    "lines",
    [[["question", "answer"], ["a", "b"]], [["Step", "Value"], [1, 2]], [[]], [["step", "loss"], ["x", 1]]],
)
def test_what_is_no_log_is_one_clear_error(tmp_path, lines):
    file = write(tmp_path / "table.csv", *lines)
    with pytest.raises(RunError, match="holds no log of a training"):
        csv_export.read(file)


def test_binary_is_not_taken_for_a_table(tmp_path):
    file = tmp_path / "table.csv"
    file.write_bytes(bytes(range(256)) * 40)
    assert not csv_export.recognizes(file)
    with pytest.raises(RunError):
        csv_export.read(file)
