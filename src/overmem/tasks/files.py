"""Read rows from what is on this machine: a file, a folder or pattern of files, a saved data set.

The file is the user's, so every error says which row (and line) is at fault and what to do.
"""

from __future__ import annotations

import glob
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from overmem.errors import DataError
from overmem.records import Example
from overmem.tasks.examples import Shape, examples_from_rows
from overmem.tasks.formats import csv_rows, json_rows, tables
from overmem.tasks.formats.opening import COMPRESSIONS, format_suffix

TEXT_SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".txt")
"""Formats that are text, and may be compressed."""
SUFFIXES = (
    *TEXT_SUFFIXES,
    ".parquet",
    ".arrow",
    *(suffix + ending for suffix in TEXT_SUFFIXES for ending in COMPRESSIONS),
)
"""File names that are read as data."""
FORMATS = f"{', '.join(TEXT_SUFFIXES)} (also with {' or '.join(COMPRESSIONS)}), .parquet, .arrow"
"""The same in words."""

_BESIDE_DATA = {"dataset_info.json", "dataset_infos.json", "package.json"}
"""JSON files of a folder that hold no rows."""
_SHARD = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\D*")
_SPLIT = re.compile(r"(train|test|validation|valid|val|dev|eval)(?=[-_.0-9])", re.IGNORECASE)


@dataclass(frozen=True)
class Rows:
    """The rows of a source in order, read as they are asked for."""

    rows: Iterator[tuple[str, Any]]
    """(where, record); `where` names the row in errors."""
    notes: list[str] = field(default_factory=list)
    """What a person should know of how they were found, such as how many files; grows while rows are read."""


def read_examples(path: str | Path) -> tuple[list[Example], Shape]:
    """Read data on this machine whose shape is recognised by its keys.

    Args:
        path: anything that `read_rows` takes.

    Returns:
        The examples in order, and what was recognised.

    Raises:
        DataError: there is nothing, or it is empty, malformed, of an unknown shape, or has a row that
            cannot be used.
    """
    found = read_rows(path)
    return examples_from_rows(found.rows, str(path), notes=found.notes)


def is_local(location: str) -> bool:
    """Whether a location is a file or folder that exists, or a name that can only be meant as one."""
    if not location:
        return False
    if is_there(location) or location.lower().endswith(SUFFIXES):
        return True
    return re.fullmatch(r"[\w.-]+/[\w.-]+", location) is None or location.startswith(".")


def is_there(location: str) -> bool:
    """Whether a name is that of a file or folder; a text that can be no name is none."""
    try:
        return Path(location).exists()
    except OSError:  # longer than a name may be
        return False


def read_rows(location: str | Path, split: str | None = None) -> Rows:
    """Open the rows of a location.

    Args:
        location: a file of SUFFIXES, a folder of such files, a pattern with `*` or `?`, or a folder that
            `datasets` saved. Several files are read in natural order (2 before 10).
        split: of a saved `DatasetDict`; of a folder, the files whose names start with it; of a JSON file
            with several lists, the name of one.

    Raises:
        DataError: nothing is there, it is of an unknown kind or of several, or a shard is missing. Others
            come while rows are read.
    """
    path = Path(location)
    found = is_there(str(location))
    if found and path.is_file():
        return _rows_of_file(path, split)
    if found and tables.is_saved_dataset(path):
        return Rows(tables.saved_rows(path, split))
    if found and path.is_dir():
        files = _files_of_split(str(location), _data_files(path), split)
    elif any(mark in str(location) for mark in "*?"):
        pattern = str(location).replace("[", "[[]")  # brackets are slices, and names may hold them
        files = [Path(name) for name in glob.glob(pattern, recursive=True) if Path(name).is_file()]
        files = _files_of_split(str(location), [file for file in files if not _is_beside(file)], split)
    else:
        raise DataError(
            f"data file not found: {path}",
            got=f"nothing at {path.absolute()}",
            expected=f"a file ending in {FORMATS}, or a folder of such files",
            next_step="check the path; a hub data set is written owner/name#split",
        )
    files = sorted(files, key=_natural_order)
    _check_one_format(str(location), files)
    _check_shards(str(location), files)
    notes = [f"{len(files)} file{'s' if len(files) > 1 else ''}"]
    return Rows(_chained(files, notes), notes)


def _rows_of_file(path: Path, split: str | None) -> Rows:
    suffix = format_suffix(path)
    is_text = suffix in TEXT_SUFFIXES
    if suffix not in SUFFIXES or (not is_text and path.suffix.lower() != suffix):
        raise DataError(
            f"cannot read {path}",
            got=f"the ending `{path.suffix}`",
            expected=FORMATS,
            next_step="convert it to JSONL, one record a line",
        )
    if suffix == ".json":
        rows, note = json_rows.json_rows(path, split)
        return Rows(rows, [note] if note else [])
    if split is not None:
        raise DataError(
            f"a file has no split: {path}#{split}",
            next_step="drop the `#` part, or take rows with [START:STOP]",
        )
    shard = _SHARD.fullmatch(path.name)
    notes = [f"one of {int(shard['count'])} shards"] if shard and int(shard["count"]) > 1 else []
    read = {
        ".csv": csv_rows.csv_rows,
        ".tsv": csv_rows.csv_rows,
        ".txt": json_rows.text_rows,
        ".parquet": tables.parquet_rows,
        ".arrow": tables.arrow_rows,
    }.get(suffix, json_rows.jsonl_rows)
    return Rows(read(path), notes)


