"""Tables of CSV: what W&B's charts and tables export, TensorBoard's scalars, `history.to_csv()`.

W&B names a column `RUN - train/loss` and puts `RUN - train/loss__MIN` and `__MAX` beside it; TensorBoard has
`Wall time,Step,Value` and the scalar's name in that of the file.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

from overmem.errors import RunError
from overmem.logs.formats.files import decode, read_log_text
from overmem.logs.formats.rows import Row, histories, is_a_log, number_of, trainer_key, whole_step
from overmem.logs.history import LoggedHistory
from overmem.logs.states import first_bytes

_STEPS = ("train/global_step", "trainer/global_step", "global_step", "step", "_step", "current_steps")
_LOSSES = ("train_loss", "train_loss_step", "train_loss_epoch")
"""Lightning's usual names of the training loss, the first that there is; the Trainer's is that of a run."""
_FEWEST_IN_FIRST = 2
"""Rows of epoch 0: one alone may be an evaluation before training."""
_BOUNDS = ("__MIN", "__MAX")
_TAG = re.compile(r"(?:.*tag-)?(?P<kind>train|eval)[_/-](?P<key>\w+)$")


def recognizes(path: Path) -> bool:
    """Whether a path is a table with a column of steps and one of losses."""
    if path.is_dir() or path.suffix not in (".csv", ".tsv"):
        return False
    header = next(_table(decode(first_bytes(path))), [])
    return _step_column(header) is not None and bool(_columns(header, path))


def read(path: Path) -> tuple[LoggedHistory, ...]:
    """The runs of a table: one for each run that it has columns of.

    Raises:
        RunError: no column of steps or none of losses.
    """
    header, *lines = list(_table(read_log_text(path))) or [[]]
    at, columns = _step_column(header), _columns(header, path)
    made: list[LoggedHistory] = []
    for run in dict.fromkeys(run for run, _, _ in columns):
        own = [(index, key) for name, index, key in columns if name == run]
        rows, bad = _rows(lines, at, _with_a_loss(own))
        rows = _from_lightning(rows)
        if not any(map(is_a_log, rows)):
            continue
        notes = (f"{bad} of {len(lines)} lines have no step and were left out.",) if bad else ()
        of_wandb = any("/" in name or name.startswith("_") for name in header)
        made += histories(
            rows, source=f"{path}, run {run}" if run else str(path), kind="wandb" if of_wandb else "csv",
            notes=notes,
        )  # fmt: skip
    if not made:
        raise RunError(
            f"{path} holds no log of a training",
            got=f"the columns {', '.join(header)}"[:300],
            expected="a column of steps (Step, train/global_step) and one of losses (train/loss, eval/loss)",
            next_step="export the chart or the table of the run with these columns",
        )
    return tuple(made)


def _table(text: str) -> Iterator[list[str]]:
    lines = StringIO(text, newline="")
    return csv.reader(lines, delimiter="\t" if "\t" in text.partition("\n")[0] else ",")


def _step_column(header: list[str]) -> int | None:
    names = [name.strip().lower() for name in header]
    return next((names.index(step) for step in _STEPS if step in names), None)


def _columns(header: list[str], path: Path) -> list[tuple[str, int, str]]:
    """Run, place and key of each column that is a figure of a training."""
    at, found = _step_column(header), []
    for index, name in enumerate(header):
        run, _, key = name.rpartition(" - ")
        if index == at or name.endswith(_BOUNDS) or name.startswith("_"):
            continue
        if key == "Value" and (tag := _TAG.match(path.stem)) is not None:
            key = f"{tag['kind']}/{tag['key']}"
        found.append((run, index, trainer_key(key.strip())))
    return found if any(is_a_log({key: 0}) for _, _, key in found) else []


def _with_a_loss(columns: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """Columns with the training loss under its key, where a logger has it under another."""
    keys = {key for _, key in columns}
    other = next((name for name in _LOSSES if name in keys), None) if "loss" not in keys else None
    return [(index, "loss" if key == other else key) for index, key in columns]


def _from_lightning(rows: list[Row]) -> list[Row]:
    """Rows with epochs and steps that count from 0, as Lightning logs them, as what was done by then.

    Its epochs are whole: the number of those done before. So the first step of epoch k is at least k epochs'
    steps, and the last one is before k + 1; in between, the least that fits is taken.
    """
    epochs = [(int(row["step"]), row["epoch"]) for row in rows if "epoch" in row]
    known = [(step, epoch) for step, epoch in epochs if isinstance(epoch, int | float)]
    if len(known) < len(epochs) or not known or any(epoch != int(epoch) for _, epoch in known):
        return rows
    if min(epoch for _, epoch in known) != 0 or sum(epoch == 0 for _, epoch in known) < _FEWEST_IN_FIRST:
        return rows
    an_epoch = max((step + 1) / (epoch + 1) for step, epoch in known)
    return [
        {**row, "step": row["step"] + 1}
        | ({"epoch": min((row["step"] + 1) / an_epoch, row["epoch"] + 1)} if "epoch" in row else {})
        for row in rows
    ]


def _rows(lines: list[list[str]], at: int | None, columns: list[tuple[int, str]]) -> tuple[list[Row], int]:
    rows: list[Row] = []
    bad = 0
    for line in lines:
        step = whole_step(number_of(line[at])) if at is not None and at < len(line) else None
        bad += step is None
        cells = {key: line[index] for index, key in columns if index < len(line) and line[index].strip()}
        if step is not None and not set(cells) <= {"step", "epoch"}:
            rows.append({"step": step} | {key: number_of(cell) for key, cell in cells.items()})
    return rows, bad
