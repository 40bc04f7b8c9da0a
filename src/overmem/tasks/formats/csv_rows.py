"""Rows of CSV and TSV, every value as text and to the letter.

A row that is longer or shorter than the header is an error: filling or cutting it would move texts to
other columns.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from overmem.errors import DataError
from overmem.tasks.formats.opening import MOST_ROW_BYTES, empty_file, oversized_row, read_lines, shorten

DELIMITERS = {",": "a comma", "\t": "a tab", ";": "a semicolon", "|": "a bar"}
"""What may part columns, and its name in messages; the one that finds most columns in the header is taken."""


def csv_rows(path: Path) -> Iterator[tuple[str, Any]]:
    """Rows as records of text, an empty field being None.

    Quoted fields may hold line breaks and delimiters. A first column without a name holds the numbers of
    rows, as pandas writes them, and is left out.

    Raises:
        DataError: no header, no rows, a column without a name or twice, or a row of another length.
    """
    csv.field_size_limit(MOST_ROW_BYTES)  # 131,072 by default, and reasoning is longer
    lines = read_lines(path, MOST_ROW_BYTES)
    first = next(lines, "")
    if not first.strip():
        raise empty_file(path)
    delimiter = max(DELIMITERS, key=lambda mark: _n_columns(first, mark))
    reader = csv.reader(chain([first], lines), delimiter=delimiter, strict=True)
    rows = _rows(path, reader)
    _, names = next(rows)
    names = [name.strip() for name in names]
    _check_header(path, names)
    index = 0
    for line, fields in rows:
        if len(fields) != len(names):
            raise DataError(
                f"{path}, line {line}: a row of another length than the header's",
                got=f"{len(fields)} fields: {shorten(str(fields))}",
                expected=f"{len(names)}, separated by {DELIMITERS[delimiter]}: {', '.join(names)}",
                next_step="quote the fields that hold the delimiter or a line break",
            )
        record = {name: value or None for name, value in zip(names, fields, strict=True) if name}
        yield f"row {index} (line {line})", record
        index += 1
    if not index:
        raise DataError(f"{path} has a header and no rows", got=", ".join(names))


def _n_columns(header: str, delimiter: str) -> int:
    try:
        return len(next(csv.reader([header], delimiter=delimiter)))
    except csv.Error:  # said with its line when the rows are read
        return 0


def _rows(path: Path, reader: Any) -> Iterator[tuple[int, list[str]]]:
    """(last line, fields) of each row that is not blank."""
    while True:
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if "field larger than field limit" in str(error):
                raise oversized_row(f"{path}, line {reader.line_num}") from None
            raise DataError(
                f"{path}, line {reader.line_num} is not CSV ({error})",
                expected='fields with a quote or a line break in them as "..."',
            ) from error
        if fields:
            yield reader.line_num, fields


def _check_header(path: Path, names: list[str]) -> None:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(
            f"{path}: the header names a column twice",
            got=", ".join(repr(name) for name in twice),
            expected="one name a column",
        )
    if "" in names[1:] or names == [""]:
        raise DataError(
            f"{path}: a column has no name",
            got=", ".join(repr(name) for name in names),
            expected="a first line with the names of the columns",
        )
