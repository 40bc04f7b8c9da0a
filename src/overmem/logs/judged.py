"""From a log to what it says: its task, its evaluations, what it would keep, and what is odd in it."""

from __future__ import annotations

import gc
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from overmem.logs.findings.checks import ORDER, check_log
from overmem.logs.findings.reinforcement import of_reinforcement
from overmem.logs.history import LoggedHistory, logged_number
from overmem.logs.keep import MEAN, choose, mean_of_sets, pick_series, settle
from overmem.logs.kinds import LANGUAGE_MODELS, Task, find_task
from overmem.logs.reading import read_histories
from overmem.logs.series import Series, read_series
from overmem.logs.train_loss.beside_evaluation import gap_beside, gap_of_sets
from overmem.logs.train_loss.reading import read_train_loss
from overmem.logs.train_loss.rows import train_rows
from overmem.logs.train_loss.trouble import find_trouble
from overmem.records.logged import (
    Difference,
    LoggedFinding,
    LoggedPoint,
    LoggedReading,
    LoggedRun,
    LoggedSeries,
    SavedStep,
    TrainLossGap,
)

_OTHER_LOSSES = ("preference", "reinforcement", "reward model", "regression")
"""Tasks whose loss is no cross entropy of what is in the rows: near 0, rising or flat may be as it should."""
_NO_GAP = ("scale", "eval_near_zero", "eval_constant")
"""Findings with which evaluation loss less training loss is no gap."""
MOST_POINTS = 300
"""Of a series that a record holds; of more, some between the ends stay, with the best and the saved."""


def read_log(path: Path) -> LoggedReading:
    """What the log at a path says.

    Args:
        path: a run's folder, a checkpoint's, or a log.

    Raises:
        RunError: there is no log, or one that cannot be read.
    """
    with _without_collections():
        histories = read_histories(path)
        shared = sum(history.branch_of is None for history in histories) > 1
        return LoggedReading(
            runs=tuple(judge_history(history, str(path), shared=shared) for history in histories)
        )


@contextmanager
def _without_collections() -> Iterator[None]:
    """Let Python not look for cycles: rows hold none, and looking takes a third of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def judge_history(history: LoggedHistory, run: str, *, shared: bool = False) -> LoggedRun:
    """What the log of one run says.

    Args:
        history: the log.
        run: the path as a person named it, for the command that would settle it.
        shared: whether checkpoints of other runs lie there too.
    """
    task = find_task(history.rows, history.settings)
    series = read_series(history)
    held = [one for one in series if not one.of_training_rows]
    picked = pick_series(held, task, history)
    keep = None
    if picked is not None and picked.steps:
        losses = [one for one in held if one.is_loss]
        loss = next((one for one in losses if one.set_name == picked.set_name), None)
        loss = mean_of_sets(losses) if picked.set_name == MEAN else loss
        loss = None if task.name == "reinforcement" else loss
        keep = choose(picked, loss, task, history)
    shown = [one for one in series if one.steps]
    checks = check_log(history, held, task, picked, keep)
    unlike = any(finding.kind in _NO_GAP for finding in checks)
    of_training, gap = _training_loss(history, task, shown, comparable=not unlike)
    findings = (*checks, *of_training, *of_reinforcement(history, task))
    if picked is not None and picked.set_name == MEAN:
        shown.append(picked)
    epochs = [e for row in history.rows if (e := logged_number(row.get("epoch"))) is not None]
    return LoggedRun(
        source=history.source,
        wrote=history.kind,
        task=task.name,
        task_by=task.by,
        cross_entropy=task.cross_entropy,
        not_cross_entropy=task.not_cross_entropy,
        steps=history.end,
        max_steps=history.max_steps,
        epochs=max(epochs, default=None),
        series=tuple(_recorded(one, history) for one in shown),
        keep=keep,
        settle=settle(keep, task, history, run, shared=shared),
        findings=tuple(sorted(findings, key=lambda finding: ORDER[finding.severity])),
        train_loss_gap=gap,
        saved=tuple(SavedStep(name=one.name, step=one.step) for one in history.saved),
        branch_of=history.branch_of,
        notes=history.notes,
    )


def _training_loss(
    history: LoggedHistory, task: Task, shown: Sequence[Series], *, comparable: bool
) -> tuple[tuple[LoggedFinding, ...], TrainLossGap | None]:
    """What the training loss says beside the evaluations, or alone where there are none.

    Args:
        history: the log.
        task: what was trained.
        shown: the evaluations.
        comparable: whether evaluation and training loss are on one scale.
    """
    rows = train_rows(history)
    trouble = find_trouble(rows)
    if task.name in _OTHER_LOSSES:
        return tuple(one for one in trouble if one.kind == "not_finite"), None
    other = task.not_cross_entropy if task.name in LANGUAGE_MODELS else None
    if shown:
        losses = [one for one in shown if one.is_loss and one.set_name != MEAN]
        losses = [] if other or not comparable else losses
        found = gap_of_sets(losses, task.cross_entropy)
        held = next((one for one in losses if not one.of_training_rows), None)
        if found is None and held is not None:
            found = gap_beside(rows, held, task.cross_entropy)
        said, gap = found or ([], None)
        return (*said, *trouble), gap
    reading = read_train_loss(history, language_model=task.cross_entropy, no_gap=other)
    return reading.findings, reading.gap


def _recorded(one: Series, history: LoggedHistory) -> LoggedSeries:
    """A series as a record holds it."""
    best, noise = one.best(), one.noise
    saved = {found.step: found.name for found in history.saved}
    alike, shown = set(one.alike(best)), _shown(one, best, saved)
    steps = {one.steps[i] for i in shown}
    rows = (row for row in history.rows if one.key in row and row["step"] in steps)
    epochs = {int(row["step"]): logged_number(row.get("epoch")) for row in rows}
    points = tuple(
        LoggedPoint(
            step=one.steps[i],
            epoch=epochs.get(one.steps[i]),
            value=one.values[i],
            saved_as=saved.get(one.steps[i]),
            difference=_difference(i, best, alike, math.isnan(noise.value)),
        )
        for i in shown
    )
    return LoggedSeries(
        key=one.key,
        set_name=one.set_name,
        measure=one.measure,
        lower_is_better=one.lower,
        n_points=len(one.steps),
        points=points,
        best_step=one.steps[best],
        best=one.values[best],
        last_step=one.steps[-1],
        last=one.values[-1],
        noise=noise.value,
        noise_by=noise.by,
        untrained=one.values[0] if one.steps[0] == 0 and len(one.steps) > 1 else math.nan,
    )


def _difference(i: int, best: int, alike: set[int], unknown: bool) -> Difference:
    if i == best:
        return "best"
    return "alike" if i in alike else "unknown" if unknown else "worse"


def _shown(one: Series, best: int, saved: dict[int, str]) -> list[int]:
    """Positions of the points to record: all, or the ends, the best, the saved and some between."""
    count = len(one.steps)
    if count <= MOST_POINTS:
        return list(range(count))
    kept = {0, best, count - 1} | {i * (count - 1) // MOST_POINTS for i in range(MOST_POINTS)}
    on_disk = [i for i, step in enumerate(one.steps) if step in saved]
    return sorted(kept | set(on_disk[:MOST_POINTS]))
