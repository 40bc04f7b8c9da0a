"""The data behind a figure: a table, and the same as CSV in a link that needs no server and no script."""

from __future__ import annotations

import csv
import io
import math
import re
from dataclasses import dataclass
from urllib.parse import quote

Cell = str | int | float | bool | None

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, kw_only=True)
class Table:
    """The data behind a figure."""

    columns: tuple[str, ...] = ()
    rows: tuple[tuple[Cell, ...], ...] = ()


def csv_text(table: Table) -> str:
    """The table as CSV after RFC 4180; undefined numbers are empty, figures keep six digits."""
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow(table.columns)
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
    # A spreadsheet would run what begins like this; a quote in front keeps it text.
    return f"'{text}" if isinstance(value, str) and text.startswith(_FORMULA) else text
