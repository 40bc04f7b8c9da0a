import pytest

from overmem.errors import RunError
from overmem.logs.history import LoggedHistory, logged_number


def history_of(*rows):
    return LoggedHistory(rows=rows, source="log.jsonl", kind="trainer_log")


def test_rows_are_kept_as_they_were_logged():
    rows = ({"step": 0, "loss": float("nan")}, {"step": 10.0, "eval_loss": "oops"})
    assert history_of(*rows).rows == rows


@pytest.mark.parametrize("step", [None, -1, 2.5, "ten", float("nan")])
def test_a_row_without_a_step_is_refused(step):
    with pytest.raises(RunError, match=r"row 1 of the log in log\.jsonl has no step"):
        history_of({"step": 1}, {"step": step})


@pytest.mark.parametrize(
    ("value", "figure"),
    [(1.5, 1.5), (-1e29, -1e29), (1.7e308, None), (-1e31, None), (1e-320, 0.0), (-1e-31, 0.0), ("1", None)],
)
def test_a_figure_that_overflowed_is_none_and_one_that_underflowed_is_0(value, figure):
    assert logged_number(value) == figure
