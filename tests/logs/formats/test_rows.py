import math

import pytest

from overmem.logs.formats.rows import (
    flat,
    histories,
    is_a_log,
    number_of,
    rows_of_series,
    split_runs,
    trainer_key,
    whole_step,
)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("train/loss", "loss"),
        ("eval/loss", "eval_loss"),
        ("eval/code_loss", "eval_code_loss"),
        ("eval_loss", "eval_loss"),
        ("val_loss", "eval_loss"),
        ("validation/accuracy", "eval_accuracy"),
        ("train/train_loss", "train_loss"),
        ("train/rewards/chosen", "rewards/chosen"),
        ("train/global_step", "global_step"),
        ("test/wer", "test_wer"),
        ("lr", "learning_rate"),
        ("current_steps", "step"),
        ("value", "value"),
    ],
)
def test_a_key_is_what_the_trainer_calls_it(name, key):
    assert trainer_key(name) == ("step" if name == "train/global_step" else key)


@pytest.mark.parametrize(
    ("text", "value"),
    [("1.5", 1.5), ("12", 12), ("1,500", 1500), ("2e-05", 2e-05), ("inf", math.inf), ("abc", "abc"), (3, 3)],
)
def test_a_number_is_read_from_its_text(text, value):
    assert number_of(text) == value


def test_a_number_of_more_digits_than_a_float_holds_is_no_whole_number():
    assert isinstance(number_of("123456789012345"), int) and isinstance(number_of("1234567890123456"), float)


def test_nan_is_read_and_a_step_is_whole():
    assert math.isnan(number_of("nan"))
    assert [whole_step(value) for value in (3, 3.0, 3.5, -1, True, "3", 2**60)] == [3, 3, *[None] * 5]


def test_a_row_is_a_log_with_a_loss_or_an_evaluation_alone():
    assert is_a_log({"loss": 1}) and is_a_log({"eval_wer": 1}) and is_a_log({"train_loss": 1})
    assert not is_a_log({"step": 1, "learning_rate": 1})


def test_series_become_rows_of_training_of_evaluation_and_of_the_end():
    values = [
        (2, "loss", 3.0),
        (2, "epoch", 1.0),
        (2, "eval_loss", 4.0),
        (2, "epoch", 1.0),
        (2, "train_loss", 3),
    ]
    assert rows_of_series(values) == [
        {"step": 2, "epoch": 1.0, "loss": 3.0},
        {"step": 2, "epoch": 1.0, "eval_loss": 4.0},
        {"step": 2, "epoch": 1.0, "train_loss": 3},
    ]


def test_series_that_begin_anew_are_not_laid_over_the_first():
    rows = rows_of_series([(1, "loss", 3.0), (2, "loss", 2.0), (1, "loss", 9.0), (2, "loss", 8.0)])
    assert [row["loss"] for row in rows] == [3.0, 2.0, 9.0, 8.0]
    assert [len(run) for run, _ in split_runs(rows)] == [2, 2]


def test_a_resumed_run_is_one_run_without_what_it_left_behind():
    rows = [{"step": step, "loss": step} for step in (10, 20, 30, 40)] + [
        {"step": step, "loss": -step} for step in (30, 40, 50)
    ]
    ((run, notes),) = split_runs(rows)
    assert [row["loss"] for row in run] == [10, 20, -30, -40, -50]
    assert notes == ("Training was resumed before step 30: 2 rows of what it left behind are not used.",)


def test_another_number_of_planned_steps_is_another_run():
    rows = [{"step": step, "total_steps": 40} for step in (10, 20)]
    rows += [{"step": step, "total_steps": 80} for step in (15, 30)]
    assert [len(run) for run, _ in split_runs(rows)] == [2, 2]
    made = histories(rows, source="a.log", kind="console")
    assert [(one.source, one.max_steps) for one in made] == [
        ("a.log (run 1 of 2 in it)", 40),
        ("a.log (run 2 of 2 in it)", 80),
    ]


def test_settings_are_flat_and_say_what_was_planned():
    settings = {
        "num_train_epochs": "3",
        "max_steps": "-1",
        "bf16": "True",
        "nested": {"a": 1},
        "names": ["x"],
    }
    assert flat(settings) == {"num_train_epochs": 3, "max_steps": -1, "bf16": True, "names": ["x"]}
    (one,) = histories([{"step": 1, "loss": 1.0}], source="x", kind="mlflow", settings=settings)
    assert (one.max_steps, one.planned_epochs) == (None, 3.0)
