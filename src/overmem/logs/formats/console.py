"""What a training prints: rows as Python dicts among progress bars, of the Trainer, TRL, Axolotl and Unsloth.

A printed row says its epoch and no step. The step is taken from what else was printed: the progress bar that
follows the row, else the planned steps and epochs, else the rows are counted; the notes say which.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from overmem.errors import RunError
from overmem.logs.formats.files import decode, read_log_text
from overmem.logs.formats.rows import (
    Row,
    histories,
    is_a_log,
    is_evaluation,
    number_of,
    trainer_key,
    whole_step,
)
from overmem.logs.history import LoggedHistory
from overmem.logs.states import first_bytes
from overmem.parsing import finite_number

ENDINGS = (".log", ".txt", ".out", ".err", "")
_ROW = re.compile(r"\{[^{}]{3,4000}\}")
_ITEM = re.compile(r"""['"]([\w/ .@-]+)['"]\s*:\s*(?:'([^']*)'|"([^"]*)"|([^,}'"]+))""")
_BAR = re.compile(r"(?:^|[\r\n\x1b\]A])\s*\d{1,3}%\|[^|]*\|\s*(\d+)/(\d+) \[")
_TOTAL = re.compile(r"Total (?:optimization )?steps\s*[=:|]\s*([\d,]+)", re.I)
_EPOCHS = re.compile(r"Num(?:_train)?[_ ]Epochs\s*[=:|]\s*([\d,.]+)", re.I)
_ACCUMULATED = re.compile(r"Gradient Accumulation steps\s*[=:|]\s*(\d+)", re.I)
_PACKED = re.compile(r"packing_eff|packing['\"]?\s*[=:]\s*true\b", re.I)
"""Axolotl's estimate, and the setting in a configuration that was printed."""
_EVERY = re.compile(r"logging_steps['\"]?\s*[=:]\s*(\d+)\b")
_OF_SWIFT = "global_step/max_steps"


@dataclass(frozen=True, kw_only=True)
class Printed:
    """A row as it was printed, without a step yet."""

    row: dict[str, Any]
    place: int
    """Where in the text it ends."""


def recognizes(path: Path) -> bool:
    """Whether a path is a text with a row in its first megabyte."""
    if path.is_dir() or path.suffix not in ENDINGS:
        return False
    start = decode(first_bytes(path, 1 << 20))
    return "\0" not in start and any(True for _ in _rows_in(start))


def read(path: Path) -> tuple[LoggedHistory, ...]:
    """The runs that were printed into a file, one after another.

    Raises:
        RunError: no row was printed.
    """
    found = read_printed(read_log_text(path), str(path))
    if not found:
        raise RunError(
            f"{path} holds no log of a training",
            got="a text without a printed row",
            expected="rows as the Trainer prints them, such as {'loss': 1.23, 'epoch': 0.5}",
        )
    return tuple(found)


def read_printed(text: str, source: str, kind: str = "console") -> list[LoggedHistory]:
    """The runs in a text that a training printed.

    Args:
        text: both streams, or the rows alone.
        source: where it is from.
        kind: of the history.
    """
    printed = list(_rows_in(text))
    if not printed:
        return []
    bars = [(match.start(1), int(match[1]), int(match[2])) for match in _BAR.finditer(text)]
    total, epochs = _number(_TOTAL, text), _number(_EPOCHS, text)
    made: list[LoggedHistory] = []
    settings: dict[str, Any] = {"packing": True} if _PACKED.search(text) else {}
    if accumulated := _number(_ACCUMULATED, text):
        settings["gradient_accumulation_steps"] = int(accumulated)
    for run in _runs(printed):
        steps, planned, how = _steps(run, bars, total, epochs, _number(_EVERY, text))
        rows: list[Row] = [one.row | {"step": step} for one, step in zip(run, steps, strict=True)]
        made += histories(
            rows, source=source, kind=kind, settings=settings, max_steps=planned, notes=(how,) if how else (),
        )  # fmt: skip
    return made


def _rows_in(text: str) -> Iterator[Printed]:
    for match in _ROW.finditer(text):
        row: dict[str, Any] = {}
        for key, *values in _ITEM.findall(match[0]):
            value = number_of(next((one for one in values if one), "").strip())
            row[trainer_key(key.replace(" / ", "/"))] = value
        if _OF_SWIFT in row:
            step, _, total = str(row.pop(_OF_SWIFT)).partition("/")
            row |= {"step": number_of(step), "total_steps": number_of(total)}
        if is_a_log(row) and any(isinstance(value, int | float) for value in row.values()):
            yield Printed(row=row, place=match.end())


def _runs(printed: Sequence[Printed]) -> list[list[Printed]]:
    """Rows by run: after the row of a run's end, or where the epoch falls to where the run began."""
    runs: list[list[Printed]] = [[]]
    for one in printed:
        run, epoch = runs[-1], finite_number(one.row.get("epoch"))
        begins = run and (
            ("train_runtime" in run[-1].row and "loss" in one.row)
            or (_epoch(one) < _epoch(run[-1]) and _epoch(one) <= _epoch(run[0]) and epoch is not None)
        )
        if begins:
            runs.append([])
        runs[-1].append(one)
    return [run for run in runs if run]


def _epoch(one: Printed) -> float:
    return finite_number(one.row.get("epoch")) or 0.0


def _number(pattern: re.Pattern[str], text: str) -> float | None:
    match = pattern.search(text)
    return (finite_number(number_of(match[1].rstrip("."))) or None) if match else None


def _steps(
    run: Sequence[Printed],
    bars: Sequence[tuple[int, int, int]],
    total: float | None,
    epochs: float | None,
    every: float | None,
) -> tuple[list[int], int | None, str | None]:
    """A step for each row, the planned steps, and what to say of where the steps are from."""
    own = [whole_step(one.row.get("step")) for one in run]
    if None not in own:
        return [step for step in own if step is not None], None, None
    of_bars, bar_total = _after_rows(run, bars)
    planned = bar_total or whole_step(total)
    if of_bars is not None:
        return of_bars, planned, "Printed rows have no step: it is that of the progress bar after each."
    a_epoch = total / epochs if total and epochs else None
    if a_epoch and all(finite_number(one.row.get("epoch")) is not None for one in run):
        steps = [round(_epoch(one) * a_epoch) for one in run]
        return steps, planned, (
            f"Printed rows have no step: it is the epoch times {a_epoch:g} steps an epoch, right to "
            f"about {max(1, round(0.005 * a_epoch))} where epochs were rounded."
        )  # fmt: skip
    counted = _counted(run, int(every or 1))
    unit = f"logging_steps, {every:g}, for each row of training" if every else "1 for each row of training"
    return counted, planned, (
        f"Printed rows have no step, and the text has no progress bar: it is counted, {unit}."
        + ("" if every else " Epochs are as printed; steps are not those of the optimizer.")
    )  # fmt: skip


def _after_rows(
    run: Sequence[Printed], bars: Sequence[tuple[int, int, int]]
) -> tuple[list[int] | None, int | None]:
    """The step of the training's bar that was drawn next after each row; None where they do not agree.

    The training's bar is the one drawn after most rows; that of an evaluation has another total.
    """
    places = [place for place, _, _ in bars]
    nexts = [bars[at] for one in run if (at := bisect_left(places, one.place)) < len(bars)]
    if not nexts:
        return None, None
    total = Counter(total for _, _, total in nexts).most_common(1)[0][0]
    own = [(place, step) for place, step, of in bars if of == total]
    places = [place for place, _ in own]
    steps: list[int] = []
    for one, end in zip(run, [*(after.place for after in run[1:]), math.inf], strict=True):
        at = bisect_left(places, one.place)
        drawn = at < len(own) and places[at] < end
        steps.append(own[at][1] if drawn else steps[-1] if steps and not _trains(one) else -1)
    trained = [step for one, step in zip(run, steps, strict=True) if _trains(one)]
    agree = (
        -1 not in steps
        and 0 not in trained
        and all(a <= b for a, b in pairwise(steps))
        and len(set(trained)) == len(trained)
    )
    return (steps if agree else None), total


def _trains(one: Printed) -> bool:
    return not any(map(is_evaluation, one.row)) and "train_runtime" not in one.row


def _counted(run: Sequence[Printed], every: int) -> list[int]:
    steps, count = [], 0
    for one in run:
        count += _trains(one)
        steps.append(max(count, 1) * every)
    return steps
