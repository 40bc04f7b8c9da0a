"""A crew of Ray workers, one a device: checkpoints are shared out, and a killed worker's is taken up again.

Every worker opens the audit for itself from the files of the run, which all nodes must see, and saves its
rows there; what travels is which checkpoint is next and what came of it. Ray is imported only when asked for.
"""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from overmem.auditing.board import Board
from overmem.auditing.config import AuditConfig
from overmem.auditing.crew import Item, do_item
from overmem.auditing.plan import Plan
from overmem.auditing.session import Progress, Session
from overmem.auditing.timing import make_timed_plan
from overmem.errors import CheckpointError, OvermemError, RunError, WorkerError
from overmem.records import Checkpoint, Run
from overmem.store import Store, write_text_atomic

POLL_SECONDS = 0.5
"""How often the workers' progress is asked for."""
MOST_DEATHS = 3
"""Workers that one checkpoint may outlive before it is held to be what ends them."""
START_SECONDS = 600.0
"""Longest wait for the first worker, which a cluster may have to start a machine for."""


@dataclass(frozen=True, kw_only=True)
class Errand:
    """What every worker opens: the same audit, and a mark by which it knows that it sees the same files."""

    run: Run
    config: AuditConfig
    out: Path | None
    folder: Path
    """The driver's working directory, to which relative names in the configuration refer."""
    mark: Path
    text: str
    """What the mark holds."""


class Worker:
    """One audit session in a process of its own; a user's errors are returned, not raised."""

    def open(self, errand: Errand, board: Any) -> Exception | None:
        """Load tokenizer and problems; returns what stands in the way."""
        try:
            # Relative names mean the same as at the driver, where its folder is seen.
            with suppress(OSError):
                os.chdir(errand.folder)
            _check_mark(errand)
            self.session = _open(errand, lambda *news: board.post.remote(news))
        except (OvermemError, OSError) as error:
            return error
        return None

    def plan(self, skipped: dict[str, str]) -> tuple[Plan, dict[str, str]] | Exception:
        """The timed plan, and the checkpoints to leave out with the reasons."""
        try:
            return make_timed_plan(self.session, skipped), skipped
        except (OvermemError, OSError) as error:
            return error

    def do(self, item: Item) -> Exception | None:
        """Do an item; returns what kept it from being done."""
        try:
            do_item(self.session, item)
        except (OvermemError, OSError) as error:
            return error
        return None


def _check_mark(errand: Errand) -> None:
    try:
        seen = errand.mark.read_text(encoding="utf-8") == errand.text
    except OSError:
        seen = False
    if not (seen and os.access(errand.mark.parent, os.W_OK)):
        raise RunError(
            "a worker cannot read and write the audit's folder",
            got=f"{errand.mark.parent} on {socket.gethostname()}",
            expected="one folder that all nodes see under the same path",
            next_step="put the run (or --out) on a shared filesystem, such as NFS or Lustre",
        )


def _open(errand: Errand, progress: Progress) -> Session:
    from overmem.auditing.run import open_session

    return open_session(errand.run, errand.config, errand.out, progress)


