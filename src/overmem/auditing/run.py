"""Measure every checkpoint of a run: the resumable loop that joins data, models and axes.

The flow: resolve what is asked, load the problems, plan the work and time one batch of each kind,
do the core (likelihood and accuracy) at every checkpoint, then the other axes where they are asked
for. Rows are saved batch by batch, so a killed audit continues where it stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Unpack

from overmem.artifacts.jobs import ANSWERS_SCORES, Job, base_answers_job, on_base
from overmem.artifacts.manifest import Manifest, read_manifest
from overmem.artifacts.store import Store
from overmem.auditing.api.keywords import AuditKeywords
from overmem.auditing.executor import Executor, LocalExecutor, WorkItem
from overmem.auditing.made_sets.base_answers import base_answers
from overmem.auditing.made_sets.right_answers import right_answers
from overmem.auditing.manifest_writer import ManifestWriter
from overmem.auditing.opening import open_session
from overmem.auditing.options import AuditOptions, make_options, takes_audit_options
from overmem.auditing.planning.plan import Plan
from overmem.auditing.planning.timing import nothing_measured
from overmem.auditing.problem_sets.problems import Problems
from overmem.auditing.resolve import resolve_options
from overmem.auditing.session import Progress, Session
from overmem.auditing.until_decided import measure_until_decided
from overmem.checkpoints import open_run
from overmem.contamination.grouping import said_of_groups
from overmem.contamination.policy import said_of_contamination
from overmem.errors import CheckpointError, ConsentError, WeightsChangedError
from overmem.keywords import names_its_keywords
from overmem.records import Checkpoint, NotebookView, Run
from overmem.verdict.key_checkpoints import key_checkpoints

OnPlan = Callable[[Plan], None]
"""Called with the timed plan before the work starts."""


@dataclass(frozen=True, repr=False)
class Audit(NotebookView):
    """A measured run: where its artifacts are and what they describe."""

    store: Store
    manifest: Manifest

    @property
    def skipped(self) -> Mapping[str, str]:
        """Checkpoints that could not be measured, with the reason."""
        return self.manifest.skipped


@names_its_keywords
@takes_audit_options
def audit(
    run: Run | str | Path,
    *,
    out: str | Path | None = None,
    progress: Progress | None = None,
    ray: str | None = None,
    workers: int | None = None,
    **options: Unpack[AuditKeywords],
) -> Audit:
    """Measure every checkpoint of a run and save the rows; what is already saved is not computed again.

    All settings are the arguments: an `overmem.yaml` in the folder is read by the command line alone.

    Args:
        run: a run or its folder.
        out: artifact folder; `RUN/overmem` by default.
        progress: told after every batch.
        ray: share the checkpoints out among the devices of a Ray cluster: `auto`, `HOST:PORT`, or `local` to
            start one here (docs/devices.md).
        workers: most workers; by default one for each device. Without `ray` they are started here.
        **options: see `AuditOptions`.

    Raises:
        OvermemError: bad run, data, grader or option; nothing is half-written.
    """
    asked = make_options(options)
    if not isinstance(run, Run):
        run = open_run(run, allow_pickle=asked.allow_pickle, checkpoints_glob=asked.checkpoints_glob)
    folder = None if out is None else Path(out)
    return measure(run, resolve_options(run, asked), out=folder, progress=progress, ray=ray, workers=workers)


def measure(
    run: Run,
    options: AuditOptions,
    *,
    out: Path | None = None,
    progress: Progress | None = None,
    on_plan: OnPlan | None = None,
    ray: str | None = None,
    workers: int | None = None,
) -> Audit:
    """`audit` with its options resolved.

    Args:
        run: the checkpoints.
        options: what to measure and how.
        out: artifact folder; `RUN/overmem` by default.
        progress: told after every batch.
        on_plan: told the plan and its times before the work starts.
        ray: see `audit`.
        workers: see `audit`.

    Raises:
        OvermemError: bad data or models, or another process that measures there; rows that were saved stay
            saved.
    """
    with _open_executor(run, options, out, progress, ray, workers) as executor:
        skipped = dict(run.skipped)
        plan = executor.plan(skipped)
        session = executor.session
        said = [*said_of_contamination(session.overlap.contamination, session.overlap.left_out)]
        for name, what in (("val", "val problems"), ("train", "training rows")):
            if name in session.problems:
                ids = [example.id for example in session.problems[name].examples]
                said += said_of_groups(session.overlap.groupings[name], ids, what)
        plan = replace(plan, data=(*plan.data, *said))
        if on_plan is not None:
            on_plan(plan)
        with session.store.locked():
            return _measure(executor, plan, skipped)


def _measure(executor: Executor, plan: Plan, skipped: dict[str, str]) -> Audit:
    session, store = executor.session, executor.session.store
    previous = read_manifest(store) if store.has_record("manifest") else None
    manifest_writer = ManifestWriter(session, plan, previous)
    if plan.until_decided:
        manifest = measure_until_decided(executor, plan, manifest_writer, skipped, _measure_core)
        plan = plan.beyond_core(int((manifest.until_decided or {}).get("problems") or manifest.val.n))
    else:
        manifest = _measure_core(executor, plan, manifest_writer, skipped)
    session.overlap.hear_rows(manifest)
    manifest = manifest_writer.write(skipped, [])
    if plan.rest or plan.later:
        manifest = _measure_rest(executor, plan, manifest_writer, skipped, manifest)
    store.remove_base_predictions()  # of this audit, or of one that was killed
    return Audit(store, manifest)


@contextmanager
def _open_executor(
    run: Run,
    options: AuditOptions,
    out: Path | None,
    progress: Progress | None,
    ray: str | None,
    workers: int | None,
) -> Iterator[Executor]:
    if ray is None and workers is None:
        session = open_session(run, options, out, progress)
        with closing(session.engine):
            yield LocalExecutor(session)
        return
    from overmem.auditing.ray_executor import open_ray_executor

    with open_ray_executor(run, options, out, progress, address=ray or "local", workers=workers) as executor:
        yield executor


def _measure_core(
    executor: Executor, plan: Plan, manifest_writer: ManifestWriter, skipped: dict[str, str]
) -> Manifest:
    """Likelihood and accuracy at every checkpoint; the manifest grows with each."""
    run = executor.session.run
    pending = [checkpoint.name for checkpoint in run.checkpoints if checkpoint.name not in skipped]
    items = [
        WorkItem(checkpoint=checkpoint, jobs=plan.core, limits=plan.limits)
        for checkpoint in run.checkpoints
        if checkpoint.name in pending
    ]
    for checkpoint, error in executor.do(items):
        pending.remove(checkpoint.name)
        if error is not None:
            skipped[checkpoint.name] = str(error)
            continue
        manifest_writer.add(checkpoint, plan.core)
        manifest_writer.write(skipped, pending)
    if not manifest_writer.measured:
        raise nothing_measured(run, skipped)
    return manifest_writer.write(skipped, [])


def _measure_rest(
    executor: Executor,
    plan: Plan,
    manifest_writer: ManifestWriter,
    skipped: dict[str, str],
    manifest: Manifest,
) -> Manifest:
    """The other axes: on the base model, then at the checkpoints that a verdict compares, or at all."""
    session = executor.session
    names = {checkpoint.name for checkpoint in manifest.checkpoints}
    if session.options.checkpoints == "key":
        names &= set(key_checkpoints(session.store, manifest, session.options.rule))
    elif session.options.checkpoints != "all":
        names &= set(session.options.checkpoints.split(","))
    of_base = tuple(job for job in plan.rest if job.model == "base")
    base_model = session.base.checkpoint
    if of_base and base_model is not None:
        # First, for what it answers the checkpoints are compared on.
        for base in _do_all(executor, [WorkItem(checkpoint=base_model, jobs=of_base, limits=plan.limits)]):
            manifest_writer.add_base(base, of_base)
    made = _problems_from_answers(session, plan, manifest)
    for problems in made.values():
        session.add_problems(problems)
    limits = plan.with_later.limits
    to_itself = tuple(on_base(job) for job in made if job.kind == "diverge")
    if to_itself and base_model is not None:
        # What it predicts is kept for the checkpoints; against itself all figures are 0.
        item = WorkItem(
            checkpoint=base_model,
            jobs=to_itself,
            limits={job: limits[replace(job, model="checkpoint")] for job in to_itself},
            problems=tuple(made.values()),
        )
        for base in _do_all(executor, [item]):
            manifest_writer.add_base(base, to_itself)
    own = (*(job for job in plan.rest if job.model == "checkpoint"), *made)
    items = [
        WorkItem(checkpoint=checkpoint, jobs=own, limits=limits, problems=tuple(made.values()))
        for checkpoint in session.run.checkpoints
        if checkpoint.name in names
    ]
    for checkpoint in _do_all(executor, items, skipped):
        manifest_writer.add(checkpoint, own)
        manifest_writer.write(skipped, [])
    return manifest_writer.write(skipped, [])


def _do_all(
    executor: Executor, items: Sequence[WorkItem], skipped: dict[str, str] | None = None
) -> Iterator[Checkpoint]:
    """Do items, and yield the checkpoint of each as it is done; the base model may fail.

    Args:
        executor: does them.
        items: at most one a checkpoint.
        skipped: gains checkpoints that fail where others do not, and those whose files changed meanwhile:
            their rows are of other weights.

    Raises:
        CheckpointError: none could be done, or one needs consent.
    """
    session = executor.session
    failed: dict[str, CheckpointError] = {}
    n_done = 0
    for checkpoint, error in executor.do(items):
        if error is None:
            n_done += 1
            yield checkpoint
        elif checkpoint == session.base.checkpoint and not session.base.in_run:
            session.base.lose(error)
        elif isinstance(error, WeightsChangedError) and skipped is not None:
            skipped[checkpoint.name] = str(error)
        elif skipped is not None and not isinstance(error, ConsentError):
            failed[checkpoint.name] = error
        else:
            raise error
    if skipped is not None and failed:
        if not n_done:
            raise next(iter(failed.values()))
        skipped |= {name: str(error) for name, error in failed.items()}


def _problems_from_answers(session: Session, plan: Plan, manifest: Manifest) -> dict[Job, Problems]:
    """What is asked only once some answers are there, by its job; jobs without any answer are left out."""
    found: dict[Job, Problems | None] = {}
    if ANSWERS_SCORES in plan.later:
        found[ANSWERS_SCORES] = right_answers(session, manifest)
    for written in plan.limits if session.base.scores else ():
        job = base_answers_job(written)
        if job in plan.later:
            found[job] = base_answers(session, written, plan.limits[written])
    return {job: problems for job, problems in found.items() if problems is not None}
