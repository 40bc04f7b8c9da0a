"""Measure on Ray workers, one a device: checkpoints are shared out, and a killed worker's goes to another.

Every worker opens the audit for itself from the files of the run, which all nodes must see, and saves its
rows there; what travels is which checkpoint is next and what came of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from overmem.auditing.executor import WorkItem, run_item
from overmem.auditing.options import AuditOptions, check_alone
from overmem.auditing.planning.plan import Plan
from overmem.auditing.planning.timing import make_timed_plan
from overmem.auditing.session import Progress, Session
from overmem.errors import CheckpointError, OvermemError, RunError, WeightsChangedError
from overmem.records import Checkpoint, Run
from overmem.workers.cluster import connected, devices, resources_per_worker
from overmem.workers.ray_pool import RayPool
from overmem.workers.shared_folder import SharedFolder, shared_folder


@dataclass(frozen=True, kw_only=True)
class WorkerSetup:
    """What every worker opens: the same audit."""

    run: Run
    options: AuditOptions
    out: Path | None
    shared_folder: SharedFolder


class Worker:
    """One audit session in a process of its own; a user's errors are returned, not raised."""

    def open(self, setup: WorkerSetup, progress_queue: Any) -> Exception | None:
        """Load tokenizer and problems; returns what stands in the way."""
        try:
            setup.shared_folder.join()
            self.session = _open(setup, lambda *update: progress_queue.put.remote(update))
        except (OvermemError, OSError) as error:
            return error
        return None

    def plan(self, skipped: dict[str, str]) -> tuple[Plan, dict[str, str]] | Exception:
        """The timed plan, and the checkpoints to leave out with the reasons."""
        try:
            return make_timed_plan(self.session, skipped), skipped
        except (OvermemError, OSError) as error:
            return error

    def do(self, item: WorkItem) -> Exception | str:
        """Do an item; returns the fingerprint of what was measured, or what kept it from being done."""
        try:
            run_item(self.session, item)
            return self.session.weights.fingerprint(item.checkpoint)
        except (OvermemError, OSError) as error:
            return error


def _open(setup: WorkerSetup, progress: Progress) -> Session:
    from overmem.auditing.opening import open_session

    return open_session(setup.run, setup.options, setup.out, progress)


class RayExecutor:
    """The workers of a pool; see `overmem.auditing.executor.Executor`."""

    def __init__(self, session: Session, pool: RayPool) -> None:
        """Take a pool of `Worker`s.

        Args:
            session: the audit as the driver sees it; it never loads a model.
            pool: of workers that open it.
        """
        self.session, self._pool = session, pool

    def plan(self, skipped: dict[str, str]) -> Plan:
        """See `Executor`; a worker makes it, since it is timed on its device."""
        [(_, found)] = self._pool.run([("the plan", lambda worker: worker.plan.remote(skipped))])
        if isinstance(found, Exception):
            raise found
        plan, left_out = found
        skipped |= left_out
        return plan  # type: ignore[no-any-return]

    def do(self, items: Iterable[WorkItem]) -> Iterator[tuple[Checkpoint, CheckpointError | None]]:
        """See `Executor`."""
        by_name = {item.checkpoint.name: item for item in items}
        tasks = [(name, lambda worker, item=item: worker.do.remote(item)) for name, item in by_name.items()]
        for name, found in self._pool.run(tasks):
            checkpoint = by_name[name].checkpoint
            if isinstance(found, Exception) and not isinstance(found, CheckpointError):
                raise found
            yield checkpoint, found if isinstance(found, CheckpointError) else self._named(checkpoint, found)

    def _named(self, checkpoint: Checkpoint, measured: str) -> CheckpointError | None:
        """What is wrong if the driver sees other weights than those that a worker measured."""
        if self.session.weights.fingerprint(checkpoint) == measured:
            return None
        return WeightsChangedError(
            f"{checkpoint.name} changed while it was measured",
            got=f"other files in {checkpoint.path} than its worker saw",
            next_step="run `overmem audit` again when its files no longer change",
        )


@contextmanager
def open_ray_executor(
    run: Run,
    options: AuditOptions,
    out: Path | None = None,
    progress: Progress | None = None,
    *,
    address: str,
    workers: int | None = None,
) -> Iterator[RayExecutor]:
    """An executor on a Ray cluster, for as long as the context lasts.

    Args:
        run: the checkpoints.
        options: what to measure and how; relative names in it are the driver's.
        out: artifact folder; `RUN/overmem` by default.
        progress: told of every batch of every worker.
        address: as Ray takes it: `auto`, `HOST:PORT`, or `local` to start a cluster here and end it again.
        workers: most workers; by default one a GPU, or one a CPU core where there is no GPU.

    Raises:
        RunError: Ray is missing or not reached, an impossible number, or a folder that workers do not see.
        WorkerError: workers that cannot start, or that one checkpoint ends again and again.
        OvermemError: what opening the audit raises.
    """
    check_alone(options.device_map, "--workers or --ray")
    if options.engine != "hf":
        raise RunError(
            "workers cannot be combined with another engine",
            got=f"--engine {options.engine} with --ray or --workers",
            next_step="leave one of them out; a server takes many requests by itself (--engine-concurrency), "
            "vLLM many devices (--engine vllm:tensor_parallel_size=8)",
        )
    from overmem.auditing.opening import open_session

    with connected(address, workers) as ray:
        device, n = devices(ray.cluster_resources(), options.device, workers)
        here = run.path.absolute()
        run = replace(
            run,
            path=here,
            home=run.home and run.home.absolute(),
            checkpoints=tuple(replace(c, path=c.path.absolute()) for c in run.checkpoints),
        )
        out = out and out.absolute()
        session = open_session(run, options, out, progress, _torch_device(device))
        with shared_folder(session.store.root) as place:
            pool = RayPool(
                ray,
                Worker,
                WorkerSetup(run=run, options=options.replace(device=device), out=out, shared_folder=place),
                resources=resources_per_worker(device),
                workers=min(n, len(run.checkpoints)),
                on_update=session.progress,
            )
            try:
                yield RayExecutor(session, pool)
            finally:
                pool.close()


def _torch_device(name: str) -> Any:
    import torch

    return torch.device(name)
