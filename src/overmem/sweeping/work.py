"""The work of one cell: train, audit, diagnose, report; each continues where it was stopped.

What came of it is kept in `CELL/overmem/cell.json`, so that a sweep knows its cells from their folders alone.
"""

from __future__ import annotations

import gc
import shutil
import time
import traceback
from dataclasses import dataclass, replace
from typing import Any

import torch

from overmem.artifacts.files import write_text_atomic
from overmem.artifacts.manifest import Manifest, read_manifest
from overmem.artifacts.store import Store
from overmem.auditing.resolve import resolve_options
from overmem.auditing.run import measure
from overmem.auditing.session import Progress
from overmem.axes import CORE
from overmem.checkpoints import open_run
from overmem.errors import OvermemError
from overmem.monitor.retention import NOT_KEPT
from overmem.parsing import read_json_or_empty
from overmem.reporting.run import report
from overmem.serialization import settings_key
from overmem.sweeping.cells import Cell
from overmem.sweeping.config import Sweep
from overmem.training.resume import has_optimizer, is_trained, newest_checkpoint
from overmem.training.trainer import train
from overmem.verdict.diagnose import diagnose

CELL_SCHEMA = "overmem.cell/1"
RECORD = "cell"
CONFIRM = "confirm"
"""Folder, among a cell's artifacts, of what was measured on problems that chose nothing."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """What one worker does at a time."""

    cell: Cell
    sweep: Sweep
    confirm: tuple[str, ...] = ()
    """Checkpoints to measure on the sweep's `confirm`; empty for the work of the cell itself."""


def do_task(task: Task, progress: Progress) -> dict[str, Any]:
    """Do a cell's work, or as much of it as is missing, and record what came of it.

    A cell that fails, for whatever reason, is recorded with its message: the others go on.

    Args:
        task: what to do.
        progress: told of (cell, work, done, in all).

    Returns:
        The cell's record.
    """
    cell = task.cell
    try:
        if task.confirm:
            _measure_confirm(task, _within(cell.name, progress))
            return cell_record(cell)
        return _do_cell(cell, task.sweep, _within(cell.name, progress))
    except Exception as error:  # its training runs other people's code, and no cell may stop the others
        return record_failure(task, error)
    finally:
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def is_done(cell: Cell, sweep: Sweep) -> bool:
    """Whether the cell's verdict is there, and is that of this recipe under these settings."""
    record, store = cell_record(cell), _store(cell)
    made = record.get("status") == "done" and record.get("key") == cell_key(cell, sweep)
    return made and store.has_record("verdict") and store.has_record("manifest")


def cell_key(cell: Cell, sweep: Sweep) -> str:
    """A short name for what a cell's verdict rests on."""
    # Without its folder: a sweep may be moved.
    recipe = cell.recipe.model_dump(mode="json", exclude={"output"})
    return settings_key({"recipe": recipe, "audit": sweep.audit, "rule": sweep.rule.model_dump()})


def cell_record(cell: Cell) -> dict[str, Any]:
    """What is known of a cell from its folder; empty where it was never begun."""
    found = read_json_or_empty(_store(cell).root / f"{RECORD}.json")
    return found if found.get("schema") == CELL_SCHEMA else {}


def record_failure(task: Task, error: Exception) -> dict[str, Any]:
    """Note that a cell failed, and why; the traceback of what is not a user's error lies beside it.

    A cell that could not be measured on the problems that choose nothing keeps its verdict.
    """
    if isinstance(error, OvermemError):
        said = str(error)
    else:
        said = f"{type(error).__name__}: {str(error).strip() or 'no message'}"
        trace = "".join(traceback.format_exception(error))
        write_text_atomic(_store(task.cell).root / "failure.txt", trace)
    if task.confirm:
        return {"status": "failed", "error": said}
    return _record(task.cell, task.sweep, status="failed", error=said)


def _do_cell(cell: Cell, sweep: Sweep, progress: Progress) -> dict[str, Any]:
    seconds = _train(cell, sweep, progress)
    start = time.monotonic()
    run = open_run(cell.folder)
    options = resolve_options(run, sweep.audit_options())
    verdict = diagnose(measure(run, options, progress=progress), sweep.rule.to_rule())
    report(cell.folder)
    return _record(
        cell,
        sweep,
        status="done",
        stage=verdict.stage,
        train_seconds=seconds,
        audit_seconds=round(time.monotonic() - start, 1),
    )


def _train(cell: Cell, sweep: Sweep, progress: Progress) -> float | None:
    """Train what is not trained yet; its seconds, or None where an earlier sitting did some of it."""
    record = cell_record(cell)
    newest = newest_checkpoint(cell.folder)
    # What is stopped early ends before its last step, and only the record says that it has ended.
    if newest is not None and (record.get("trained") or is_trained(cell.folder)):
        return record.get("train_seconds")
    if newest is not None and not has_optimizer(newest):
        # Its optimizer was not kept: training on would be another fine-tune.
        for folder in cell.folder.glob("checkpoint-*"):
            shutil.rmtree(folder)
        newest = None
    # What is recorded of an earlier training, whose checkpoints are gone, does not hold for this one.
    (_store(cell).root / f"{RECORD}.json").unlink(missing_ok=True)
    start = time.monotonic()
    train(
        cell.recipe,
        resume=True,
        progress=lambda done, total, _: progress("training", "step", done, total),
    )
    seconds = None if newest is not None else round(time.monotonic() - start, 1)
    _record(cell, sweep, status="trained", trained=True, train_seconds=seconds)
    for folder in cell.folder.glob("checkpoint-*"):
        # Two thirds of the space, and only training on would need it.
        for file in (file for pattern in NOT_KEPT for file in folder.glob(pattern)):
            file.unlink() if file.is_file() else shutil.rmtree(file)
    return seconds


def _measure_confirm(task: Task, progress: Progress) -> None:
    """Likelihood and accuracy of some checkpoints on the problems that chose nothing."""
    store, whole = _store(task.cell), open_run(task.cell.folder)
    some = tuple(checkpoint for checkpoint in whole.checkpoints if checkpoint.name in task.confirm)
    options = resolve_options(whole, task.sweep.audit_options())
    assert task.sweep.confirm is not None
    options = options.replace(
        val=task.sweep.confirm,
        train=None,
        ood={},
        variants=None,
        axes=CORE,
        limit=None,
        limits={},
        base_row=False,
    )
    measure(
        replace(whole, checkpoints=some, skipped={}), options, out=store.root / CONFIRM, progress=progress
    )


def confirm_store(cell: Cell) -> tuple[Store, Manifest]:
    """What was measured of a cell on the problems that chose nothing, and its manifest.

    Raises:
        ArtifactError: nothing was.
    """
    store = Store(_store(cell).root / CONFIRM)
    return store, read_manifest(store)


def _record(cell: Cell, sweep: Sweep, **found: Any) -> dict[str, Any]:
    """Write what is known of a cell now; that it is trained stays known, whatever its audit comes to."""
    before = {key: value for key, value in cell_record(cell).items() if key in ("trained", "train_seconds")}
    record = {"schema": CELL_SCHEMA, "key": cell_key(cell, sweep), **before, **found}
    _store(cell).write_record(RECORD, record)
    return record


def _store(cell: Cell) -> Store:
    return Store(cell.folder / "overmem")


def _within(cell: str, progress: Progress) -> Progress:
    return lambda at, work, done, total: progress(cell, f"{at} {work}", done, total)
