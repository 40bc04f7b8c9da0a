"""From saved artifacts to the report; the only module of `reporting` that knows where they lie."""

from __future__ import annotations

from pathlib import Path

from overmem.diagnosis.run import diagnose
from overmem.errors import RunError
from overmem.records import REPAIR_SCHEMA, VERDICT_SCHEMA
from overmem.reporting.html import write_report
from overmem.store import MANIFEST_SCHEMA, Store


def report(run: str | Path, *, out: str | Path | None = None) -> Path:
    """Write the HTML report of a run; a run without a verdict is diagnosed first.

    Args:
        run: run folder, or the artifact folder that an audit wrote elsewhere.
        out: HTML file; `RUN/overmem/report.html` by default.

    Returns:
        The file written.

    Raises:
        OvermemError: no such folder, or artifacts that are missing or damaged.
    """
    run_path = Path(run)
    if not run_path.is_dir():
        raise RunError("the run folder does not exist", got=run_path, next_step="check the path")
    store = Store.of_run(run_path)
    if not store.has_record("verdict"):
        diagnose(run_path)
    verdict = store.read_record("verdict", VERDICT_SCHEMA)
    manifest = store.read_record("manifest", MANIFEST_SCHEMA) if store.has_record("manifest") else None
    target = Path(out) if out is not None else store.root / "report.html"
    repair = store.read_record("repair", REPAIR_SCHEMA) if store.has_record("repair") else None
    return write_report(verdict, target, manifest=manifest, repair=repair, title=run_path.resolve().name)
