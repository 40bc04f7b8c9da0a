"""Weights & Biases: the `run-ID.wandb` file of each run, offline or synced, read without the package.

Format: records as in LevelDB's log (blocks of 32 KiB; checksum, length, first/middle/last), each a `Record`
of wandb_internal.proto.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from overmem.errors import RunError
from overmem.logs.formats.files import files_below, read_log_bytes
from overmem.logs.formats.rows import Row, histories, is_a_log
from overmem.logs.formats.wandb_records import read_record
from overmem.logs.history import LoggedHistory

_BLOCK, _HEADER, _FILE_HEADER = 1 << 15, 7, 7
_MARK = b":W&B"
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
_CHECKS = [zlib.crc32(bytes([kind])) for kind in range(256)]
"""Checksums begin with the byte before a record."""
_frame = struct.Struct("<IHB").unpack_from


def recognizes(path: Path) -> bool:
    """Whether a path is a run's file, or a folder with one in it or in a run's folder below."""
    if path.is_dir():
        return bool(_files(path))
    return path.suffix == ".wandb"


def _files(folder: Path) -> list[Path]:
    """The files of runs; `latest-run` is a link to one of them, and links to folders are not followed."""
    return [file for file in files_below(folder, ".wandb", 2) if file.suffix == ".wandb"]


def read(path: Path) -> tuple[LoggedHistory, ...]:
    """The runs in a folder, oldest first, or that of one file.

    Raises:
        RunError: none holds a loss, or none can be read.
    """
    files = _files(path) if path.is_dir() else [path]
    found: list[LoggedHistory] = []
    refused: list[RunError] = []
    for file in files:
        try:
            found += _of_file(file)
        except RunError as error:
            refused.append(error)
    if not found:
        raise refused[0]
    left_out = tuple(f"Left out: {error.what}." for error in refused)
    if not left_out:
        return tuple(found)
    return tuple(replace(history, notes=(*history.notes, *left_out)) for history in found)


def _of_file(file: Path) -> list[LoggedHistory]:
    rows: list[Row] = []
    settings: dict[str, Any] = {}
    notes: list[str] = []
    for record in read_records(file, notes):
        try:
            calls, configured = read_record(record)
        except (struct.error, ValueError):
            notes.append(f"A record of {file.name} cannot be read and was left out.")
            continue
        rows += calls
        settings |= configured
    if not any(map(is_a_log, rows)):
        raise RunError(
            f"{file} holds no log of a training",
            got=f"{len(rows)} rows of history, none with a loss",
            expected="a run of the HF Trainer with report_to='wandb'",
        )
    return histories(rows, source=str(file), kind="wandb", settings=settings, notes=tuple(notes))


def read_records(file: Path, notes: list[str]) -> Iterator[bytes]:
    """The records of a run's file.

    Args:
        file: it.
        notes: where to say that its end is missing or damaged; what comes before is read.

    Raises:
        RunError: it does not begin as such a file.
    """
    data = read_log_bytes(file)
    if not data.startswith(_MARK):
        raise RunError(
            f"{file} is no run of W&B",
            got="an empty file" if not data else "a file that begins otherwise",
            expected="the run-ID.wandb file that wandb wrote",
        )
    at, parts = _FILE_HEADER, b""
    while at + _HEADER <= len(data):
        left = _BLOCK - at % _BLOCK
        if left < _HEADER:
            at += left
            continue
        check, size, kind = _frame(data, at)
        part = data[at + _HEADER : at + _HEADER + size]
        if len(part) < size or check != zlib.crc32(part, _CHECKS[kind]):
            notes.append(
                f"{file.name} is {'cut off' if len(part) < size else 'damaged'} at byte {at:,} of "
                f"{len(data):,}; what comes before was read."
            )
            return
        at += _HEADER + size
        parts = part if kind in (_FULL, _FIRST) else parts + part
        if kind in (_FULL, _LAST):
            yield parts