class RayCrew:
    """Workers, of which those that die are replaced; see `overmem.auditing.crew.Crew`."""

    def __init__(
        self, ray: Any, session: Session, errand: Errand, *, needs: dict[str, int], workers: int
    ) -> None:
        """Start the workers.

        Args:
            ray: the library, connected to a cluster.
            session: the audit as the driver sees it; it never loads a model.
            errand: what the workers open.
            needs: Ray's resources for each worker.
            workers: how many.
        """
        self.session = session
        self._ray, self._errand, self._needs = ray, errand, needs
        self._board = ray.remote(Board).options(num_cpus=0).remote()
        self._opening: dict[Any, Any] = {}
        self._idle: list[Any] = []
        self._busy: dict[Any, tuple[Any, str]] = {}
        self._unopened = 0
        for _ in range(workers):
            self._hire()

    def plan(self, skipped: dict[str, str]) -> Plan:
        """See `Crew`; a worker makes it, since it is timed on its device."""
        [(_, found)] = self._share([("the plan", lambda worker: worker.plan.remote(skipped))])
        if isinstance(found, Exception):
            raise found
        plan, left_out = found
        skipped |= left_out
        return plan  # type: ignore[no-any-return]

    def do(self, items: Iterable[Item]) -> Iterator[tuple[Checkpoint, CheckpointError | None]]:
        """See `Crew`."""
        by_name = {item.checkpoint.name: item for item in items}
        tasks = [(name, lambda worker, item=item: worker.do.remote(item)) for name, item in by_name.items()]
        for name, error in self._share(tasks):
            if error is not None and not isinstance(error, CheckpointError):
                raise error
            yield by_name[name].checkpoint, error

    def close(self) -> None:
        """End the workers."""
        for worker in [*self._idle, *self._opening.values(), *(worker for worker, _ in self._busy.values())]:
            self._ray.kill(worker)
        self._ray.kill(self._board)

    def _share(self, tasks: Iterable[tuple[str, Callable[[Any], Any]]]) -> Iterator[tuple[str, Any]]:
        """Share named tasks out and yield what comes of each; one whose worker died goes to another."""
        starts = dict(tasks)
        waiting, deaths, since = deque(starts), Counter[str](), time.monotonic()
        while waiting or self._busy:
            while waiting and self._idle:
                worker, name = self._idle.pop(), waiting.popleft()
                self._busy[starts[name](worker)] = worker, name
            known = [*self._busy, *self._opening]
            done, _ = self._ray.wait(known, num_returns=len(known), timeout=POLL_SECONDS)
            self._tell()
            if self._busy or self._idle:
                since = time.monotonic()
            elif time.monotonic() - since > START_SECONDS:
                raise self._nobody()
            for reference in done:
                if reference in self._opening:
                    self._admit(reference)
                    continue
                worker, name = self._busy.pop(reference)
                try:
                    found = self._ray.get(reference)
                except self._ray.exceptions.RayTaskError:
                    raise
                except self._ray.exceptions.RayError as error:
                    self._replace(worker)
                    deaths[name] += 1
                    if deaths[name] == MOST_DEATHS:
                        raise _deadly(name, error) from None
                    waiting.appendleft(name)
                    continue
                self._idle.append(worker)
                yield name, found

    def _hire(self) -> None:
        worker = self._ray.remote(Worker).options(**self._needs).remote()
        self._opening[worker.open.remote(self._errand, self._board)] = worker

    def _admit(self, reference: Any) -> None:
        """Take on a worker that has opened the audit."""
        worker = self._opening.pop(reference)
        try:
            error = self._ray.get(reference)
        except self._ray.exceptions.RayError as lost:
            self._unopened += 1
            if self._unopened == MOST_DEATHS:
                raise WorkerError(
                    "the workers cannot start",
                    got=_first_lines(lost),
                    next_step="install this version of overmem on every node of the cluster",
                ) from None
            self._replace(worker)
            return
        if error is not None:
            raise error
        self._unopened = 0
        self._idle.append(worker)

    def _replace(self, worker: Any) -> None:
        # One that is only out of reach must let go of its device and its checkpoint.
        self._ray.kill(worker)
        self._hire()

    def _tell(self) -> None:
        """Pass the workers' news on."""
        with suppress(self._ray.exceptions.RayError):
            for news in self._ray.get(self._board.take.remote(), timeout=POLL_SECONDS):
                self.session.progress(*news)

    def _nobody(self) -> WorkerError:
        there = ", ".join(f"{n:g} {kind}" for kind, n in sorted(self._ray.available_resources().items()))
        return WorkerError(
            f"no worker could start within {START_SECONDS:.0f} s",
            got=f"free at the cluster: {there}",
            expected=", ".join(f"{kind}={n}" for kind, n in self._needs.items()),
            next_step="free devices, or ask for fewer or other ones with --workers and --device",
        )


