import math

import pytest

from overmem.logs.history import LoggedHistory
from overmem.logs.train_loss.rows import train_rows


def history(*rows, **known):
    return LoggedHistory(rows=rows, source="log", kind="trainer_state", **known)


def test_rows_are_series_in_order_of_steps():
    rows = train_rows(
        history(
            {"step": 20, "loss": 1.0, "learning_rate": 1e-4, "epoch": 2.0},
            {"step": 10, "loss": "oops", "epoch": 1.0},
            {"step": 10, "loss": 2.0, "grad_norm": 0.0, "epoch": 1.0},  # logged again: the last one counts
            {"step": 20, "eval_loss": 3.0},
            {"step": 30, "loss": math.nan, "epoch": 3.0},
        )
    )
    assert (rows.steps, rows.losses, rows.bad_steps) == ((10, 20), (2.0, 1.0), (30,))
    assert math.isnan(rows.rates[0]) and rows.rates[1] == 1e-4
    assert rows.first_steps == (0, 10)
    assert rows.no_gradient
    assert rows.steps_an_epoch == 10
    assert rows.epochs == 2


def test_a_log_without_training_loss_is_empty():
    rows = train_rows(history({"step": 10, "eval_loss": 1.0}))
    assert rows.steps == () and math.isnan(rows.epochs) and not rows.no_gradient


@pytest.mark.parametrize(
    ("last", "known", "expected"),
    [
        ({"epoch": 1.99}, {"max_steps": 30, "planned_epochs": 3}, 10),  # the plan agrees and is exact
        ({"epoch": 4.0}, {"max_steps": 30, "planned_epochs": 3}, 5),  # it does not
        ({}, {"max_steps": 30, "planned_epochs": 3}, 10),
        ({"epoch": 0.0}, {}, math.nan),
        ({}, {}, math.nan),
        ({"epoch": "x"}, {"max_steps": 30}, math.nan),
    ],
)
def test_steps_of_an_epoch(last, known, expected):
    assert train_rows(history({"step": 20, "loss": 1.0, **last}, **known)).steps_an_epoch == pytest.approx(
        expected, nan_ok=True
    )


def test_a_row_across_a_boundary_belongs_to_no_epoch():
    rows = train_rows(history(*({"step": s, "loss": 1.0, "epoch": s / 10} for s in (4, 8, 12, 16, 20, 24))))
    assert [round(middle, 1) for middle, _, _ in rows.in_epochs()] == [0.2, 0.6, 1.4, 1.8, 2.2]


def test_a_log_that_starts_late_says_nothing_of_the_steps_before_it():
    rows = train_rows(
        history({"step": 100, "loss": 1.0, "epoch": 10}, {"step": 110, "loss": 1.0, "epoch": 11})
    )
    assert rows.first_steps == (90, 100)
