"""Follow a run folder in which another tool is saving checkpoints, and measure each as it lands.

A checkpoint counts as saved once its weights are whole and nothing in its folder has changed while it was
looked at for so long, since trainers write into the final folder file by file. Times say nothing of that:
rsync and `cp -p` keep those of their source, which may be old or in the future.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from overmem.auditing.options import AuditOptions
from overmem.auditing.resolve import resolve_options
from overmem.auditing.run import Audit, measure
from overmem.auditing.session import Progress
from overmem.checkpoints import FINAL, open_run
from overmem.errors import CheckpointError, NoCheckpointError, RunError
from overmem.fingerprints import sampled_fingerprint
from overmem.records import Checkpoint, Run

SETTLE_SECONDS = 10.0
"""Without a change for so long, a folder is taken to be whole."""
Content = tuple[tuple[tuple[str, int], ...], str]
"""Names and sizes of a checkpoint's files, and the sampled fingerprint of its weights."""


@dataclass(frozen=True, kw_only=True)
class Update:
    """What one look at the folder brought."""

    audit: Audit
    new: tuple[str, ...]
    """Checkpoints that are measured now and were not before."""
    gone: tuple[str, ...]
    """Checkpoints that were measured and have been deleted since, by `save_total_limit` perhaps."""


@dataclass(frozen=True, kw_only=True)
class Watch(Iterator[Update]):
    """A folder that is being watched: `for update in watch:` looks, waits and measures."""

    path: Path
    every: float
    """Seconds between two looks."""
    idle_minutes: float | None
    """Without a new checkpoint for so long, it ends; None never ends."""
    updates: Iterator[Update]

    def __next__(self) -> Update:
        """The next update; it takes as long as the training takes to save a checkpoint."""
        return next(self.updates)

    def __repr__(self) -> str:
        end = "" if self.idle_minutes is None else f", ends after {self.idle_minutes:g} min without a new one"
        return f"Watch {self.path}: a look every {self.every:g} s{end}; use it as `for update in ...`"


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
) -> Watch:
    """Measure the checkpoints of a growing run, one look at a time.

    Args:
        path: run folder; it may still be empty, or not there yet.
        options: what to measure and how.
        every: seconds between two looks at the folder.
        settle: seconds without a change after which a checkpoint counts as complete.
        idle_minutes: stop after so many minutes without a new checkpoint; None never stops by itself.
        out: artifact folder; `PATH/overmem` by default.
        progress: told after every batch.
        sleep: waits; for tests.

    Returns:
        An iterator with an update whenever new checkpoints were measured. Interrupting it loses nothing.

    Raises:
        OvermemError: a time that is not above 0; bad data or options, as `audit` would, while iterating.
    """
    for name, value in (("every", every), ("idle", idle_minutes)):
        if value is not None and not value > 0:
            raise RunError(f"{name} must be above 0", got=value)
    looks = _look(Path(path), options, every, settle, idle_minutes, out, progress, sleep)
    return Watch(path=Path(path), every=every, idle_minutes=idle_minutes, updates=looks)


def _look(
    path: Path,
    options: AuditOptions,
    every: float,
    settle: float,
    idle_minutes: float | None,
    out: Path | None,
    progress: Progress | None,
    sleep: Callable[[float], None],
) -> Iterator[Update]:
    """Look, measure what is new, wait, and look again."""
    watched = Watched(
        path,
        settle,
        allow_pickle=options.allow_pickle,
        checkpoints_glob=options.checkpoints_glob,
    )
    measured: dict[str, str] = {}
    quiet_since = time.monotonic()
    while True:
        run = watched.settled_run()
        names = () if run is None else tuple(checkpoint.name for checkpoint in run.checkpoints)
        weights = {name: watched.weights(name) for name in names}
        new = tuple(name for name in names if measured.get(name) != weights[name])
        if run is not None and new:
            done = measure(run, resolve_options(run, options), out=out, progress=progress)
            yield Update(audit=done, new=new, gone=tuple(name for name in measured if name not in names))
            measured = weights
            quiet_since = time.monotonic()
            continue
        if idle_minutes is not None and time.monotonic() - quiet_since > 60 * idle_minutes:
            return
        sleep(min(every, settle) if watched.unsettled and settle > 0 else every)


class Watched:
    """A folder that is looked at again and again, and since when its checkpoints are as they are."""

    def __init__(
        self,
        path: Path,
        settle: float,
        *,
        allow_pickle: bool = False,
        checkpoints_glob: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing was looked at yet.

        Args:
            path: run folder.
            settle: seconds without a change.
            allow_pickle: pickled weights are checkpoints, too.
            checkpoints_glob: pattern of the folders that are checkpoints.
            clock: seconds; for tests.
        """
        self.path, self.settle, self._clock = path, settle, clock
        self._allow_pickle, self._checkpoints_glob = allow_pickle, checkpoints_glob
        self.unsettled = False
        """At the last look, some checkpoint was not yet seen unchanged for long enough."""
        self._since: dict[str, tuple[Content, float]] = {}

    def settled_run(self) -> Run | None:
        """Look: the checkpoints that are whole and no longer change; None while there is none.

        Raises:
            RunError: what more checkpoints do not mend, such as two of one step.
        """
        self.unsettled = False
        if not self.path.is_dir():
            return None
        try:
            run = open_run(
                self.path, allow_pickle=self._allow_pickle, checkpoints_glob=self._checkpoints_glob
            )
        except NoCheckpointError:
            return None
        kept = tuple(checkpoint for checkpoint in run.checkpoints if self._is_settled(checkpoint))
        self.unsettled = len(kept) < len(run.checkpoints)
        return replace(run, checkpoints=kept, skipped={}) if kept else None

    def weights(self, name: str) -> str:
        """The sampled fingerprint of a checkpoint's weights at the last look."""
        return self._since[name][0][1]

    def _is_settled(self, checkpoint: Checkpoint) -> bool:
        now = self._clock()
        try:
            content = _content(checkpoint)
        except (CheckpointError, OSError):  # being written, or deleted
            self._since.pop(checkpoint.name, None)
            return False
        seen, since = self._since.get(checkpoint.name, (None, now))
        if seen != content:
            since = now
        self._since[checkpoint.name] = (content, since)
        return now - since >= self.settle


def _content(checkpoint: Checkpoint) -> Content:
    files = checkpoint.path.iterdir() if checkpoint.name == FINAL else checkpoint.path.rglob("*")
    sizes = sorted((file.name, file.stat().st_size) for file in files if file.is_file())
    return tuple(sizes), sampled_fingerprint(checkpoint.path)