@contextmanager
def ray_crew(
    run: Run,
    config: AuditConfig,
    out: Path | None = None,
    progress: Progress | None = None,
    *,
    address: str,
    workers: int | None = None,
) -> Iterator[RayCrew]:
    """A crew on a Ray cluster, for as long as the context lasts.

    Args:
        run: the checkpoints.
        config: what to measure and how; relative names in it are the driver's.
        out: artifact folder; `RUN/overmem` by default.
        progress: told of every batch of every worker.
        address: as Ray takes it: `auto`, `HOST:PORT`, or `local` to start a cluster here and end it again.
        workers: most workers; by default one a GPU, or one a CPU core where there is no GPU.

    Raises:
        RunError: Ray is missing or not reached, an impossible number, or a folder that workers do not see.
        WorkerError: workers that cannot start, or that one checkpoint ends again and again.
        OvermemError: what opening the audit raises.
    """
    if config.engine != "hf":
        raise RunError(
            "workers and a server do the same work twice over",
            got=f"--engine {config.engine} with --ray or --workers",
            next_step="leave one of them out; a server takes many requests by itself (--engine-concurrency)",
        )
    if workers is not None and workers < 1:
        raise RunError("workers must be at least 1", got=workers)
    from overmem.auditing.run import open_session

    with _connected(address, workers) as ray:
        device, n = _devices(ray.cluster_resources(), config.device, workers)
        here = run.path.absolute()
        run = replace(
            run,
            path=here,
            checkpoints=tuple(replace(c, path=c.path.absolute()) for c in run.checkpoints),
        )
        session = open_session(run, config, out and out.absolute(), progress, _torch_device(device))
        with _mark(session.store) as (mark, text):
            errand = Errand(
                run=run,
                config=replace(config, device=device),
                out=out and out.absolute(),
                folder=Path.cwd(),
                mark=mark,
                text=text,
            )
            needs = {"num_cpus": 1, "num_gpus": 1 if device == "cuda" else 0}
            crew = RayCrew(ray, session, errand, needs=needs, workers=min(n, len(run.checkpoints)))
            try:
                yield crew
            finally:
                crew.close()


@contextmanager
def _connected(address: str, workers: int | None) -> Iterator[Any]:
    """Ray, connected; one that is already connected is used as it is."""
    # No reports to the makers of Ray, workers as important as this process, no warning of hidden GPUs.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_worker_niceness", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError:
        raise RunError("Ray is not installed", next_step='run `pip install "overmem[ray]"`') from None
    if ray.is_initialized():
        yield ray
        return
    own = {"num_cpus": workers, "include_dashboard": False} if address == "local" else {}
    try:
        _knock(address)
        ray.init(address=address, log_to_driver=False, logging_level="ERROR", **own)
    except (OSError, RuntimeError, ValueError) as error:
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


def _knock(address: str) -> None:
    """Raise OSError where nobody listens: Ray itself would try for ten minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=10).close()


def _devices(resources: dict[str, float], device: str, workers: int | None) -> tuple[str, int]:
    """The kind of device that every worker gets, and how many workers there will be."""
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


@contextmanager
def _mark(store: Store) -> Iterator[tuple[Path, str]]:
    """A file in the artifact folder by which a worker knows that it sees the same one."""
    text = uuid.uuid4().hex
    mark = store.root / f".mark-{text[:8]}"
    write_text_atomic(mark, text)
    try:
        yield mark, text
    finally:
        mark.unlink(missing_ok=True)
        with suppress(OSError):  # there is more in it
            store.root.rmdir()


def _deadly(name: str, error: Exception) -> WorkerError:
    return WorkerError(
        f"{MOST_DEATHS} workers were lost at {name}",
        got=_first_lines(error),
        next_step="most often the memory was full: try a smaller --batch-tokens, or fewer --workers",
    )


def _first_lines(error: Exception, most: int = 3) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:most])[:500] or type(error).__name__


def _torch_device(name: str) -> Any:
    import torch

    return torch.device(name)
