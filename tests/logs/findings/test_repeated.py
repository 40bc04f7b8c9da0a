"""Evaluations after training and steps that were evaluated twice.

Covers: overmem.logs.after_training
"""

from typing import Any

import pytest

from overmem.logs.after_training import after_training
from overmem.logs.history import LoggedHistory
from overmem.logs.judged import judge_history
from overmem.records.logged import LoggedRun

LOSSES = {100: 1.9, 200: 1.70000012, 300: 1.8, 400: 2.1}


def history(*after: dict[str, Any], losses: dict[int, float] = LOSSES, **known: Any) -> LoggedHistory:
    rows: list[dict[str, Any]] = [{"step": step, "eval_loss": loss} for step, loss in losses.items()]
    rows.append({"step": 400, "train_runtime": 60.0, "train_loss": 1.5})
    return LoggedHistory(rows=(*rows, *after), source="log", kind="trainer_state", **known)


def judged(*args: Any, **kwargs: Any) -> tuple[LoggedRun, dict[str, str]]:
    run = judge_history(history(*args, **kwargs), "run")
    return run, {finding.kind: finding.sentence for finding in run.findings}


BEST = {"best_metric": 1.70000012, "best_checkpoint": "/elsewhere/out/checkpoint-200"}


def test_the_best_that_was_loaded_does_not_stand_for_the_end() -> None:
    again = {"step": 400, "eval_loss": 1.70000012, "eval_runtime": 3.0}
    run, said = judged(again, **BEST)
    (loss,) = run.series
    assert (loss.last_step, loss.last, loss.n_points) == (400, 2.1, 4)
    assert "has the figures of step 200" in said["best_evaluated_again"]
    assert "evaluated_twice" not in said


def test_nor_where_the_end_was_not_evaluated() -> None:
    losses = {step: LOSSES[step] for step in (100, 200, 300)}
    run, said = judged({"step": 400, "eval_loss": 1.70000012}, losses=losses, **BEST)
    assert run.series[0].last_step == 300 and "the last evaluation, at step 300" in said["end_not_evaluated"]


def test_an_evaluation_after_training_without_a_best_is_of_the_end() -> None:
    losses = {step: LOSSES[step] for step in (100, 200, 300)}
    run, said = judged({"step": 400, "eval_loss": 2.2}, losses=losses)
    assert (run.series[0].last_step, run.series[0].last) == (400, 2.2)
    assert not {"best_evaluated_again", "evaluated_twice"} & said.keys()
    own = after_training(history({"step": 400, "eval_loss": 2.1}, best_checkpoint="out/checkpoint-400"))
    assert own == {5: None}


@pytest.mark.parametrize(("value", "counted"), [(2.1001, None), (1.2, "first")])
def test_other_data_after_training_do_not_replace_the_last_evaluation(
    value: float, counted: str | None
) -> None:
    run, said = judged({"step": 400, "eval_loss": value})
    assert run.series[0].last == 2.1
    assert ("evaluated_twice" in said) is (counted is not None)
    if counted:
        assert "`eval_loss` 2.1 and 1.2: the first is counted" in said["evaluated_twice"]


def test_a_step_that_was_evaluated_twice_in_training_is_said() -> None:
    rows = [{"step": s, "eval_loss": v} for s, v in ((100, 1.9), (200, 1.7), (200, 0.5), (300, 1.8))]
    run = judge_history(LoggedHistory(rows=tuple(rows), source="log", kind="csv"), "run")
    (said,) = [one.sentence for one in run.findings if one.kind == "evaluated_twice"]
    assert "Step 200" in said and "1.7 and 0.5: the last is counted" in said
    assert run.series[0].best == 0.5


def test_rows_of_another_set_are_not_the_same_evaluation() -> None:
    assert after_training(history({"step": 400, "eval_test_loss": 2.5}, **BEST)) == {}


def test_a_run_that_goes_on_after_an_end_is_training_again() -> None:
    more = ({"step": 500, "loss": 1.0}, {"step": 500, "eval_loss": 1.70000012})
    assert after_training(history(*more, **BEST)) == {}


def test_without_a_best_the_same_figures_are_those_of_the_end() -> None:
    losses = {step: LOSSES[step] for step in (100, 200, 300)}
    assert after_training(history({"step": 400, "eval_loss": 1.70000012}, losses=losses)) == {}


def test_figures_that_cannot_be_read_are_of_no_other_step() -> None:
    losses = {100: 1.9, 200: float("nan"), 300: 1.8}
    late = {"step": 400, "eval_loss": float("nan")}
    assert after_training(history(late, losses=losses, best_checkpoint="out/checkpoint-200")) == {}
    assert after_training(history(late | {"eval_loss": 1.8}, losses=losses, **BEST)) == {4: 300}
