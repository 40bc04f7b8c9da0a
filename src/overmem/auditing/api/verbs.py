"""From Python: what an audit would cost, and following a folder in which checkpoints are being saved."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Unpack

from overmem.auditing.api.keywords import AuditKeywords
from overmem.auditing.opening import open_session
from overmem.auditing.options import make_options, takes_audit_options
from overmem.auditing.planning.cost import Peaks
from overmem.auditing.planning.forecast import Forecast, forecast
from overmem.auditing.resolve import resolve_options
from overmem.auditing.session import Progress
from overmem.auditing.watch import SETTLE_SECONDS, Update
from overmem.auditing.watch import watch as watch_folder
from overmem.checkpoints import open_run
from overmem.keywords import names_its_keywords
from overmem.records import Run


@names_its_keywords
@takes_audit_options
def plan(
    run: Run | str | Path,
    *,
    out: str | Path | None = None,
    peaks: Peaks | None = None,
    **options: Unpack[AuditKeywords],
) -> Forecast:
    """What an audit would cost: tokens, time and memory, from a batch or two of each kind of its work.

    An `overmem.yaml` in the folder is not read; see `audit`.

    Args:
        run: a run or its folder.
        out: artifact folder; `RUN/overmem` by default.
        peaks: what another device can do at most; then nothing is run here, and the times are floors.
        **options: see `AuditOptions`.

    Raises:
        OvermemError: bad run, data, grader or option.
    """
    asked = make_options(options)
    if not isinstance(run, Run):
        run = open_run(run, allow_pickle=asked.allow_pickle, checkpoints_glob=asked.checkpoints_glob)
    session = open_session(run, resolve_options(run, asked), None if out is None else Path(out))
    return forecast(session, dict(run.skipped), peaks)


@names_its_keywords
@takes_audit_options
def watch(
    run: str | Path,
    *,
    every: float = 30.0,
    settle: float = SETTLE_SECONDS,
    idle_minutes: float | None = None,
    out: str | Path | None = None,
    progress: Progress | None = None,
    **options: Unpack[AuditKeywords],
) -> Iterator[Update]:
    """Measure the checkpoints of a run that is being trained, as they land.

    An `overmem.yaml` in the folder is not read; see `audit`.

    Args:
        run: its folder, which may still be empty, or not there yet.
        every: seconds between looks.
        settle: seconds that a checkpoint is seen without a change before it is taken to be whole.
        idle_minutes: stop when nothing new came for so long; None goes on until it is interrupted.
        out: artifact folder; `RUN/overmem` by default.
        progress: told after every batch.
        **options: see `AuditOptions`.

    Returns:
        An iterator with an update whenever new checkpoints were measured; `overmem.diagnose(update.audit)`
        judges them.

    Raises:
        OvermemError: bad data or options, as `audit` would; what the folder is refused for, while iterating.
    """
    asked = make_options(options)
    folder = None if out is None else Path(out)
    return watch_folder(
        run, asked, every=every, settle=settle, idle_minutes=idle_minutes, out=folder, progress=progress
    )
