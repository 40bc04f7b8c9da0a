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


LIGHTNING = """epoch,lr-AdamW,step,train_loss_epoch,train_loss_step,val_loss
0,1e-4,49,,2.0,
0,1e-4,99,,1.9,
0,,99,,,1.9
0,,99,1.95,,
1,1e-4,149,,1.6,
1,1e-4,199,,1.5,
1,,199,,,1.8
"""


def test_what_lightning_counts_from_0_is_what_was_done_by_then(tmp_path):
    (tmp_path / "metrics.csv").write_text(LIGHTNING)
    (found,) = csv_export.read(tmp_path / "metrics.csv")
    assert [(row["step"], row["epoch"], row["loss"]) for row in found.rows if "loss" in row] == [
        (50, 0.5, 2.0),
        (100, 1.0, 1.9),
        (150, 1.5, 1.6),
        (200, 2.0, 1.5),
    ]
    assert [row["eval_loss"] for row in found.rows if "eval_loss" in row] == [1.9, 1.8]


@pytest.mark.parametrize("epochs", [(1, 1, 2, 2), (0.5, 1, 1.5, 2), (0, 1, 2, 3), ("x", 0, 0, 1)])
def test_epochs_that_are_no_index_stay_as_they_are(tmp_path, epochs):
    lines = "".join(f"{50 * (i + 1)},{epoch},1.5\n" for i, epoch in enumerate(epochs))
    (tmp_path / "history.csv").write_text("step,epoch,loss\n" + lines)
    (found,) = csv_export.read(tmp_path / "history.csv")
    assert [row["step"] for row in found.rows] == [50, 100, 150, 200]
    assert [row["epoch"] for row in found.rows] == list(epochs)
