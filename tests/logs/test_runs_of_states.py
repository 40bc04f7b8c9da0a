"""Runs told apart by the logs that their checkpoints carry."""

import math
from pathlib import Path
from typing import Any

from overmem.logs.runs_of_states import group_states, shared_rows
from overmem.logs.states import State


def rows(upto: int, salt: float = 0.0, every: int = 10) -> list[dict[str, Any]]:
    return [{"step": s, "loss": 3 / s + salt, "epoch": s / 100} for s in range(every, upto + 1, every)]


def state(name: str, step: int, history: list[dict[str, Any]], max_steps: int = 100) -> State:
    path = Path("run") / name / "trainer_state.json"
    return State(path=path, step=step, max_steps=max_steps, rows=tuple(history), found={})


def grouped(*states: State) -> list[list[list[int]]]:
    return [
        [[member.step for member in branch.members] for branch in run.branches]
        for run in group_states(states)
    ]


def test_checkpoints_of_one_run_are_one_run_in_any_order() -> None:
    states = [state(f"checkpoint-{s}", s, rows(s)) for s in (60, 20, 100, 40)]
    assert grouped(*states) == [[[100, 60, 40, 20]]]


def test_another_run_in_the_folder_is_told_apart_whatever_its_length() -> None:
    mine = [state(f"checkpoint-{s}", s, rows(s)) for s in (20, 40)]
    other = state("checkpoint-90", 90, rows(90, salt=0.5), max_steps=90)
    assert grouped(*mine, other) == [[[40, 20]], [[90]]]


def test_a_resumed_branch_belongs_to_its_run() -> None:
    resumed = rows(40) + [row | {"loss": row["loss"] + 1} for row in rows(70)[4:]]
    main, old = state("checkpoint-100", 100, rows(100)), state("checkpoint-70", 70, resumed)
    (run,) = group_states([old, main])
    assert [branch.newest for branch in run.branches] == [main, old]
    assert [branch.forked_at for branch in run.branches] == [None, 40]


def test_the_folders_own_state_is_of_the_main_branch() -> None:
    resumed = rows(40) + [row | {"loss": row["loss"] + 1} for row in rows(70)[4:]]
    own, left = state("", 70, resumed), state("checkpoint-100", 100, rows(100))
    (run,) = group_states([left, own])
    assert [branch.newest for branch in run.branches] == [own, left]


def test_a_state_without_rows_goes_to_the_run_of_its_length() -> None:
    one, other = state("checkpoint-40", 40, rows(40)), state("checkpoint-90", 90, rows(90, 0.5), max_steps=90)
    assert grouped(one, other, state("checkpoint-5", 5, [], max_steps=90)) == [[[90, 5]], [[40]]]
    assert grouped(one, other, state("checkpoint-5", 5, [], max_steps=7))[-1] == [[5]]
    assert grouped(one, state("checkpoint-5", 5, [])) == [[[40, 5]]]


def test_nan_is_the_same_as_nan_in_another_file() -> None:
    one, other = ([{"step": 1, "loss": float("nan")}, {"step": 2, "loss": last}] for last in (1.0, 2.0))
    assert math.isnan(one[0]["loss"]) and one[0]["loss"] is not other[0]["loss"]
    assert shared_rows(one, other) == 1
    assert shared_rows(one, one[:1]) == 1
    assert shared_rows(one, []) == 0


def test_a_state_without_rows_that_two_runs_may_own_is_its_own() -> None:
    one, other = state("a", 20, rows(20)), state("b", 40, rows(40, salt=1.0))
    assert len(grouped(one, other, state("c", 30, []))) == 3
