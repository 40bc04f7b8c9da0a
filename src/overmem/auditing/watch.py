"""Follow a run folder in which another tool is saving checkpoints, and measure each as it lands.

A checkpoint counts as saved once its weights are whole and nothing in its folder has changed for a while,
since trainers write into the final folder file by file.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from overmem.auditing.options import AuditOptions
from overmem.auditing.resolve import resolve_options
from overmem.auditing.run import Audit, measure
from overmem.auditing.session import Progress
from overmem.checkpoints import open_run
from overmem.errors import RunError
from overmem.records import Checkpoint, Run

SETTLE_SECONDS = 10.0
"""Without a change for so long, a folder is taken to be whole."""


@dataclass(frozen=True, kw_only=True)
class Update:
    """What one look at the folder brought."""

    audit: Audit
    new: tuple[str, ...]
    """Checkpoints that are measured now and were not before."""
    gone: tuple[str, ...]
    """Checkpoints that were measured and have been deleted since, by `save_total_limit` perhaps."""


def watch(
    path: str | Path,
    options: AuditOptions,
    *,
    every: float = 30.0,
    settle: float = SETTLE_SECONDS,
    idle_minutes: float | None = None,
    out: Path | None = None,
    progress: Progress | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Update]:
    """Measure the checkpoints of a growing run, one look at a time.

    Args:
        path: run folder; it may still be empty, or not there yet.
        options: what to measure and how.
        every: seconds between looks.
        settle: seconds without a change after which a checkpoint is taken to be whole.
        idle_minutes: stop when nothing new came for so long; None goes on until it is interrupted.
        out: artifact folder; `PATH/overmem` by default.
        progress: told after every batch.
        sleep: waits; for tests.

    Yields:
        An update whenever new checkpoints were measured. Interrupting it loses nothing.

    Raises:
        OvermemError: bad data or options, as `audit` would.
    """
    for name, value in (("every", every), ("idle", idle_minutes)):
        if value is not None and not value > 0:
            raise RunError(f"{name} must be above 0", got=value)
    measured: tuple[str, ...] = ()
    quiet_since = time.monotonic()
    while True:
        run = settled_run(Path(path), settle, allow_pickle=options.allow_pickle)
        names = () if run is None else tuple(checkpoint.name for checkpoint in run.checkpoints)
        new = tuple(name for name in names if name not in measured)
        if run is not None and new:
            done = measure(run, resolve_options(run, options), out=out, progress=progress)
            yield Update(audit=done, new=new, gone=tuple(name for name in measured if name not in names))
            measured = names
            quiet_since = time.monotonic()
            continue
        if idle_minutes is not None and time.monotonic() - quiet_since > 60 * idle_minutes:
            return
        sleep(every)


def settled_run(path: Path, settle: float, *, allow_pickle: bool = False) -> Run | None:
    """The checkpoints that are whole and no longer change; None while there is none."""
    if not path.is_dir():
        return None
    try:
        run = open_run(path, allow_pickle=allow_pickle)
    except RunError:
        return None
    now = time.time()
    kept = tuple(c for c in run.checkpoints if now - last_change(c, path) >= settle)
    return Run(path=run.path, checkpoints=kept) if kept else None


def last_change(checkpoint: Checkpoint, root: Path) -> float:
    """When a file of the checkpoint was last written, seconds since the epoch."""
    files = checkpoint.path.iterdir() if checkpoint.path == root else checkpoint.path.rglob("*")
    return max((file.stat().st_mtime for file in files if file.is_file()), default=0.0)
