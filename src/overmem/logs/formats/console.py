"""What a training prints: rows as Python dicts among progress bars, of the Trainer, TRL, Axolotl and Unsloth.

A printed row says its epoch and no step. The step is taken from what else was printed: the progress bar that
follows the row, else the planned steps and epochs, else the rows are counted; the notes say which.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, NamedTuple

from overmem.errors import RunError
from overmem.logs.formats.files import decode, read_log_text
from overmem.logs.formats.rows import (
    histories,
    is_a_log,
    is_evaluation,
    number_of,
    trainer_key,
    whole_step,
)
from overmem.logs.history import LoggedHistory
from overmem.logs.states import first_bytes
from overmem.parsing import MAX_DEPTH, ParseError, finite_number, parse_json

ENDINGS = (".log", ".txt", ".out", ".err", "")
_ROW = re.compile(r"\{[^{}]{3,4000}\}")
_ITEM = re.compile(r"""['"]([\w/ .@-]+)['"]\s*:\s*(?:'([^']*)'|"([^"]*)"|([^,}'"]+))""")
# Each begins with letters as they are: a text is searched ten times as fast for these.
_BAR = re.compile(r"%\|[^|]*\|\s*(\d+)/(\d+) \[")
_BEFORE_BAR = re.compile(r"(?:^|[\r\n\x1b\]A])\s*\d{1,3}$")
"""Not the name of a bar, such as that of a data set's."""
_MOST_BEFORE = 20
_TOTAL = re.compile(r"otal (?i:optimization )?(?i:steps)\s*[=:|]\s*([\d,]+)")
_EPOCHS = re.compile(r"um(?:_train)?[_ ](?i:epochs)\s*[=:|]\s*([\d,.]+)")
_ACCUMULATED = re.compile(r"radient (?i:accumulation steps)\s*[=:|]\s*(\d+)")
_PACKED = re.compile(r"packing(?:_eff|['\"]?\s*[=:]\s*(?i:true)\b)")
"""Axolotl's estimate, and the setting in a configuration that was printed."""
_EVERY = re.compile(r"logging_steps['\"]?\s*[=:]\s*(\d+)\b")
_OF_SWIFT = "global_step/max_steps"
_AT_ONCE = MAX_DEPTH - 1
"""Rows to parse as one list, whose depth need not be counted then."""


class Printed(NamedTuple):
    """A row as it was printed, without a step yet."""

    row: dict[str, Any]
    place: int
    """Where in the text it ends."""
    epoch: float | None
    trains: bool
    """Whether it is of training, and not of an evaluation or the run's end."""


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
    total, epochs, every = (_number(pattern, text) for pattern in (_TOTAL, _EPOCHS, _EVERY))
    made: list[LoggedHistory] = []
    settings: dict[str, Any] = {"packing": True} if _PACKED.search(text) else {}
    if accumulated := _number(_ACCUMULATED, text):
        settings["gradient_accumulation_steps"] = int(accumulated)
    for run in _runs(printed):
        steps, planned, how = _steps(run, text, total, epochs, every)
        for one, step in zip(run, steps, strict=True):
            one.row["step"] = step
        rows, notes = [one.row for one in run], (how,) if how else ()
        made += histories(rows, source=source, kind=kind, settings=settings, max_steps=planned, notes=notes)
    return made


def _rows_in(text: str) -> Iterator[Printed]:
    matches = _ROW.finditer(text)
    while some := list(islice(matches, _AT_ONCE)):
        for match, found in zip(some, _parsed([match[0] for match in some]), strict=True):
            keys, logs, trains = _known(tuple(found))
            row = dict(zip(keys, map(number_of, found.values()), strict=True))
            if _OF_SWIFT in row:
                step, _, total = str(row.pop(_OF_SWIFT)).partition("/")
                row |= {"step": number_of(step), "total_steps": number_of(total)}
            if logs and any(isinstance(value, int | float) for value in row.values()):
                yield Printed(row, match.end(), finite_number(row.get("epoch")), trains)


def _parsed(printed: Sequence[str]) -> Sequence[dict[str, Any]]:
    """Keys and values of printed rows, which are JSON but for their quotes where all is finite."""
    try:
        found: list[dict[str, Any]] = parse_json(f"[{','.join(printed)}]".replace("'", '"'))
        if len(found) == len(printed):
            return found
    except ParseError:
        pass
    return [_items(printed[0])] if len(printed) == 1 else [_parsed([one])[0] for one in printed]


def _items(text: str) -> dict[str, Any]:
    items: list[tuple[str, ...]] = _ITEM.findall(text)
    return {key: next((one for one in values if one), "").strip() for key, *values in items}


@lru_cache(maxsize=1024)
def _known(printed: tuple[str, ...]) -> tuple[tuple[str, ...], bool, bool]:
    """The Trainer's keys for those of a row, whether it is a log, and whether it is of training."""
    keys = tuple(trainer_key(key.replace(" / ", "/")) for key in printed)
    own = dict.fromkeys(keys)
    trains = "train_runtime" not in own and not any(map(is_evaluation, own))
    return keys, is_a_log(own), trains


def _runs(printed: Sequence[Printed]) -> list[list[Printed]]:
    """Rows by run: after the row of a run's end, or where the epoch falls to where the run began."""
    runs: list[list[Printed]] = [[]]
    for one in printed:
        run, epoch = runs[-1], one.epoch
        begins = run and (
            ("train_runtime" in run[-1].row and "loss" in one.row)
            or (epoch is not None and epoch < (run[-1].epoch or 0.0) and epoch <= (run[0].epoch or 0.0))
        )
        if begins:
            runs.append([])
        runs[-1].append(one)
    return [run for run in runs if run]


def _number(pattern: re.Pattern[str], text: str) -> float | None:
    match = pattern.search(text)
    return (finite_number(number_of(match[1].rstrip("."))) or None) if match else None


def _steps(
    run: Sequence[Printed],
    text: str,
    total: float | None,
    epochs: float | None,
    every: float | None,
) -> tuple[list[int], int | None, str | None]:
    """A step for each row, the planned steps, and what to say of where the steps are from."""
    own = [whole_step(one.row.get("step")) for one in run]
    if None not in own:
        return [step for step in own if step is not None], None, None
    of_bars, bar_total = _after_rows(run, text)
    planned = bar_total or whole_step(total)
    if of_bars is not None:
        return of_bars, planned, "Printed rows have no step: it is that of the progress bar after each."
    a_epoch = total / epochs if total and epochs else None
    reached = [one.epoch for one in run if one.epoch is not None]
    if a_epoch and len(reached) == len(run):
        steps = [round(epoch * a_epoch) for epoch in reached]
        return steps, planned, (
            f"Printed rows have no step: it is the epoch times {a_epoch:g} steps an epoch, right to "
            f"about {max(1, round(0.005 * a_epoch))} where epochs were rounded."
        )  # fmt: skip
    trained = any(one.trains for one in run)
    counted = _counted(run, int(every or 1)) if trained else _counted_evaluations(run)
    every = every if trained else None
    unit = f"logging_steps, {every:g}" if every else "1"
    unit += (
        " for each row of training" if trained else " for each evaluation, as no row of training was printed"
    )
    return counted, planned, (
        f"Printed rows have no step, and the text has no progress bar: it is counted, {unit}."
        + ("" if every else " Epochs are as printed; steps are not those of the optimizer.")
    )  # fmt: skip


def _after_rows(run: Sequence[Printed], text: str) -> tuple[list[int] | None, int | None]:
    """The step of the training's bar that was drawn next after each row; None where they do not agree.

    The training's bar is the one drawn after most rows; that of an evaluation has another total.
    """
    ends = [*(after.place for after in run[1:]), len(text)]
    drawn = [next(_bars(text, one.place, end), None) for one, end in zip(run, ends, strict=True)]
    totals = Counter(bar[1] for bar in drawn if bar is not None)
    if not totals:
        return None, None
    total = totals.most_common(1)[0][0]
    steps: list[int] = []
    for one, end, bar in zip(run, ends, drawn, strict=True):
        if bar is not None and bar[1] != total:
            bar = next((own for own in _bars(text, one.place, end) if own[1] == total), None)
        steps.append(bar[0] if bar is not None else steps[-1] if steps and not one.trains else -1)
    trained = [step for one, step in zip(run, steps, strict=True) if one.trains]
    agree = (
        -1 not in steps
        and 0 not in trained
        and all(a <= b for a, b in pairwise(steps))
        and len(set(trained)) == len(trained)
    )
    return (steps if agree else None), total


def _bars(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Step and total of each bar without a name that was drawn in a part of a text."""
    for match in _BAR.finditer(text, start, end):
        at = match.start()
        if _BEFORE_BAR.search(text, max(0, at - _MOST_BEFORE), at):
            yield int(match[1]), int(match[2])


def _counted(run: Sequence[Printed], every: int) -> list[int]:
    steps, count = [], 0
    for one in run:
        count += one.trains
        steps.append(max(count, 1) * every)
    return steps


def _counted_evaluations(run: Sequence[Printed]) -> list[int]:
    """Evaluations alone, counted: the next begins at another epoch, or with a figure that it had already."""
    steps, count = [], 0
    seen: set[str] = set()
    before: float | None = None
    for one in run:
        own = one.row.keys() - {"epoch"}
        if not count or one.epoch != before or (one.epoch is None and own & seen):
            count, seen = count + 1, set()
        seen |= own
        before = one.epoch
        steps.append(count)
    return steps
