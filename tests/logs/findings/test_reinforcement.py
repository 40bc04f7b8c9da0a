"""The course of a reward, and the ways in which reinforcement stops learning."""

from typing import Any

import pytest

from overmem.logs.findings.reinforcement import of_reinforcement
from overmem.logs.history import LoggedHistory
from overmem.logs.kinds import find_task
from overmem.records.logged import LoggedFinding


def found(**columns: list[float]) -> dict[str, LoggedFinding]:
    n = len(next(iter(columns.values())))
    rows: list[dict[str, Any]] = [
        {"step": 10 * (i + 1), "loss": 0.0} | {key.replace("__", "/"): v[i] for key, v in columns.items()}
        for i in range(n)
    ]
    rows.append({"step": 10 * n, "eval_loss": 0.0, "eval_reward": 0.0, "reward": -1e9})
    history = LoggedHistory(
        rows=tuple(rows), source="log", kind="t", settings={"arguments_class": "GRPOConfig"}
    )
    return {one.kind: one for one in of_reinforcement(history, find_task(history.rows, history.settings))}


def wobble(values: list[float]) -> list[float]:
    return [value + (0.02 if i % 2 else -0.02) for i, value in enumerate(values)]


@pytest.mark.parametrize(
    ("rewards", "kind", "words"),
    [
        ([i / 40 for i in range(40)], "reward", "rises: 0.0375 in the first tenth of the log, 0.938"),
        ([1 - i / 40 for i in range(40)], "reward_fell", "highest around step 30, 0.963, and is 0.0625"),
        ([0.5] * 40, "reward", "does not move beyond its noise"),
        ([i / 20 for i in range(20)] + [0.1] * 20, "reward_fell", "look at the checkpoints before the fall"),
    ],
)
def test_the_course_of_the_reward(rewards: list[float], kind: str, words: str) -> None:
    findings = found(reward=wobble(rewards))
    assert list(findings) == [kind] and words in findings[kind].sentence


def test_rewards_that_overflowed_are_none() -> None:
    course = [i / 40 for i in range(40)]
    overflowed = [value for i, reward in enumerate(course) for value in (reward, (-1) ** i * 1.7e308)]
    told = found(reward=overflowed, entropy=[1.7e308] * 80)
    assert "rises: 0.0375 in the first tenth of the log, 0.938" in told["reward"].sentence


def test_few_rows_have_no_course() -> None:
    assert not found(reward=[0.1] * 9)


@pytest.mark.parametrize(("late", "says"), [(0.81, True), (0.79, False)])
def test_groups_without_advantage_late_in_the_run(late: float, says: bool) -> None:
    assert ("no_advantage" in found(frac_reward_zero_std=[0.0] * 18 + [late] * 2)) is says
    assert "no_advantage" not in found(frac_reward_zero_std=[1.0] * 18 + [0.1] * 2)


@pytest.mark.parametrize(("late", "says"), [(0.51, True), (0.49, False)])
def test_answers_cut_off_late_in_the_run(late: float, says: bool) -> None:
    assert ("answers_cut_off" in found(completions__clipped_ratio=[0.0] * 18 + [late] * 2)) is says


@pytest.mark.parametrize(("late", "says"), [(0.19, True), (0.21, False)])
def test_entropy_that_collapsed(late: float, says: bool) -> None:
    assert ("entropy_collapse" in found(entropy=[2.0] * 18 + [late] * 2)) is says
    assert "entropy_collapse" not in found(entropy=[2.0] * 8 + [0.1])