def _chained(files: list[Path], notes: list[str]) -> Iterator[tuple[str, Any]]:
    """Rows of several files, one after another; tables must have the same columns."""
    columns: set[str] | None = None
    for file in files:
        opened = _rows_of_file(file, None)
        notes.extend(note for note in opened.notes if note not in notes and "shards" not in note)
        for index, (where, row) in enumerate(opened.rows):
            if index == 0 and format_suffix(file) in (".csv", ".tsv", ".parquet", ".arrow"):
                columns = columns or set(row)
                _check_columns(file, set(row), files[0], columns)
            yield f"{file.name}, {where}", row


def _data_files(folder: Path) -> list[Path]:
    """Files of a folder that may hold rows, not those of folders inside it."""
    try:
        entries = list(folder.iterdir())
    except OSError as error:
        raise DataError(f"cannot open the folder {folder}", got=error.strerror) from error
    files = [entry for entry in entries if entry.is_file() and not _is_beside(entry)]
    if not files:
        inside = sorted(entry.name for entry in entries)[:8]
        raise DataError(
            f"no data files in the folder {folder}",
            got=", ".join(inside) or "nothing",
            expected=f"files ending in {FORMATS}",
            next_step=f"name the folder that holds them, or a pattern such as {folder}/*/*.parquet",
        )
    return files


def _is_beside(file: Path) -> bool:
    return file.name in _BESIDE_DATA or file.name.startswith(".") or not file.name.lower().endswith(SUFFIXES)


def _files_of_split(location: str, files: list[Path], split: str | None) -> list[Path]:
    """The files of one split, by how their names start; all of them where the names say nothing."""
    if not files:
        raise DataError(f"no data file matches {location}", expected=f"files ending in {FORMATS}")
    if split is not None:
        chosen = [file for file in files if re.match(re.escape(split) + r"(?=[-_.0-9])", file.name)]
        if not chosen:
            raise DataError(
                f"no file of {location} starts with `{split}`",
                got=", ".join(sorted(file.name for file in files)[:8]),
                next_step="name a split that a file starts with, or the file itself",
            )
        return chosen
    splits = {match[1].lower() if (match := _SPLIT.match(file.name)) else "" for file in files}
    if len(splits) > 1 and splits != {""}:
        names = sorted(splits - {""})
        raise DataError(
            f"which split of {location}?",
            got=", ".join(sorted(file.name for file in files)[:8]),
            expected=", ".join(names),
            next_step=f"write {location}#{names[0]}, or name one file",
        )
    return files


def _check_one_format(location: str, files: list[Path]) -> None:
    formats = Counter(format_suffix(file) for file in files)
    if len(formats) > 1:
        suffix = formats.most_common(1)[0][0]
        folder = Path(location).parent if any(mark in location for mark in "*?") else location
        raise DataError(
            f"{location} has files of several formats",
            got=", ".join(f"{count} {name}" for name, count in sorted(formats.items())),
            expected="files of one format, which are read one after another",
            next_step=f"name one format, such as '{folder}/*{suffix}'",
        )


def _check_shards(location: str, files: list[Path]) -> None:
    """Refuse a set of shards (`-00000-of-00003`) of which one is missing."""
    found: dict[tuple[str, str], set[int]] = {}
    for file in files:
        if shard := _SHARD.fullmatch(file.name):
            found.setdefault((shard["stem"], shard["count"]), set()).add(int(shard["number"]))
    for (stem, count), numbers in found.items():
        if missing := sorted(set(range(int(count))) - numbers):
            raise DataError(
                f"{location} lacks shards of {stem}",
                got=f"{len(numbers)} of {int(count)}; missing {', '.join(f'{n:05d}' for n in missing[:8])}",
                next_step="fetch the rest, or name the one file that is meant",
            )


def _check_columns(file: Path, columns: set[str], first_file: Path, first: set[str]) -> None:
    if columns != first:
        raise DataError(
            f"{file} has other columns than {first_file.name}",
            got=", ".join(sorted(map(str, columns))),
            expected=", ".join(sorted(map(str, first))),
            next_step="give each its own source, or write the same columns to both",
        )


def _natural_order(file: Path) -> list[tuple[int, str]]:
    """Sorting key by which `part-2` comes before `part-10`."""
    parts = re.split(r"(\d+)", str(file))
    return [(int(part), "") if part.isdecimal() else (0, part) for part in parts]
