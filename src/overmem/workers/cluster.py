"""A Ray cluster: reaching it, or starting one here, and which devices its workers get.

Ray is imported only when asked for.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, chdir, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from overmem.errors import RunError
from overmem.extras import needs_extra


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
            got=f"{address} ({first_lines(error)})",
            expected="auto on one of its nodes, HOST:PORT of its head (6379), or local for this machine",
            next_step="check the address, and that RAY_AUTH_TOKEN is the cluster's if it has one",
        ) from None
    try:
        yield ray
    finally:
        ray.shutdown()


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


def first_lines(error: Exception, most: int = 3) -> str:
    """The beginning of what an error of Ray's says, which may be pages."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:most])[:500] or type(error).__name__


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
