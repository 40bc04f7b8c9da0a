"""From Python: what an audit would cost, and following a folder in which checkpoints are being saved."""

from __future__ import annotations

from pathlib import Path
from typing import Unpack

from overmem.auditing.api.keywords import AuditKeywords
from overmem.auditing.opening import open_session
from overmem.auditing.options import make_options, takes_audit_options
from overmem.auditing.planning.cost import Peaks
from overmem.auditing.planning.forecast import Forecast, forecast
from overmem.auditing.resolve import resolve_options
from overmem.auditing.session import Progress
from overmem.auditing.watch import SETTLE_SECONDS, Watch
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
    """Show what an audit would cost in tokens, time and memory; a batch or two of each kind is measured.

    An `overmem.yaml` in the folder is not read; see `audit`.

    Args:
        run: a run or its folder.
        out: artifact folder; `RUN/overmem` by default.
        peaks: peaks of another device; then nothing is run here, and the times are the least possible.
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
) -> Watch:
    """Audit each new checkpoint of a run that is training.

    An `overmem.yaml` in the folder is not read; see `audit`.

    Args:
        run: its folder, which may be empty or not exist yet.
        every: seconds between two looks at the folder.
        settle: seconds without a change after which a checkpoint counts as complete.
        idle_minutes: stop after so many minutes without a new checkpoint; None never stops by itself.
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
