"""Read examples from local files: JSONL, JSON and Parquet.

The file is the user's, so every error says which row (and line) is at fault and what to do.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from overmem.errors import DataError
from overmem.records import Example
from overmem.tasks.shapes import Shape, examples_from_rows

SUFFIXES = (".jsonl", ".ndjson", ".json", ".parquet")
"""File names that are read as data."""


def read_examples(path: str | Path) -> tuple[list[Example], Shape | str]:
    """Read a data file whose shape is recognised by its keys.

    Args:
        path: `.jsonl`, `.json` (a list of records) or `.parquet`.

    Returns:
        The examples in file order, and what was recognised.

    Raises:
        DataError: the file is missing, empty, malformed, of an unknown shape, or has a row that
            cannot be used.
    """
    return examples_from_rows(read_rows(path), str(path))


def read_rows(path: str | Path) -> Iterator[tuple[str, Any]]:
    """Yield (where, record) for each row of a data file; `where` names the row in errors.

    Raises:
        DataError: the file is missing, of an unknown kind, empty or malformed.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(
            f"data file not found: {path}",
            got="a folder" if path.is_dir() else f"nothing at {path.absolute()}",
            expected=f"a file ending in {', '.join(SUFFIXES)}",
            next_step="check the path; a hub data set is written owner/name#split",
        )
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise DataError(
            f"cannot read {path}",
            got=f"the ending `{suffix}`",
            expected=", ".join(SUFFIXES),
            next_step="convert it to JSONL, one record a line",
        )
    if suffix == ".parquet":
        return _parquet_rows(path)
    text = _read_text(path)
    if not text.strip():
        raise DataError(f"{path} is empty", expected="at least one example")
    return _json_rows(path, text) if suffix == ".json" else _jsonl_rows(path, text)


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not UTF-8 text", got=f"byte {error.object[error.start]:#04x} at offset {error.start}"
        ) from error
    except OSError as error:
        raise DataError(f"cannot open {path}", got=error.strerror) from error


def _jsonl_rows(path: Path, text: str) -> Iterator[tuple[str, Any]]:
    index = 0
    for number, line in enumerate(text.split("\n"), start=1):  # U+2028 may stand inside a string
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(
                f"{path}, line {number} is not JSON ({error})",
                got=_shorten(line),
                expected="one JSON record a line",
            ) from error
        yield f"row {index} (line {number})", record
        index += 1


def _json_rows(path: Path, text: str) -> Iterator[tuple[str, Any]]:
    try:
        records = json.loads(text)
    except (ValueError, RecursionError) as error:
        if getattr(error, "msg", "") == "Extra data":  # one record a line under a .json name
            yield from _jsonl_rows(path, text)
            return
        line = getattr(error, "lineno", None)
        raise DataError(
            f"{path}{'' if line is None else f', line {line}'} is not JSON ({error})",
            got=None if line is None else _shorten(text.split("\n")[line - 1]),
            expected="a list of records",
        ) from error
    if not isinstance(records, list):
        keys = f" with keys {', '.join(sorted(records))}" if isinstance(records, dict) else ""
        raise DataError(
            f"{path} does not hold a list",
            got=f"{type(records).__name__}{_shorten(keys)}",
            expected="a list of records: [{...}, {...}]",
            next_step="write the list itself to the file, or JSONL with one record a line",
        )
    for index, record in enumerate(records):
        yield f"row {index}", record


def _parquet_rows(path: Path) -> Iterator[tuple[str, Any]]:
    import polars

    try:
        frame = polars.read_parquet(path, glob=False)
    except Exception as error:  # polars raises many kinds for a damaged file
        raise DataError(f"{path} is not a readable Parquet file", got=_shorten(str(error))) from error
    for index, record in enumerate(frame.iter_rows(named=True)):
        yield f"row {index}", record


def _shorten(text: str, limit: int = 100) -> str:
    return text if len(text) <= limit else text[: limit - 3] + "..."
