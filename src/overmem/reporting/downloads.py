"""The data behind a figure: a table, and the same as CSV in a link that needs no server and no script."""

from __future__ import annotations

import csv
import io
import math
import re
from dataclasses import dataclass
from urllib.parse import quote

Cell = str | int | float | bool | None

_LEFT_OFF = "\\s\\x00-\\x1f\ufeff\u200b-\u200f\u2060'\"`\u2018-\u201f"
"""What may stand before a formula: spaces, control characters, byte order marks and quotes."""
_FORMULA = re.compile(f"[{_LEFT_OFF}]*[=+\\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]")
"""How a text begins that a spreadsheet may run; full-width signs count too."""
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Table:
    """The data behind a figure."""

    columns: tuple[str, ...] = ()
    rows: tuple[tuple[Cell, ...], ...] = ()


def csv_text(table: Table) -> str:
    """The table as CSV after RFC 4180; undefined numbers are empty, figures keep six digits.

    Texts that a spreadsheet would run as a formula begin with a quote, column names too.
    """
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow(map(_cell, table.columns))
    writer.writerows([_cell(cell) for cell in row] for row in table.rows)
    return stream.getvalue()


def data_link(table: Table) -> str:
    """A `data:` address that holds the table."""
    return f"data:text/csv;charset=utf-8,{quote(csv_text(table), safe=' ,:()[]')}".replace(" ", "%20")


def file_name(run: str, figure: str) -> str:
    """What a download is called: the run and the figure, in plain characters."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", run).strip("-.")[:60] or "run"
    return f"overmem-{plain}-{figure}.csv"


def _cell(value: Cell) -> str:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.6g}"
    text = str(value)
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text
