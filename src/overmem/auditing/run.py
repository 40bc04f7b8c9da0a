"""Measure every checkpoint of a run: the resumable loop that joins data, models and axes.

The flow: resolve what is asked, load the problems, plan the work and time one batch of each kind,
do the core (likelihood and accuracy) at every checkpoint, then the other axes where they are asked
for. Rows are saved batch by batch, so a killed audit continues where it stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from overmem.auditing import checkpoints as discovery
from overmem.auditing import data
from overmem.auditing.config import AuditConfig, resolve_config
from overmem.auditing.engines.choose import make_engine
from overmem.auditing.manifest import Ledger
from overmem.auditing.models import ModelHost, choose_device, choose_dtype
from overmem.auditing.plan import Plan, estimate, fit_budget, make_plan
from overmem.auditing.session import Progress, Session
from overmem.auditing.until_decided import check_decidable, measure_until_decided
from overmem.axes import CORE
from overmem.axes.kinds import Job
from overmem.diagnosis.keys import key_checkpoints
from overmem.errors import CheckpointError, RunError
from overmem.records import Checkpoint, Run
from overmem.store import MANIFEST_SCHEMA, Store
from overmem.tasks.template import preview

OnPlan = Callable[[Plan], None]
"""Called with the timed plan before the work starts."""


@dataclass(frozen=True)
class Audit:
    """A measured run: where its artifacts are and what they describe."""

    store: Store
    manifest: Mapping[str, Any]
    skipped: Mapping[str, str] = field(default_factory=dict)

    def _repr_html_(self) -> str:
        from overmem.reporting.notebook import audit_html

        return audit_html(self.manifest, self.store.root)


def audit(
    run: Run | str | Path,
    *,
    val: str | None = None,
    train: str | None = None,
    out: Path | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Audit:
    """Measure every checkpoint of a run and save the rows; what is already saved is not computed again.

    Args:
        run: a run or its folder.
        val: source of the validation problems; by default what the run's own recipe names.
        train: source of the training data; likewise.
        out: artifact folder; `RUN/overmem` by default.
        progress: told after every batch.
        **options: the other fields of `AuditConfig`.

    Raises:
        OvermemError: bad run, data, grader or option; nothing is half-written.
    """
    if not isinstance(run, Run):
        run = discovery.open_run(run, allow_pickle=options.get("allow_pickle", False))
    config = resolve_config(run, val=val, train=train, **options)
    return measure(run, config, out=out, progress=progress)


def measure(
    run: Run,
    config: AuditConfig,
    *,
    out: Path | None = None,
    progress: Progress | None = None,
    on_plan: OnPlan | None = None,
) -> Audit:
    """`audit` with its configuration resolved.

    Args:
        run: the checkpoints.
        config: what to measure and how.
        out: artifact folder; `RUN/overmem` by default.
        progress: told after every batch.
        on_plan: told the plan and its times before the work starts.

    Raises:
        OvermemError: bad data or models; rows that were saved stay saved.
    """
    session = open_session(run, config, out, progress)
    skipped = dict(run.skipped)
    plan = make_timed_plan(session, skipped)
    if on_plan is not None:
        on_plan(plan)
    session.store.remove_record("verdict")
    store = session.store
    previous = store.read_record("manifest", MANIFEST_SCHEMA) if store.has_record("manifest") else {}
    ledger = Ledger(session, plan, previous)
    if plan.until_decided:
        manifest = measure_until_decided(session, plan, ledger, skipped, _measure_core)
        plan = plan.beyond_core
    else:
        manifest = _measure_core(session, plan, ledger, skipped)
    if plan.rest:
        manifest = _measure_rest(session, plan, ledger, skipped, manifest)
    return Audit(session.store, manifest, skipped)


def open_session(
    run: Run, config: AuditConfig, out: Path | None = None, progress: Progress | None = None
) -> Session:
    """Load tokenizer and problems, and get ready to load the models.

    Raises:
        OvermemError: bad data, no tokenizer, an unusable device.
    """
    host = _host(run, config)
    tokenizer = host.tokenizer()
    return Session(
        run=run,
        host=host,
        tokenizer=tokenizer,
        problems=data.load_problems(config, tokenizer),
        config=config,
        store=Store.of_run(run.path, out),
        progress=progress or (lambda *_: None),
        engine=make_engine(config),
    )


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
    check_decidable(plan, readable)
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
    raise _nothing_measured(session.run, skipped)


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


def _measure_core(session: Session, plan: Plan, ledger: Ledger, skipped: dict[str, str]) -> dict[str, Any]:
    """Likelihood and accuracy, checkpoint by checkpoint; the manifest grows with each."""
    checkpoints = [checkpoint for checkpoint in session.run.checkpoints if checkpoint.name not in skipped]
    for number, checkpoint in enumerate(checkpoints, start=1):
        try:
            _do_all(session, plan, plan.core, checkpoint)
        except CheckpointError as error:
            skipped[checkpoint.name] = str(error)
            continue
        ledger.add(checkpoint, plan.core)
        ledger.write(skipped, [later.name for later in checkpoints[number:]])
    if not ledger.measured:
        raise _nothing_measured(session.run, skipped)
    return ledger.write(skipped, [])


def _measure_rest(
    session: Session, plan: Plan, ledger: Ledger, skipped: dict[str, str], manifest: dict[str, Any]
) -> dict[str, Any]:
    """The other axes, at the checkpoints that a verdict compares or at all of them."""
    names = {record["name"] for record in manifest["checkpoints"]}
    if session.config.checkpoints == "key":
        names &= set(key_checkpoints(session.store, manifest))
    elif session.config.checkpoints != "all":
        names &= set(session.config.checkpoints.split(","))
    jobs = [job for job in plan.rest if job.model == "checkpoint"]
    for checkpoint in session.run.checkpoints:
        if checkpoint.name in names:
            _do_all(session, plan, jobs, checkpoint)
            ledger.add(checkpoint, jobs)
            ledger.write(skipped, [])
    on_base = [job for job in plan.rest if job.model == "base"]
    if on_base and session.base is not None:
        _do_all(session, plan, on_base, session.base)
        ledger.add_base(session.base, on_base)
    return ledger.write(skipped, [])


def _do_all(session: Session, plan: Plan, jobs: Iterable[Job], checkpoint: Checkpoint) -> None:
    for job in jobs:
        session.do(job, checkpoint, plan.limits[job])
    session.regrade(checkpoint)


def _nothing_measured(run: Run, skipped: Mapping[str, str]) -> RunError:
    details = "\n".join(f"  - {name}: {reason}" for name, reason in skipped.items())
    return RunError(f"no checkpoint in {run.path} could be measured\n{details}")


def show_prompt(run: Run, config: AuditConfig) -> str:
    """The first val example exactly as the model sees it, and what the data were recognised as."""
    found, first = data.render_first(config, _host(run, config).tokenizer())
    return f"{config.val}: {found.shape}, grader {config.grader or found.grader}\n\n{preview(first)}"


def _host(run: Run, config: AuditConfig) -> ModelHost:
    device = choose_device(config.device)
    return ModelHost(
        run,
        device=device,
        dtype=choose_dtype(config.dtype, device),
        base_model=config.base_model,
        trust_remote_code=config.trust_remote_code,
        allow_pickle=config.allow_pickle,
    )
