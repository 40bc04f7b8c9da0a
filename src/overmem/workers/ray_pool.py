"""Workers on a Ray cluster, one a device: tasks are shared out, and a killed worker's go to another."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Protocol

from overmem.errors import WorkerError
from overmem.workers.cluster import first_lines
from overmem.workers.progress_queue import ProgressQueue

POLL_SECONDS = 0.5
"""How often the workers' progress is asked for."""
MAX_CRASHES = 3
"""Workers that one task may outlive before it is held to be what ends them."""
START_SECONDS = 600.0
"""Longest wait for the first worker, which a cluster may have to start a machine for."""


class PoolWorker(Protocol):
    """A worker's class, as the pool needs it; a user's errors are returned by its methods, not raised."""

    def open(self, setup: Any, progress_queue: Any) -> Exception | None:
        """Get ready; returns what stands in the way."""


class RayPool:
    """Workers, of which those that die are replaced.

    Ray's `max_restarts` and `max_task_retries` make a task wait until its own worker is there again, while
    others are idle, and without end where no device is free for it; here it goes to the next free worker.
    """

    def __init__(
        self,
        ray: Any,
        kind: type[PoolWorker],
        setup: Any,
        *,
        resources: Mapping[str, int],
        workers: int,
        on_update: Callable[..., None],
    ) -> None:
        """Start the workers.

        Args:
            ray: the library, connected to a cluster.
            kind: the workers' class.
            setup: what they open.
            resources: Ray's resources for each worker.
            workers: how many.
            on_update: called with the four parts of each of the workers' update.
        """
        self._ray, self._kind, self._setup, self._resources, self._on_update = (
            ray,
            kind,
            setup,
            resources,
            on_update,
        )
        self._progress_queue = ray.remote(ProgressQueue).options(num_cpus=0).remote()
        self._opening: dict[Any, Any] = {}
        self._idle: list[Any] = []
        self._busy: dict[Any, tuple[Any, str]] = {}
        self._failed_starts = 0
        for _ in range(workers):
            self._start_worker()

    def close(self) -> None:
        """End the workers."""
        for worker in [*self._idle, *self._opening.values(), *(worker for worker, _ in self._busy.values())]:
            self._ray.kill(worker)
        self._ray.kill(self._progress_queue)

    def run(self, tasks: Iterable[tuple[str, Callable[[Any], Any]]]) -> Iterator[tuple[str, Any]]:
        """Share named tasks out and yield what comes of each; one whose worker died goes to another.

        What ends worker after worker comes back as a `WorkerError`.

        Args:
            tasks: names, and calls that start a task on a worker.

        Raises:
            OvermemError: workers that cannot start or get ready.
        """
        starts = dict(tasks)
        waiting, deaths, since = deque(starts), Counter[str](), time.monotonic()
        while waiting or self._busy:
            while waiting and self._idle:
                worker, name = self._idle.pop(), waiting.popleft()
                self._busy[starts[name](worker)] = worker, name
            known = [*self._busy, *self._opening]
            done, _ = self._ray.wait(known, num_returns=len(known), timeout=POLL_SECONDS)
            self._forward_progress()
            if self._busy or self._idle:
                since = time.monotonic()
            elif time.monotonic() - since > START_SECONDS:
                raise self._no_worker_left()
            for reference in done:
                if reference in self._opening:
                    self._worker_opened(reference)
                    continue
                worker, name = self._busy.pop(reference)
                try:
                    found = self._ray.get(reference)
                except self._ray.exceptions.RayTaskError:
                    raise
                except self._ray.exceptions.RayError as error:
                    self._replace(worker)
                    deaths[name] += 1
                    if deaths[name] == MAX_CRASHES:
                        yield name, _crash_error(name, error)
                    else:
                        waiting.appendleft(name)
                    continue
                self._idle.append(worker)
                yield name, found

    def _start_worker(self) -> None:
        worker = self._ray.remote(self._kind).options(**self._resources).remote()
        self._opening[worker.open.remote(self._setup, self._progress_queue)] = worker

    def _worker_opened(self, reference: Any) -> None:
        """Take on a worker that is ready."""
        worker = self._opening.pop(reference)
        try:
            error = self._ray.get(reference)
        except self._ray.exceptions.RayError as lost:
            self._failed_starts += 1
            if self._failed_starts == MAX_CRASHES:
                raise WorkerError(
                    "the workers cannot start",
                    got=first_lines(lost),
                    next_step="install this version of overmem on every node of the cluster",
                ) from None
            self._replace(worker)
            return
        if error is not None:
            raise error
        self._failed_starts = 0
        self._idle.append(worker)

    def _replace(self, worker: Any) -> None:
        # One that is only out of reach must let go of its device and its checkpoint.
        self._ray.kill(worker)
        self._start_worker()

    def _forward_progress(self) -> None:
        """Pass the workers' update on."""
        with suppress(self._ray.exceptions.RayError):
            for update in self._ray.get(self._progress_queue.drain.remote(), timeout=POLL_SECONDS):
                self._on_update(*update)

    def _no_worker_left(self) -> WorkerError:
        there = ", ".join(f"{n:g} {kind}" for kind, n in sorted(self._ray.available_resources().items()))
        return WorkerError(
            f"no worker could start within {START_SECONDS:.0f} s",
            got=f"free at the cluster: {there}",
            expected=", ".join(f"{kind}={n}" for kind, n in self._resources.items()),
            next_step="free devices, or ask for fewer or other ones with --workers and --device",
        )


def _crash_error(name: str, error: Exception) -> WorkerError:
    return WorkerError(
        f"{MAX_CRASHES} workers were lost at {name}",
        got=first_lines(error),
        next_step="most often the memory was full: try smaller batches (--batch-tokens), or fewer --workers",
    )
