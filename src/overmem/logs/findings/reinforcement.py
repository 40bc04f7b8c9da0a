"""What the log of a reinforcement training shows: the course of its reward, and how it stops learning.

Its loss is no measure of progress: it is about 0 at every step, whatever is learned. The reward is of answers
that the policy drew to the training prompts at that step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, stdev

from overmem.formatting import percent
from overmem.logs.history import LoggedHistory, logged_number
from overmem.logs.keep import REWARDS
from overmem.logs.kinds import Task
from overmem.records.logged import LoggedFinding

_FEWEST = 10
"""Rows that a course is read from."""
_PARTS = 10
_SHARES = (
    (
        "frac_reward_zero_std",
        0.8,
        "no_advantage",
        "All answers to a prompt get the same reward in {} of the groups late in the run: such a group "
        "teaches nothing. The prompts are too easy or too hard, or the answers are all alike.",
    ),
    (
        "completions/clipped_ratio",
        0.5,
        "answers_cut_off",
        "{} of the answers are cut off at the length limit late in the run: their reward is that of an "
        "unfinished answer. Raise `max_completion_length`, or look whether they still end.",
    ),
)
"""Shares as TRL logs them, the least that is told, and the finding."""
_LEAST_ENTROPY = 0.1
"""Of the entropy at the start."""


def of_reinforcement(history: LoggedHistory, task: Task) -> tuple[LoggedFinding, ...]:
    """Findings on the training rows of reinforcement; none of another task.

    Args:
        history: the log.
        task: what was trained.
    """
    if task.name != "reinforcement":
        return ()
    key = next((key for key in REWARDS if len(_column(history, key)) >= _FEWEST), None)
    found = [_course(_column(history, key), key)] if key is not None else []
    late = {
        name: fmean(values[-max(1, len(values) // _PARTS) :])
        for name, *_ in _SHARES
        if (values := [value for _, value in _column(history, name)])
    }
    return (*found, *_mostly(late), *_collapsed(_column(history, "entropy")))


def _column(history: LoggedHistory, key: str) -> list[tuple[int, float]]:
    """Step and figure of the training rows that have one."""
    rows = (row for row in history.rows if "eval_loss" not in row)
    return [(int(row["step"]), value) for row in rows if (value := logged_number(row.get(key))) is not None]


def _course(column: Sequence[tuple[int, float]], key: str) -> LoggedFinding:
    """The reward at the start, at its best and at the end, as means of a tenth of the rows each."""
    n = max(2, len(column) // _PARTS)
    parts = [column[i : i + n] for i in range(0, len(column) - n + 1, n)]
    means = [fmean(value for _, value in part) for part in parts]
    best = max(range(len(means)), key=means.__getitem__)
    noise = math.sqrt(fmean(stdev(value for _, value in part) ** 2 for part in parts) * 2 / n)
    change, fall = means[-1] - means[0], means[best] - means[-1]
    ends = f"{means[0]:.3g} in the first tenth of the log, {means[-1]:.3g} in the last"
    if fall > 3 * noise and fall > 0:
        where = f"around step {parts[best][len(parts[best]) // 2][0]:,}"
        return LoggedFinding(
            kind="reward_fell",
            severity="warning",
            sentence=f"The training reward (`{key}`) was highest {where}, {means[best]:.3g}, and is "
            f"{means[-1]:.3g} at the end: look at the checkpoints before the fall.",
            steps=(parts[best][0][0],),
        )
    moved = (
        "rises"
        if change > 2 * noise
        else "falls"
        if change < -2 * noise
        else "does not move beyond its noise"
    )
    return LoggedFinding(
        kind="reward", severity="note", sentence=f"The training reward (`{key}`) {moved}: {ends}."
    )


def _mostly(late: dict[str, float]) -> list[LoggedFinding]:
    """What is true of most groups or answers late in the run."""
    return [
        LoggedFinding(kind=kind, severity="warning", sentence=sentence.format(percent(late[name], 0)))
        for name, least, kind, sentence in _SHARES
        if late.get(name, 0.0) >= least
    ]


def _collapsed(column: Sequence[tuple[int, float]]) -> list[LoggedFinding]:
    if len(column) < _FEWEST:
        return []
    n = len(column) // _PARTS
    first, last = (fmean(value for _, value in part) for part in (column[:n], column[-n:]))
    if not 0 <= last < _LEAST_ENTROPY * first:
        return []
    text = (
        f"The entropy of the policy fell from {first:.3g} to {last:.2g} nats a token: it answers nearly the "
        "same each time, and what only another answer would show is not learned."
    )
    return [LoggedFinding(kind="entropy_collapse", severity="warning", sentence=text, steps=(column[-1][0],))]
