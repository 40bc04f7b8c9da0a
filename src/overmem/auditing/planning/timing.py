"""How long the work of an audit takes, from a batch or two of each kind of it, done here and now."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from overmem.artifacts.jobs import VAL_SCORES, Job
from overmem.artifacts.manifest import read_manifest
from overmem.artifacts.store import Store
from overmem.auditing.planning.cost import Tokens, tokens_of
from overmem.auditing.planning.plan import Plan, check_decidable, estimate, fit_budget, make_plan
from overmem.auditing.problem_sets.problems import available
from overmem.auditing.session import Session
from overmem.errors import CheckpointError, RunError
from overmem.records import Checkpoint, Run

BATCHES = 2
"""Timed of each kind of work; their rows are kept."""


@dataclass(frozen=True, kw_only=True)
class Timing:
    """A plan with how fast its work goes here."""

    plan: Plan
    readable: tuple[Checkpoint, ...]
    """Checkpoints that can be measured."""
    left: Mapping[Job, Sequence[Sequence[int]]]
    """Positions of the problems without rows, of each job at each of its places."""
    rates: Mapping[str, float]
    """Seconds a unit of work, by `same_rate`; empty when nothing was timed."""
    load_seconds: float = 0.0
    """Of one checkpoint."""


def make_timed_plan(session: Session, skipped: dict[str, str]) -> Plan:
    """The plan, with its times where more than the core is asked for, or a budget; see `time_work`."""
    budget = session.options.budget_minutes is not None
    return time_work(session, skipped, lambda plan: budget or plan.other_axes).plan


def time_work(
    session: Session, skipped: dict[str, str], wanted: Callable[[Plan], bool] = lambda _: True
) -> Timing:
    """The plan with its times, from a batch or two of each kind of work at the last checkpoint.

    Args:
        session: the audit; rows of what is timed are kept.
        skipped: gains the checkpoints that cannot be loaded.
        wanted: whether a plan is to be timed at all.

    Raises:
        RunError: no checkpoint can be loaded.
        ArtifactError: saved rows are damaged.
    """
    readable = [checkpoint for checkpoint in session.run.checkpoints if checkpoint.name not in skipped]
    plan = _plan(session, readable)
    check_decidable(plan, readable)
    _check_saved(session)
    base = session.base.checkpoint
    unserved = session.connect(_wanted(session, plan, readable), plan.limits)
    if base is not None and not session.base.in_run and base.name in unserved:
        session.base.unasked = unserved.pop(base.name)
        plan = _plan(session, readable)
    skipped |= unserved
    readable = [checkpoint for checkpoint in readable if checkpoint.name not in unserved]
    if not wanted(plan):
        left = _left(session, plan, readable)
        return Timing(plan=plan, readable=tuple(readable), left=left, rates={})
    while readable:
        try:
            return _timed(session, plan, readable)
        except CheckpointError as error:
            # Only what could not be loaded is left out; the plan is made again without it.
            broken = session.at or readable[-1]
            if broken not in readable:
                # The base model, which is no checkpoint of the run.
                session.base.lose(error)
                plan = _plan(session, readable)
                continue
            skipped[broken.name] = str(error)
            readable.remove(broken)
    raise nothing_measured(session.run, skipped)


def _check_saved(session: Session) -> None:
    """Read what is saved before anything is written: what stops over damage leaves all that was there."""
    for checkpoint in (*session.run.checkpoints, *_base(session)):
        session.store.check_saved(checkpoint.name)
    if session.store.has_texts():
        session.store.read_texts()
    if session.store.has_record("manifest"):
        read_manifest(session.store)


def _plan(session: Session, readable: Sequence[Checkpoint]) -> Plan:
    found = available(
        session.problems,
        has_base=session.base.scores,
        base_row=session.options.base_row,
        base_answers=session.base.unasked is None,
    )
    return make_plan(session.options, found, session.problems, len(readable))


def _wanted(session: Session, plan: Plan, readable: Sequence[Checkpoint]) -> dict[Job, Sequence[Checkpoint]]:
    """Where each job is known to be done; which other checkpoints are key is seen once the core is done."""
    chosen = session.options.checkpoints
    named = {c.name for c in readable[-1:]} if chosen == "key" else set(chosen.split(","))
    some = [c for c in readable if chosen == "all" or c.name in named]
    rest = {job: some for job in plan.rest if job.model == "checkpoint"}
    base = {job: _base(session) for job in plan.rest if job.model == "base"}
    return {job: readable for job in plan.core} | rest | base


def _base(session: Session) -> list[Checkpoint]:
    """The base model, where it is known."""
    return [] if session.base.checkpoint is None else [session.base.checkpoint]


def places_of(session: Session, plan: Plan, readable: Sequence[Checkpoint], job: Job) -> list[Checkpoint]:
    """Where a job will be done, as far as is known before the core is done.

    Which checkpoints are key is not known yet, but the last is one of them: it stands for all three.
    """
    if job.model == "base":
        return _base(session)
    chosen = session.options.checkpoints
    if job in plan.core or chosen == "all":
        return list(readable)
    if chosen == "key":
        return [readable[-1]] * min(3, len(readable))
    return [checkpoint for checkpoint in readable if checkpoint.name in chosen.split(",")]


def same_rate(job: Job) -> str:
    """Which jobs go equally fast; tasks of lm-eval differ too much for one to speak for another."""
    return str(job) if job.kind == "lm_eval" else job.kind


def units(session: Session, job: Job, positions: Iterable[int]) -> float:
    """How much work some problems are: tokens to score, or to write."""
    if job.kind == "lm_eval" or session.problems[job.data].task is not None:
        return float(len(list(positions)))
    items = session.problems[job.data].rendered
    found = sum(
        (
            tokens_of(job.kind, len(items[i].question_ids), len(items[i].answer_ids), samples=1, ratio=1.0)
            for i in positions
        ),
        Tokens(),
    )
    return found.written or found.read


def _timed(session: Session, plan: Plan, readable: Sequence[Checkpoint]) -> Timing:
    before = _left(session, plan, readable)
    rates, load_seconds = _rates(session, plan, readable)

    def seconds_of(job: Job, limit: int | None) -> float:
        return rates.get(same_rate(job), 0.0) * sum(units(session, job, left) for left in before[job])

    plan = estimate(plan, seconds_of)
    if session.options.budget_minutes is not None:
        plan = fit_budget(plan, 60 * session.options.budget_minutes)
    after = _left(session, plan, readable, before)
    return Timing(plan=plan, readable=tuple(readable), left=after, rates=rates, load_seconds=load_seconds)


def _left(
    session: Session,
    plan: Plan,
    readable: Sequence[Checkpoint],
    before: Mapping[Job, Sequence[Sequence[int]]] | None = None,
) -> dict[Job, list[Sequence[int]]]:
    """Positions of the problems without rows, of each job at each place.

    Args:
        session: the audit.
        plan: its plan.
        readable: its checkpoints.
        before: the same before some were measured: a place that stands for others was measured, they not.
    """
    found: dict[Job, list[Sequence[int]]] = {}
    for job, limit in plan.limits.items():
        places = places_of(session, plan, readable, job)
        chosen = set(session.problems[job.data].chosen(limit, session.options.seed))
        found[job] = [
            [position for position in before[job][i] if position in chosen]
            if before and place in places[:i]
            else session.missing(job, place, limit)[0]
            for i, place in enumerate(places)
        ]
    return found


def _rates(session: Session, plan: Plan, readable: Sequence[Checkpoint]) -> tuple[dict[str, float], float]:
    """Seconds a unit of each kind of work, the better of two batches, and seconds to load a checkpoint.

    The first batch of its kind is slower than those to come, as buffers are made in it.
    """
    rates: dict[str, float] = {}
    tried = Counter[str]()
    load_seconds = 0.0
    for job, limit in plan.limits.items():
        kind = same_rate(job)
        places = places_of(session, plan, readable, job)
        place = next((place for place in reversed(places) if session.missing(job, place, limit)[0]), None)
        while place is not None and tried[kind] < BATCHES:
            positions, _ = session.missing(job, place, limit)
            if not positions:
                break
            began = time.monotonic()
            each = session.seconds(job, place, limit)
            done = set(positions) - set(session.missing(job, place, limit)[0]) or set(positions)
            if not rates:
                load_seconds = max(0.0, time.monotonic() - began - each * len(done))
            tried[kind] += 1
            rates[kind] = min(rates.get(kind, math.inf), each * len(done) / units(session, job, done))
    return rates, load_seconds


def score_rate(session: Session, timing: Timing) -> float:
    """Seconds a token to score; where no scores are missing, val's are timed once more and not kept."""
    if VAL_SCORES.kind in timing.rates:
        return timing.rates[VAL_SCORES.kind]
    plan = replace(timing.plan, limits={VAL_SCORES: timing.plan.limits[VAL_SCORES]})
    with TemporaryDirectory() as folder:
        elsewhere = copy(session)
        elsewhere.store = Store(Path(folder))
        rates, _ = _rates(elsewhere, plan, timing.readable)
    return rates[VAL_SCORES.kind]


def nothing_measured(run: Run, skipped: Mapping[str, str]) -> RunError:
    """The error that says of every checkpoint why it could not be measured."""
    details = "\n".join(f"  - {name}: {reason}" for name, reason in skipped.items())
    return RunError(
        f"no checkpoint in {run.path} could be measured\n{details}",
        next_step="mend what is said of each, and call the same command again",
    )
