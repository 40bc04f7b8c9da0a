"""Who does the work of an audit, one checkpoint an item: this process, or workers on many devices.

What is done with an item is the same wherever it is done (`run_item`); `ray_executor.py` has the workers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from overmem.artifacts.jobs import Job
from overmem.auditing.planning.plan import Plan
from overmem.auditing.planning.timing import make_timed_plan
from overmem.auditing.problem_sets.problems import Problems
from overmem.auditing.session import Session
from overmem.boundary import without_calls
from overmem.errors import CheckpointError
from overmem.records import Checkpoint


@dataclass(frozen=True, kw_only=True)
class WorkItem:
    """Work at one checkpoint. No two items of one sitting share a checkpoint, nor so its files."""

    checkpoint: Checkpoint
    jobs: tuple[Job, ...]
    limits: Mapping[Job, int | None] = field(default_factory=dict)
    """Most problems of each job."""
    problems: tuple[Problems, ...] = ()
    """Sets that were made since the session was opened."""


class Executor(Protocol):
    """Does items, in any order."""

    @property
    def session(self) -> Session:
        """The audit as this process sees it: its problems, its store, and what names the rows."""

    def plan(self, skipped: dict[str, str]) -> Plan:
        """See `overmem.auditing.planning.timing.make_timed_plan`."""

    def do(self, items: Iterable[WorkItem]) -> Iterator[tuple[Checkpoint, CheckpointError | None]]:
        """Do items and tell of each, as it is done, what kept its checkpoint from being measured.

        Raises:
            OvermemError: what no other checkpoint could do better; rows that were saved stay.
        """


@dataclass(frozen=True)
class LocalExecutor:
    """This process, one checkpoint after another."""

    session: Session

    def plan(self, skipped: dict[str, str]) -> Plan:
        """See `Executor`."""
        return make_timed_plan(self.session, skipped)

    def do(self, items: Iterable[WorkItem]) -> Iterator[tuple[Checkpoint, CheckpointError | None]]:
        """See `Executor`."""
        for item in items:
            try:
                run_item(self.session, item)
            except CheckpointError as error:
                yield item.checkpoint, without_calls(error)
            else:
                yield item.checkpoint, None


def run_item(session: Session, item: WorkItem) -> None:
    """Compute the rows of an item that are missing, and grade its answers as they are to be graded now."""
    for problems in item.problems:
        session.add_problems(problems)
    for job in item.jobs:
        session.do(job, item.checkpoint, item.limits[job])
    regrade(session, item.checkpoint)


def regrade(session: Session, checkpoint: Checkpoint) -> None:
    """Grade saved answers again, without the model: grader or answers may have changed."""
    known = {
        (problems.set, problems.variant, example.id, sha): (problems, example)
        for problems in session.problems.values()
        if problems.grader != "none" and problems.task is None
        for example, sha in zip(problems.examples, problems.shas, strict=True)
    }

    def again(row: dict[str, Any]) -> dict[str, Any]:
        name = (row["split"], row["variant"], row["example_id"], row["example_sha"])
        if name not in known:
            return row
        problems, example = known[name]
        return problems.graded_again(row, example)

    session.store.update_rows(checkpoint.name, "generations", again)
