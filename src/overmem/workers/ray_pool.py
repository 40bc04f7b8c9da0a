"""Workers on a Ray cluster, one a device: named tasks are shared out, and a killed worker's goes to another.

What an audit and a sweep share: reaching the cluster, its devices, the folder that all workers must see, and
the pool itself. Ray is imported only when asked for.
"""

from __future__ import annotations

import os
import socket
import sys
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, chdir, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from overmem.artifacts.files import write_text_atomic
from overmem.errors import RunError, WorkerError
from overmem.extras import needs_extra
from overmem.workers.progress_queue import ProgressQueue

POLL_SECONDS = 0.5
"""How often the workers' progress is asked for."""
MAX_CRASHES = 3
"""Workers that one task may outlive before it is held to be what ends them."""
START_SECONDS = 600.0
"""Longest wait for the first worker, which a cluster may have to start a machine for."""


@dataclass(frozen=True, kw_only=True)
class SharedFolder:
    """Where the driver works, and a mark by which workers know that they see the same files."""

    folder: Path
    """The driver's working directory, to which relative names refer."""
    mark: Path
    text: str
    """What the mark holds."""

    def join(self) -> None:
        """Work in the driver's folder, where it is seen.

        Raises:
            RunError: the files are not the driver's, or cannot be written.
        """
        with suppress(OSError):
            os.chdir(self.folder)
        try:
            seen = self.mark.read_text(encoding="utf-8") == self.text
        except OSError:
            seen = False
        if not (seen and os.access(self.mark.parent, os.W_OK)):
            raise RunError(
                "a worker cannot read and write the artifacts' folder",
                got=f"{self.mark.parent} on {socket.gethostname()}",
                expected="one folder that all nodes see under the same path",
                next_step="put the run (or its output) on a shared filesystem, such as NFS or Lustre",
            )


@contextmanager
def shared_folder(root: Path) -> Iterator[SharedFolder]:
    """Leave a mark in a folder for as long as the context lasts."""
    text = uuid.uuid4().hex
    mark = root / f".mark-{text[:8]}"
    write_text_atomic(mark, text)
    try:
        yield SharedFolder(folder=Path.cwd(), mark=mark, text=text)
    finally:
        mark.unlink(missing_ok=True)
        with suppress(OSError):  # there is more in it
            root.rmdir()


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
                    got=_first_lines(lost),
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


@contextmanager
def connected(address: str, workers: int | None) -> Iterator[Any]:
    """Ray, connected; one that is already connected is used as it is.

    Args:
        address: as Ray takes it: `auto`, `HOST:PORT`, or `local` to start a cluster here and end it again.
        workers: CPUs of a cluster started here.

    Raises:
        MissingExtraError: Ray is missing.
        RunError: it is not reached.
    """
    # No reports to the makers of Ray, workers as important as this process, no warning of hidden GPUs.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_worker_niceness", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    with needs_extra("ray", "sharing work out over devices"):
        import ray
    if ray.is_initialized():
        yield ray
        return
    own = {"num_cpus": workers, "include_dashboard": False} if address == "local" else {}
    try:
        _check_reachable(address)
        with _outside_the_current_folder():
            ray.init(address=address, log_to_driver=False, logging_level="ERROR", **own)
    except Exception as error:  # a node that does not start in time is a plain Exception of Ray's
        raise RunError(
            "the Ray cluster cannot be used",
            got=f"{address} ({_first_lines(error)})",
            expected="auto on one of its nodes, HOST:PORT of its head (6379), or local for this machine",
            next_step="check the address, and that RAY_AUTH_TOKEN is the cluster's if it has one",
        ) from None
    try:
        yield ray
    finally:
        ray.shutdown()


def _outside_the_current_folder() -> AbstractContextManager[None]:
    """Elsewhere, unless Python looks in the current folder here, too: Ray puts it on its workers' path.

    It may be a run that somebody else shared. Workers go there later, for relative names.
    """
    return nullcontext() if {"", os.getcwd()} & set(sys.path) else chdir(Path(__file__).parents[2])


def _check_reachable(address: str) -> None:
    """Raise OSError where nobody listens: Ray itself would try for ten minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=10).close()


def devices(resources: dict[str, float], device: str, workers: int | None) -> tuple[str, int]:
    """The kind of device that every worker gets, and how many workers there will be.

    Args:
        resources: of the cluster, as Ray counts them.
        device: `auto`, `cpu` or `cuda`.
        workers: how many are asked for; one a device by default.

    Raises:
        RunError: another device, an impossible number, or none of that kind.
    """
    if workers is not None and workers < 1:
        raise RunError("workers must be at least 1", got=workers)
    gpus, cpus = int(resources.get("GPU", 0)), int(resources.get("CPU", 0))
    if device not in ("auto", "cpu", "cuda"):
        raise RunError("Ray gives each worker a device", got=device, expected="auto, cpu or cuda")
    if device == "auto":
        device = "cuda" if gpus else "cpu"
    there = gpus if device == "cuda" else cpus
    if workers is None and there == 0:
        raise RunError(
            f"the Ray cluster has no device for {device}",
            got=f"{gpus} GPUs, {cpus} CPUs",
            next_step="pass --device, or --workers N if the cluster grows on demand",
        )
    return device, workers or there


def resources_per_worker(device: str) -> dict[str, int]:
    """Ray's resources for a worker on one device of this kind."""
    return {"num_cpus": 1, "num_gpus": 1 if device == "cuda" else 0}


def _crash_error(name: str, error: Exception) -> WorkerError:
    return WorkerError(
        f"{MAX_CRASHES} workers were lost at {name}",
        got=_first_lines(error),
        next_step="most often the memory was full: try smaller batches (--batch-tokens), or fewer --workers",
    )


def _first_lines(error: Exception, most: int = 3) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:most])[:500] or type(error).__name__
