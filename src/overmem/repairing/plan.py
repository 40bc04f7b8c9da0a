"""The plan of a repair: how many merges are scored, how many looked at closely, and how long it takes."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from overmem.auditing.opening import open_session
from overmem.auditing.options import AuditOptions
from overmem.auditing.planning.plan import Plan
from overmem.auditing.planning.timing import time_work
from overmem.errors import RunError
from overmem.repairing.candidates import Candidate
from overmem.repairing.setup import RepairSetup
from overmem.repairing.trials import MOST_GREEDY

FEW = 4
"""Merges whose answers are measured: about the best of each family."""
SEARCH_SHARE = 0.5
"""Of a budget; the proof has the rest."""


@dataclass(frozen=True, kw_only=True)
class RepairPlan:
    """What will be done, and about how long it takes beside merging and loading."""

    before: str
    """The checkpoint to beat."""
    candidates: tuple[Candidate, ...]
    left_out: int
    """Candidates that the budget has no room for."""
    more: bool
    """Whether alpha is refined and a greedy soup grown; there may be no room for it."""
    few: int
    proof: Plan
    """Of one model; what is compared with it is mostly measured already."""
    budget_minutes: float | None
    score_seconds: float
    """NLL of one merge."""
    answer_seconds: float
    """Accuracy and diversity of one merge."""
    proof_seconds: float

    def to_dict(self) -> dict[str, Any]:
        """JSON form: how many merges, about how many seconds, and what is to be beaten."""
        steps = {"search": self.search_seconds, "proof": self.proof_seconds}
        return {
            "merges": self.scores,
            "few": self.few,
            "seconds": steps,
            "left_out": self.left_out_words,
            "before": self.before,
        }

    @property
    def scores(self) -> int:
        """Merges that are scored, at most."""
        return len(self.candidates) + (2 + MOST_GREEDY - 1 if self.more else 0)

    @property
    def search_seconds(self) -> float:
        """Of the search."""
        return self.scores * self.score_seconds + self.few * self.answer_seconds

    @property
    def left_out_words(self) -> tuple[str, ...]:
        """What there is no room for, or nothing to measure on."""
        said = [f"{self.left_out} merges were not tried, for the budget"] if self.left_out else []
        if not self.more:
            said.append("alpha was not refined and no greedy soup grown, for the budget")
        lacking = [f"{item.axis}: {item.why_not}" for item in self.proof.axes if not item.jobs]
        return (*said, *(f"not measured: {reason}" for reason in lacking))

    @property
    def seconds(self) -> float:
        """In all."""
        return self.search_seconds + self.proof_seconds


def plan_repair(
    setup: RepairSetup, *, few: int = FEW, budget_minutes: float | None = None, timed: bool = True
) -> RepairPlan:
    """Time one batch of each kind of work and lay the work out, within a budget if there is one.

    Args:
        setup: from `prepare_repair`.
        few: merges to look at closely.
        budget_minutes: for all of it; halves of it are shared out to search and proof.
        timed: whether anyone asks how long it takes; else seconds are NaN. With a budget it is timed.

    Raises:
        RunError: few is below 1, or the budget is none.
    """
    if few < 1:
        raise RunError("few must be at least 1", got=few)
    if budget_minutes is not None and not budget_minutes > 0:
        raise RunError("budget must be above 0", got=budget_minutes)
    timed = timed or budget_minutes is not None
    search, proof = (_plan(setup, options, timed) for options in (setup.search, setup.confirm))
    seconds = {item.axis: item.seconds for item in search.axes}
    measured = [
        set(found.row_keys)
        for found in setup.manifest.checkpoints
        if found.name in {checkpoint.name for checkpoint in setup.compared}
    ]
    anew = 1 + sum(
        setup.confirm.half is None or any(str(job) not in keys for job in proof.rest) for keys in measured
    )
    plan = RepairPlan(
        before=setup.before.name,
        candidates=setup.candidates,
        left_out=0,
        more=True,
        few=min(few, max(1, len(setup.candidates))),
        proof=proof,
        budget_minutes=budget_minutes,
        score_seconds=seconds["likelihood"],
        answer_seconds=seconds["accuracy"] + seconds["diversity"],
        proof_seconds=anew * proof.seconds,
    )
    return plan if budget_minutes is None else _fit(plan, 60 * budget_minutes)


def _fit(plan: RepairPlan, budget: float) -> RepairPlan:
    """Fewer merges where all do not fit; the proof cuts its problems by itself."""
    share = SEARCH_SHARE * budget
    if plan.search_seconds > share:
        plan = replace(plan, more=False, few=_most(0.4 * share, plan.answer_seconds, plan.few))
        kept = _most(0.6 * share, plan.score_seconds, len(plan.candidates))
        plan = replace(plan, candidates=_spread(plan.candidates, kept), left_out=len(plan.candidates) - kept)
    return replace(plan, proof_seconds=min(plan.proof_seconds, budget - plan.search_seconds))


def _most(seconds: float, each: float, wanted: int) -> int:
    return wanted if each <= 0 else max(1, min(wanted, int(seconds / each)))


def _spread(candidates: Sequence[Candidate], n: int) -> tuple[Candidate, ...]:
    """So many of the candidates, evenly over the list, which is ordered by family."""
    return tuple(candidates[i * len(candidates) // n] for i in range(n))


def _plan(setup: RepairSetup, options: AuditOptions, timed: bool) -> Plan:
    """The work at one checkpoint none of which is done yet, with its times."""
    with tempfile.TemporaryDirectory() as folder:
        run = replace(setup.run, checkpoints=(setup.before,), skipped={})
        session = open_session(run, options, Path(folder))
        return time_work(session, {}, lambda _: timed).plan
