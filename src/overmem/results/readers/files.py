"""Read what another tool wrote: one message for what is cut off, empty or no result at all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from overmem.boundary import reason
from overmem.errors import DataError
from overmem.parsing import ParseError, parse_json, read_json_object
from overmem.tasks.formats.opening import MOST_ROW_BYTES, read_lines

LFS = "version https://git-lfs.github.com/spec/"


def json_object(path: Path, what: str) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        DataError: it cannot be read, names the file and what it should be.
    """
    try:
        return read_json_object(path)
    except (OSError, ParseError) as error:
        raise unreadable(path, what, reason(error)) from None


def json_lines(path: Path, what: str) -> Iterator[dict[str, Any]]:
    """The objects in a file, one a line; blank lines are passed over.

    Raises:
        DataError: a line is cut off or no object.
    """
    for number, line in enumerate(read_lines(path, MOST_ROW_BYTES), start=1):
        if not line.strip():
            continue
        if number == 1 and line.startswith(LFS):
            raise unreadable(path, what, "a pointer of Git LFS")
        try:
            found = parse_json(line)
        except ParseError as error:
            raise unreadable(path, what, f"line {number}: {error}") from None
        if not isinstance(found, dict):
            raise unreadable(path, what, f"line {number}: no object")
        yield found


def unreadable(path: Path, what: str, why: str) -> DataError:
    """The error for a file that is not what it should be."""
    step = "git lfs pull" if "LFS" in why or LFS in why else "copy it again, or run the evaluation again"
    return DataError(f"{path} cannot be read as {what}", got=why, expected=what, next_step=step)


def text_of(value: Any) -> str:
    """A prompt or target as text; what is none is written as JSON."""
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)


def files_below(path: Path, pattern: str, what: str) -> list[Path]:
    """A file, or those of a folder that a pattern finds, sorted.

    Raises:
        DataError: there is none.
    """
    if not path.exists():
        raise DataError("no such file or folder of results", got=path, expected=what)
    found = sorted(path.rglob(pattern)) if path.is_dir() else [path]
    if not found:
        raise DataError(f"{path} holds no results", expected=f"{what}: {pattern}")
    return found
