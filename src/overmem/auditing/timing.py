"""How long the work of an audit takes, from one batch of each kind of it, done here and now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from overmem.auditing import data
from overmem.auditing.plan import Plan, estimate, fit_budget, make_plan
from overmem.auditing.session import Session
from overmem.axes import CORE
from overmem.axes.kinds import Job
from overmem.errors import CheckpointError, RunError
from overmem.records import Checkpoint, Run


def make_timed_plan(session: Session, skipped: dict[str, str]) -> Plan:
    """The plan with its times, from one batch of each kind of work at the last checkpoint.

    Args:
        session: the audit.
        skipped: gains the checkpoints that cannot be loaded.

    Raises:
        RunError: no checkpoint can be loaded.
    """
    # Finding the base may convert a GGUF file, so it is left alone where nothing asks for it.
    more = set(session.config.axes) - set(CORE)
    available = data.available(dict(session.problems), has_base=bool(more) and session.base is not None)
    readable = [checkpoint for checkpoint in session.run.checkpoints if checkpoint.name not in skipped]
    plan = make_plan(session.config, available, session.problems, len(readable))
    unserved = session.connect(_wanted(session, plan, readable), plan.limits)
    skipped |= unserved
    readable = [checkpoint for checkpoint in readable if checkpoint.name not in unserved]
    if not (plan.rest or session.config.budget_minutes):
        return plan
    while readable:
        try:
            return _timed(session, plan, readable)
        except CheckpointError as error:
            # Only what could not be loaded is left out; the plan is made again without it.
            broken = session.at or readable[-1]
            skipped[broken.name] = str(error)
            readable.remove(broken)
    raise nothing_measured(session.run, skipped)


def _wanted(session: Session, plan: Plan, readable: Sequence[Checkpoint]) -> dict[Job, Sequence[Checkpoint]]:
    """Where each job is known to be done; which other checkpoints are key is seen once the core is done."""
    chosen = session.config.checkpoints
    named = {c.name for c in readable[-1:]} if chosen == "key" else set(chosen.split(","))
    some = [c for c in readable if chosen == "all" or c.name in named]
    rest = {job: some for job in plan.rest if job.model == "checkpoint"}
    return {job: readable for job in plan.core} | rest


def _timed(session: Session, plan: Plan, readable: Sequence[Checkpoint]) -> Plan:
    rates: dict[str, float] = {}
    chosen = session.config.checkpoints
    some = readable if chosen == "all" else [c for c in readable if c.name in chosen.split(",")]
    # Which are key is not known yet, but the last is one of them and is measured last.
    elsewhere = [readable[-1]] * min(3, len(readable)) if chosen == "key" else some

    def same_rate(job: Job) -> str:
        # Tasks of lm-eval differ too much for one to speak for another.
        return str(job) if job.kind == "lm_eval" else job.kind

    def seconds_of(job: Job, limit: int | None) -> float:
        places = readable if job in plan.core else elsewhere
        if job.model == "base":
            places = [session.base] if session.base is not None else []
        missing = [len(session.missing(job, place, limit)[0]) for place in places]
        for place, n in reversed(list(zip(places, missing, strict=True))):
            if n and same_rate(job) not in rates:
                rates[same_rate(job)] = session.seconds(job, place, limit)
        return rates.get(same_rate(job), 0.0) * sum(missing)

    plan = estimate(plan, seconds_of)
    if session.config.budget_minutes is None:
        return plan
    return fit_budget(plan, 60 * session.config.budget_minutes)


def nothing_measured(run: Run, skipped: Mapping[str, str]) -> RunError:
    """The error that says of every checkpoint why it could not be measured."""
    details = "\n".join(f"  - {name}: {reason}" for name, reason in skipped.items())
    return RunError(f"no checkpoint in {run.path} could be measured\n{details}")
