"""Who does the cells of a sweep: this process, one after another, or Ray workers, one a device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from overmem.auditing.options import check_alone
from overmem.auditing.session import Progress
from overmem.errors import OvermemError, RunError
from overmem.sweeping.config import Sweep
from overmem.sweeping.work import Task, do_task, record_failure
from overmem.workers.cluster import connected, devices, resources_per_worker
from overmem.workers.ray_pool import RayPool
from overmem.workers.shared_folder import SharedFolder, shared_folder


class Executor(Protocol):
    """Does tasks, in any order."""

    def do(self, tasks: Sequence[Task]) -> Iterator[tuple[Task, dict[str, Any]]]:
        """Do tasks and tell of each, as it is done, what came of its cell.

        Raises:
            OvermemError: workers that cannot be had; what was done stays.
        """


@dataclass(frozen=True)
class LocalExecutor:
    """This process."""

    progress: Progress

    def do(self, tasks: Sequence[Task]) -> Iterator[tuple[Task, dict[str, Any]]]:
        """See `Executor`."""
        for task in tasks:
            yield task, do_task(task, self.progress)


class Worker:
    """A process that does one task at a time, from and to files that all nodes see."""

    def open(self, setup: SharedFolder, progress_queue: Any) -> Exception | None:
        """Work in the driver's folder; returns what stands in the way."""
        self.root = setup.mark.parent
        self.progress: Progress = lambda *update: progress_queue.put.remote(update)
        try:
            setup.join()
        except (OvermemError, OSError) as error:
            return error
        return None

    def do(self, task: Task) -> dict[str, Any] | Exception:
        """Do a task; the cell's record, or what no cell could do better."""
        if Path(task.sweep.output).absolute() != self.root:
            return RunError(
                "a worker cannot work in the folder that the sweep was started in",
                got=Path.cwd(),
                expected="the same folder on all nodes, or an `output` from the root on",
            )
        return do_task(task, self.progress)


@dataclass(frozen=True)
class RayExecutor:
    """The workers of a pool."""

    pool: RayPool

    def do(self, tasks: Sequence[Task]) -> Iterator[tuple[Task, dict[str, Any]]]:
        """See `Executor`; a cell that ends worker after worker has failed."""
        by_name = {task.cell.name: task for task in tasks}
        calls = [(name, lambda worker, task=task: worker.do.remote(task)) for name, task in by_name.items()]
        for name, found in self.pool.run(calls):
            task = by_name[name]
            if isinstance(found, RunError):
                raise found
            yield task, record_failure(task, found) if isinstance(found, Exception) else found


@contextmanager
def open_executor(
    sweep: Sweep, progress: Progress, *, ray: str | None, workers: int | None, most: int
) -> Iterator[Executor]:
    """Who will do a sweep, for as long as the context lasts.

    Args:
        sweep: whose folder all workers must see.
        progress: told of (cell, work, done, in all).
        ray: address of a Ray cluster; see `overmem.workers.cluster.connected`.
        workers: most workers; by default one for each device. Without `ray` they are started here.
        most: tasks there are.

    Raises:
        RunError: Ray is missing or not reached, or has no such device.
    """
    if ray is None and workers is None:
        yield LocalExecutor(progress)
        return
    check_alone(sweep.audit.get("device_map"), "--workers or --ray")
    with connected(ray or "local", workers) as library:
        device, n = devices(library.cluster_resources(), str(sweep.audit.get("device", "auto")), workers)
        with shared_folder(Path(sweep.output).absolute()) as place:
            pool = RayPool(
                library,
                Worker,
                place,
                resources=resources_per_worker(device),
                workers=min(n, max(1, most)),
                on_update=progress,
            )
            try:
                yield RayExecutor(pool)
            finally:
                pool.close()
