"""Jupyter notebooks: the table that the Trainer shows below a cell, and rows that were printed there.

The table has a row an evaluation (`Step` or `Epoch`, `Training Loss`, `Validation Loss`, metrics), or a row a
log where nothing is evaluated; its training loss is the last that was logged before the evaluation.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from typing import Any

from overmem.errors import RunError
from overmem.logs.formats.console import read_printed
from overmem.logs.formats.files import read_log_text
from overmem.logs.formats.rows import Row, histories, is_a_log, number_of, whole_step
from overmem.logs.history import LoggedHistory
from overmem.parsing import ParseError, parse_json

_TAG = re.compile(r"<(/?)([a-zA-Z]+)[^>]*>([^<]*)")
_LABEL = re.compile(r"\[\s*(\d+)/(\d+) .*?Epoch ([\d.]+)/(\d+)")
_TRAINING, _VALIDATION = "Training Loss", "Validation Loss"
_NO_LOG = "no log"


@dataclass
class Table:
    """The first table of an output, cell by cell, and the text before it."""

    header: list[str] = field(default_factory=list)
    body: list[list[str]] = field(default_factory=list)
    before: str = ""


def read_table(html: str) -> Table:
    """The cells of a table: `th` before any `td` are its header, a `tr` after that begins a row."""
    table = Table(before=unescape(html[: html.find("<")]))
    cells: list[str] | None = None
    for closing, tag, text in _TAG.findall(html):
        if tag == "tr" and not closing and table.header:
            table.body.append([])
        if tag in ("td", "th"):
            if closing:
                cells = None
                continue
            cells = table.header
            if tag == "td" or table.body:
                table.body = table.body or [[]]
                cells = table.body[-1]
            cells.append("")
        if cells is not None:
            cells[-1] += unescape(text.strip()) if "&" in text else text.strip()
        elif not table.header:
            table.before += unescape(text)
    return table


def recognizes(path: Path) -> bool:
    """Whether a path is a notebook."""
    return path.is_file() and path.suffix == ".ipynb"


def read(path: Path) -> tuple[LoggedHistory, ...]:
    """The trainings whose tables or printed rows stand in a notebook, in the order of its cells.

    Raises:
        RunError: it is no notebook, or shows no training.
    """
    try:
        book = parse_json(read_log_text(path))
    except ParseError as error:
        raise RunError(f"{path} cannot be read as a notebook", got=str(error), expected="JSON") from error
    cells = book.get("cells") if isinstance(book, dict) else None
    if not isinstance(cells, list):
        raise RunError(
            f"{path} is no notebook of version 4",
            got="no list of cells",
            expected="cells with their outputs",
            next_step="open it and save it again",
        )
    found = [
        (number, history)
        for number, cell in enumerate(cells, 1)
        if isinstance(cell, dict)
        for history in _of_cell(cell, f"{path}, cell {number}")
    ]
    if not found:
        raise RunError(
            f"{path} holds no log of a training",
            got=f"{len(cells)} cells without a table of losses in their outputs",
            expected="the outputs of a cell that trains: Step, Training Loss, Validation Loss",
            next_step="name a notebook that was saved after it had run, outputs included",
        )
    return tuple(history for _, history in found)


def _of_cell(cell: Mapping[str, Any], source: str) -> list[LoggedHistory]:
    outputs = [one for one in cell.get("outputs") or [] if isinstance(one, dict)]
    made: list[LoggedHistory] = []
    for output in outputs:
        data = output.get("data")
        html = _text(data.get("text/html")) if isinstance(data, dict) else ""
        if "<table" in html:
            made += _of_table(html, source)
    if made:
        return made
    printed = "".join(
        _text(output.get("text")) for output in outputs if output.get("output_type") == "stream"
    )
    return read_printed(printed, source, kind="notebook")


def _text(value: Any) -> str:
    return "".join(map(str, value)) if isinstance(value, list) else value if isinstance(value, str) else ""


def _of_table(html: str, source: str) -> list[LoggedHistory]:
    table = read_table(html)
    first = table.header[0] if table.header else ""
    if first not in ("Step", "Epoch") or not {_TRAINING, _VALIDATION} & set(table.header):
        return []
    label = _LABEL.search(table.before)
    total, epochs = (int(label[2]), int(label[4])) if label else (None, None)
    a_epoch = total / epochs if total and epochs else None
    columns = _columns(table.header)
    rows = [row for cells in table.body for row in _rows(first, columns, cells, a_epoch)]
    if not any(map(is_a_log, rows)):
        return []
    notes = []
    if first == "Epoch":
        notes.append(
            f"The table counts epochs: a step is the epoch times {a_epoch:g}, from the bar above it."
            if a_epoch
            else "The table counts epochs, and no bar says how many steps each has: steps are epochs."
        )
    if _VALIDATION in table.header:
        notes.append("Training Loss in the table is the last that was logged before each evaluation.")
    return histories(rows, source=source, kind="notebook", max_steps=total, notes=tuple(notes))


def _columns(header: Sequence[str]) -> list[tuple[int, bool, str]]:
    """Place, whether it is of training, and key of each column of figures."""
    evaluated = _VALIDATION in header or any(name.endswith(" Loss") and name != _TRAINING for name in header)
    return [
        (place, name == _TRAINING or not evaluated, _key(name, evaluated))
        for place, name in enumerate(header)
        if place and name not in ("Step", "Epoch")
    ]


def _rows(
    first: str, columns: Sequence[tuple[int, bool, str]], cells: Sequence[str], a_epoch: float | None
) -> list[Row]:
    """A row of training and one of evaluation from a line of the table."""
    at = number_of(cells[0]) if cells else None
    if first == "Epoch" and isinstance(at, int | float):
        place: dict[str, Any] = {"step": whole_step(round(at * (a_epoch or 1))), "epoch": float(at)}
    else:
        step = whole_step(at)
        place = {"step": step} | ({"epoch": step / a_epoch} if a_epoch and step is not None else {})
    if place["step"] is None:
        return []
    rows: tuple[dict[str, Any], dict[str, Any]] = ({}, {})
    for index, is_training, key in columns:
        cell = cells[index] if index < len(cells) else ""
        if cell and cell.lower() != _NO_LOG:
            rows[0 if is_training else 1][key] = number_of(cell)
    return [place | row for row in rows if row]


def _key(name: str, evaluated: bool) -> str:
    if name == _TRAINING:
        return "loss"
    if name == _VALIDATION:
        return "eval_loss"
    key = name.lower().replace(" / ", "/").replace(" ", "_")
    return f"eval_{key}" if evaluated else key
