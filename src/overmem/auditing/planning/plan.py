"""The plan of an audit: which rows, over how many problems, and about how long it will take.

A plan is made before anything starts and can be shown to a person. When a time budget does not allow
all of it, the core of the verdict goes first and the other axes share what is left evenly, each on
fewer problems; what was cut is kept in the plan.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from overmem.artifacts.jobs import ANSWERS_SCORES, VAL_ANSWERS, Job, base_answers_job
from overmem.auditing.options import AuditOptions
from overmem.auditing.problem_sets.problems import Problems, said_of
from overmem.axes import CORE, all_axes
from overmem.axes.axis import Available, Axis
from overmem.axes.privacy.exposure import CANARY_SCORES, CANDIDATE_SCORES
from overmem.errors import DataError, RunError
from overmem.records import Checkpoint
from overmem.verdict.sequential import FIRST_LOOK, look_sizes

CANARY_JOBS = (CANARY_SCORES, CANDIDATE_SCORES)
FEWEST = 20
"""An axis on fewer problems says nothing and is left out."""


@dataclass(frozen=True, kw_only=True)
class AxisPlan:
    """The work of one axis."""

    axis: str
    tells: str
    jobs: tuple[Job, ...]
    """Empty when the axis cannot be measured here; `why_not` then says why."""
    n: int
    """Most problems of one set."""
    checkpoints: int
    limit: int | None = None
    """Most problems of each set."""
    cut_from: int | None = None
    """Problems asked for, when the budget allows fewer."""
    why_not: str | None = None
    seconds: float = math.nan
    """About how long its work takes; work that several axes need is shared out evenly among them, and
    work that the core does anyway counts there."""

    @property
    def later(self) -> tuple[Job, ...]:
        """Its work on answers that are not there yet."""
        axis = all_axes()[self.axis]
        right = (ANSWERS_SCORES,) if axis.rescores_answers and VAL_ANSWERS in self.jobs else ()
        of_base = map(base_answers_job, self.jobs if axis.compares_base_answers else ())
        return (*right, *filter(None, of_base))


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The work of all axes, in the order it is done."""

    axes: tuple[AxisPlan, ...]
    limits: Mapping[Job, int | None] = field(default_factory=dict)
    """Most problems of each job: the most that any of its axes wants."""
    until_decided: bool = False
    """Stop answering once the verdict is decided."""
    data: tuple[str, ...] = ()
    """What the data were read as, what was left out of them and what to look at, a line each."""

    @property
    def looks(self) -> tuple[int, ...]:
        """After how many problems the verdict is looked at, the last being all; empty if not asked for."""
        n_all = max((item.n for item in self.axes if VAL_ANSWERS in item.jobs), default=0)
        return look_sizes(n_all) if self.until_decided else ()

    def of_first(self, n: int) -> Plan:
        """The plan with the core's work on at most the first n problems of each set, in random order."""
        first = {
            job: n if limit is None else min(n, limit)
            for job, limit in self.limits.items()
            if job in self.core
        }
        return replace(self, limits={**self.limits, **first})

    def beyond_core(self, n: int) -> Plan:
        """What is left once the core is done on n problems of val: the other axes, and the base model.

        The other axes bring what they need of the core's work, on their own limits.
        """
        axes = []
        for item in self.axes:
            if item.axis in CORE:
                jobs = tuple(job for job in item.jobs if job.model == "base")
                limit = n if item.limit is None else min(n, item.limit)
                item = replace(item, jobs=jobs, limit=limit)
            axes.append(item)
        return _with_limits(replace(self, axes=tuple(axes)))

    @property
    def with_later(self) -> Plan:
        """The plan with what is done on problems that there are only once some answers are."""
        axes = tuple(replace(item, jobs=(*item.jobs, *item.later)) for item in self.axes)
        return _with_limits(replace(self, axes=axes))

    @property
    def later(self) -> tuple[Job, ...]:
        """Jobs on such problems: right answers of one checkpoint, and the base model's answers."""
        return tuple(dict.fromkeys(job for item in self.axes for job in item.later))

    @property
    def seconds(self) -> float:
        """About how long all of it takes."""
        return math.fsum(item.seconds for item in self.axes if item.jobs)

    @property
    def core(self) -> tuple[Job, ...]:
        """Jobs that are done at every checkpoint."""
        jobs = dict.fromkeys(job for item in self.axes if item.axis in CORE for job in item.jobs)
        return tuple(job for job in jobs if job.model == "checkpoint")

    @property
    def rest(self) -> tuple[Job, ...]:
        """Jobs of the other axes that the core does not do, and all that is done on the base model."""
        jobs = dict.fromkeys(job for item in self.axes for job in item.jobs)
        return tuple(job for job in jobs if job not in self.core)

    @property
    def other_axes(self) -> bool:
        """Whether more than the core is measured."""
        return any(item.jobs for item in self.axes if item.axis not in CORE)


def make_plan(
    options: AuditOptions, available: Available, problems: Mapping[str, Problems], n_checkpoints: int
) -> Plan:
    """The plan without its times.

    Args:
        options: what is asked for.
        available: what there is to measure on.
        problems: the sets themselves.
        n_checkpoints: checkpoints of the run.
    """
    axes = all_axes()
    plans = []
    for name in options.axes:
        jobs = axes[name].jobs(available)
        limit = options.limit_of(name)
        everywhere = name in CORE or options.checkpoints == "all"
        some = 3 if options.checkpoints == "key" else options.checkpoints.count(",") + 1
        plans.append(
            AxisPlan(
                axis=name,
                tells=axes[name].tells,
                jobs=jobs,
                n=_most(jobs, problems, limit),
                checkpoints=n_checkpoints if everywhere else min(some, n_checkpoints),
                limit=limit,
                why_not=None if jobs else _why_not(axes[name], available),
            )
        )
    return _with_limits(Plan(axes=tuple(plans), until_decided=options.until_decided, data=said_of(problems)))


