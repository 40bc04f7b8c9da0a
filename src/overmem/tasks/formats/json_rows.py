"""Rows of JSON and JSON Lines, and of plain text with a document a line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from overmem.errors import DataError
from overmem.parsing import ParseError, parse_json
from overmem.tasks.formats.opening import MOST_ROW_BYTES, empty_file, read_lines, read_text, shorten

_FIELDS_OF_ROWS = {"messages", "conversations", "conversation", "chosen", "rejected", "tools", "images"}
"""Lists of records inside one row: no wrapper around rows."""


def jsonl_rows(path: Path) -> Iterator[tuple[str, Any]]:
    """One JSON record a line; blank lines are passed over."""
    yield from _records(path, read_lines(path, MOST_ROW_BYTES))


def text_rows(path: Path) -> Iterator[tuple[str, Any]]:
    """One document a line, as the column `text`, as `datasets` reads `.txt`; blank lines are passed over."""
    index = 0
    for number, line in enumerate(read_lines(path, MOST_ROW_BYTES), start=1):
        if line.strip():
            yield f"row {index} (line {number})", {"text": line.rstrip("\r\n")}
            index += 1
    if not index:
        raise empty_file(path)


def json_rows(path: Path, key: str | None) -> tuple[Iterator[tuple[str, Any]], str]:
    """Rows of a JSON file: a list of records, or one under a key (`{"data": [...]}`), or a record a line.

    Args:
        path: the file.
        key: under which the rows are, where there are several lists of them.

    Returns:
        The rows, and the note to show: where they were found.

    Raises:
        DataError: not JSON, no list of records, or several and none of them named.
    """
    text = read_text(path)
    try:
        held = parse_json(text)
    except ParseError as error:
        if error.text_after and key is None:  # a record a line under a .json name
            return _records(path, iter(text.split("\n"))), ""
        line = error.line
        raise DataError(
            f"{path}{'' if line is None else f', line {line}'} is not JSON ({error})",
            got=None if line is None else shorten(text.split("\n")[line - 1]),
            expected="a list of records",
        ) from error
    note = ""
    if not isinstance(held, list) or key is not None:
        held, note = _unwrap(path, held, key)
    return ((f"row {index}", record) for index, record in enumerate(held)), note


def _unwrap(path: Path, held: object, key: str | None) -> tuple[list[Any], str]:
    """The list of records that a file holds under a key."""
    found = {
        str(name): value
        for name, value in (held.items() if isinstance(held, dict) else ())
        if name not in _FIELDS_OF_ROWS
        and isinstance(value, list)
        and value
        and all(isinstance(item, Mapping) for item in value)
    }
    if key is None and len(found) == 1:
        (key,) = found
    if key is not None and key in found:
        return found[key], f"rows under `{key}`"
    if found:
        raise DataError(
            f"which list of {path}?" if key is None else f"{path} holds no list `{key}`",
            expected=", ".join(found),
            next_step=f"write {path}#{next(iter(found))}",
        )
    keys = f" with keys {', '.join(sorted(held))}" if isinstance(held, dict) else ""
    raise DataError(
        f"{path} does not hold a list",
        got=f"{type(held).__name__}{shorten(keys)}" if key is None else f"a list, and no key `{key}`",
        expected="a list of records: [{...}, {...}]",
        next_step="write the list itself to the file, or JSONL with one record a line",
    )


def _records(path: Path, lines: Iterator[str]) -> Iterator[tuple[str, Any]]:
    index = 0
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = parse_json(line)
        except ParseError as error:
            raise DataError(
                f"{path}, line {number} is not JSON ({error})",
                got=shorten(line.rstrip()),
                expected="one JSON record a line",
            ) from error
        yield f"row {index} (line {number})", record
        index += 1
    if not index:
        raise empty_file(path)
