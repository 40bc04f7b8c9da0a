"""Which trainer states in a folder are of one run, which of another, and which of a branch left behind.

A run that is resumed from a checkpoint carries the log up to there on, so that states of one run begin with
the same rows. States of different runs differ in the first, whatever their steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from overmem.logs.states import State


@dataclass(kw_only=True)
class Branch:
    """States each of which continues the one before."""

    members: list[State]
    """The one with the longest log first."""
    forked_at: int | None = None
    """Last step that it shares with the run; None of the run's main branch."""

    @property
    def newest(self) -> State:
        """The state that holds the logs of the others."""
        return self.members[0]


@dataclass(kw_only=True)
class StatesOfRun:
    """States of one run, on one branch or several."""

    branches: list[Branch] = field(default_factory=list)
    """The main one first: that of the folder's own state, else the one that went furthest."""

    @property
    def members(self) -> list[State]:
        """All states of the run."""
        return [state for branch in self.branches for state in branch.members]


def group_states(states: Sequence[State]) -> list[StatesOfRun]:
    """Sort states into runs.

    Args:
        states: of one folder, in any order.

    Returns:
        The runs: the one with the most states first, then the one that went furthest.
    """
    runs: list[StatesOfRun] = []
    in_folder = _root_of(states)
    ordered = sorted(
        states, key=lambda s: (s is in_folder, len(s.rows) > 0, s.step, len(s.rows)), reverse=True
    )
    for state in (state for state in ordered if state.rows):
        _place(state, runs)
    for state in (state for state in ordered if not state.rows):
        alike = [run for run in runs if run.branches[0].newest.max_steps == state.max_steps]
        home = alike[0] if len(alike) == 1 else runs[0] if len(runs) == 1 and not alike else None
        if home is None:
            runs.append(StatesOfRun(branches=[Branch(members=[state])]))
        else:
            home.branches[0].members.append(state)
    for run in runs:
        for branch in run.branches:
            branch.members.sort(key=lambda state: len(state.rows), reverse=True)
    return sorted(runs, key=lambda run: (-len(run.members), -run.branches[0].newest.step))


def _root_of(states: Sequence[State]) -> State | None:
    """The state beside the checkpoints, written when the training ended; None where there is none."""
    shortest = min(states, key=lambda state: len(state.path.parts), default=None)
    alone = sum(len(state.path.parts) == len(shortest.path.parts) for state in states) if shortest else 0
    return shortest if alone == 1 and len(states) > 1 else None


def _place(state: State, runs: list[StatesOfRun]) -> None:
    forks: list[tuple[int, StatesOfRun]] = []
    for run in runs:
        for branch in run.branches:
            longest = branch.newest.rows
            shared = shared_rows(state.rows, longest)
            if shared == min(len(state.rows), len(longest)):
                branch.members.append(state)
                branch.members.sort(key=lambda member: len(member.rows), reverse=True)
                return
            if shared:
                forks.append((shared, run))
    if not forks:
        runs.append(StatesOfRun(branches=[Branch(members=[state])]))
        return
    shared, run = max(forks, key=lambda fork: fork[0])
    run.branches.append(Branch(members=[state], forked_at=state.rows[shared - 1]["step"]))


def shared_rows(one: Sequence[Mapping[str, Any]], other: Sequence[Mapping[str, Any]]) -> int:
    """How many rows two logs have in common from their start.

    Rows that differ are never followed by one that is the same, since a row holds its losses.
    """
    low, high = 0, min(len(one), len(other))
    if high and _same(one[high - 1], other[high - 1]) and _same(one[0], other[0]):
        return high
    while low < high:
        middle = (low + high) // 2
        if _same(one[middle], other[middle]):
            low = middle + 1
        else:
            high = middle
    return low


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return one == other or repr(one) == repr(other)  # NaN is not equal to itself