def check_decidable(plan: Plan, checkpoints: Sequence[Checkpoint]) -> None:
    """Refuse to stop early where there is no verdict, or nothing to leave out.

    Args:
        plan: may ask for it or not.
        checkpoints: that can be read.

    Raises:
        RunError: fewer than two checkpoints.
        DataError: no grader, or too few problems.
    """
    if not plan.until_decided:
        return
    if len(checkpoints) < 2:
        raise RunError(
            "--until-decided needs a verdict, and a verdict compares checkpoints",
            got=f"{len(checkpoints)} that can be read",
            expected="at least 2",
            next_step="leave it out to measure what there is",
        )
    n_all = plan.looks[-1]
    if n_all <= FIRST_LOOK:
        raise DataError(
            "--until-decided has no problems to leave out",
            got=f"{n_all} problems" if n_all else "no problems whose answers can be graded",
            expected=f"more than {FIRST_LOOK}, after which it looks for the first time",
            next_step="leave it out, or measure on more problems",
        )


def estimate(plan: Plan, seconds_of: Callable[[Job, int | None], float]) -> Plan:
    """Fill in the times.

    Args:
        plan: from `make_plan`.
        seconds_of: (job, limit) to about how long it takes, at all checkpoints it is done at.
    """
    shares = share_out(plan, {job: seconds_of(job, limit) for job, limit in plan.limits.items()})
    return replace(plan, axes=tuple(replace(item, seconds=shares[item.axis]) for item in plan.axes))


def share_out(plan: Plan, takes: Mapping[Job, float]) -> dict[str, float]:
    """What each axis takes: work that several need is shared out among them, the core's is the core's.

    Args:
        plan: from `make_plan`.
        takes: what each job takes, in seconds or whatever else adds up.
    """
    core = {job for item in plan.axes if item.axis in CORE for job in item.jobs}
    wanted = Counter(job for item in plan.axes if item.axis not in CORE for job in item.jobs)
    return {
        item.axis: math.fsum(
            takes[job] if item.axis in CORE else takes[job] / wanted[job]
            for job in item.jobs
            if item.axis in CORE or job not in core
        )
        for item in plan.axes
    }


def fit_budget(plan: Plan, budget_seconds: float) -> Plan:
    """Cut a timed plan to a budget: the core first, the rest sharing what is left evenly.

    An axis that needs less than its share leaves the difference to the others.

    Args:
        plan: with its times.
        budget_seconds: time allowed.

    Returns:
        The plan with smaller limits; axes that fewer than `FEWEST` problems are left for have no jobs.
    """
    core = [item for item in plan.axes if item.axis in CORE]
    rest = [item for item in plan.axes if item.axis not in CORE and item.jobs]
    share = min(1.0, budget_seconds / max(math.fsum(item.seconds for item in core), 1e-9))
    left = max(0.0, budget_seconds - math.fsum(item.seconds for item in core))
    shares: dict[str, float] = {item.axis: share for item in core}
    # What is made of the core's rows alone takes no time and follows the core's cut.
    shares |= {item.axis: share for item in rest if item.seconds == 0}
    waiting = sorted((item for item in rest if item.seconds > 0), key=lambda item: item.seconds)
    for number, item in enumerate(waiting):
        allowed = min(item.seconds, left / (len(waiting) - number))
        left -= allowed
        shares[item.axis] = allowed / item.seconds
    cut = tuple(_cut(item, shares.get(item.axis, 1.0)) for item in plan.axes)
    return _with_limits(replace(plan, axes=cut))


def _cut(item: AxisPlan, share: float) -> AxisPlan:
    if share >= 1.0 or not item.jobs:
        return item
    n = max(int(item.n * share), FEWEST if item.axis in CORE else 0)
    seconds = item.seconds * n / item.n
    if n < FEWEST:
        why = f"the budget leaves {n} problems for it, and {FEWEST} are the fewest"
        return replace(item, jobs=(), why_not=why, cut_from=item.n, n=0, seconds=0.0)
    return replace(item, n=min(n, item.n), limit=n, cut_from=item.n, seconds=seconds)


def _with_limits(plan: Plan) -> Plan:
    """Most problems of each job. Canaries and candidates are never cut: a rank needs all of them."""
    limits: dict[Job, int | None] = {}
    for item in plan.axes:
        for job in item.jobs:
            known = limits.get(job, 0)
            wanted = None if job in CANARY_JOBS else item.limit
            limits[job] = None if known is None or wanted is None else max(known, wanted)
    return replace(plan, limits=limits)


def _most(jobs: Sequence[Job], problems: Mapping[str, Problems], limit: int | None) -> int:
    sizes = [len(problems[job.data].examples) for job in jobs]
    most = max(sizes, default=0)
    return most if limit is None else min(limit, most)


def _why_not(axis: Axis, available: Available) -> str:
    if axis.needs:
        return axis.needs
    if "val" not in available.graded:
        return "val has no grader, so answers cannot be judged"
    return "nothing to measure it on"
