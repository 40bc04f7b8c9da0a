"""Weights & Biases: the `run-ID.wandb` file of each run, offline or synced, read without the package.

Format: records as in LevelDB's log (blocks of 32 KiB; checksum, length, first/middle/last), each a `Record`
of wandb_internal.proto.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from overmem.errors import RunError
from overmem.logs.formats.files import files_below, read_log_bytes
from overmem.logs.formats.rows import Row, histories, is_a_log, trainer_key, whole_step
from overmem.logs.formats.wire import WireError, fields, signed
from overmem.logs.history import LoggedHistory

_BLOCK, _HEADER, _FILE_HEADER = 1 << 15, 7, 7
_MARK = b":W&B"
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
_HISTORY, _CONFIG, _RUN, _RUN_CONFIG, _RUN_NAME = 2, 5, 17, 4, 9
_ITEM, _HISTORY_STEP = 1, 2
_KEY, _NESTED, _BOOLEAN, _INTEGER, _NUMBER, _TEXT, _JSON, _OLD_JSON = 1, 2, 4, 5, 6, 7, 8, 16


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
    return tuple(replace(history, notes=(*history.notes, *left_out)) for history in found)


def _of_file(file: Path) -> list[LoggedHistory]:
    rows: list[Row] = []
    settings: dict[str, Any] = {}
    notes: list[str] = []
    for record in read_records(file, notes):
        try:
            for number, _, value in fields(record):
                if number == _HISTORY and isinstance(value, bytes):
                    rows += _row(value)
                elif number == _CONFIG and isinstance(value, bytes):
                    settings |= _items(value)
                elif number == _RUN and isinstance(value, bytes):
                    settings |= _run_settings(value)
        except (WireError, struct.error, ValueError):
            notes.append(f"A record of {file.name} cannot be read and was left out.")
    if not any(map(is_a_log, rows)):
        raise RunError(
            f"{file} holds no log of a training",
            got=f"{len(rows)} rows of history, none with a loss",
            expected="a run of the HF Trainer with report_to='wandb'",
        )
    return histories(rows, source=str(file), kind="wandb", settings=settings, notes=tuple(notes))


def _run_settings(message: bytes) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for number, _, value in fields(message):
        if number == _RUN_CONFIG and isinstance(value, bytes):
            found |= _items(value)
    return found


def _row(message: bytes) -> list[Row]:
    """One call of `log`; the Trainer's own step counts before W&B's, which counts calls."""
    items: list[bytes] = []
    inner: int | bytes = 0
    for number, _, value in fields(message):
        if number == _ITEM and isinstance(value, bytes):
            items.append(value)
        elif number == _HISTORY_STEP and isinstance(value, bytes):
            inner = next((count for _, _, count in fields(value)), 0)
    found = {trainer_key(key): value for key, value in _decoded(items).items() if key != "_step"}
    step = whole_step(found.get("step", signed(inner) if isinstance(inner, int) else 0))
    kept = {key: value for key, value in found.items() if not key.startswith("_")}
    return [] if step is None or set(kept) <= {"step", "epoch"} else [kept | {"step": step}]


def _items(message: bytes) -> dict[str, Any]:
    """Keys and values of a history or a configuration, nested keys joined by a point."""
    parts = (value for number, _, value in fields(message) if number == _ITEM)
    return _decoded([value for value in parts if isinstance(value, bytes)])


def _decoded(items: Sequence[bytes]) -> dict[str, Any]:
    """Keys and values of items, whose JSON is parsed at once.

    Raises:
        ValueError: a value is no JSON.
    """
    pairs = [_item(item) for item in items]
    texts = [value for _, value in pairs if isinstance(value, bytes)]
    read = json.loads(b"[" + b",".join(texts) + b"]")
    if len(read) != len(texts):
        raise ValueError("a value is no JSON")
    values = iter(read)
    return {key: next(values) if isinstance(value, bytes) else value for key, value in pairs}


def _item(message: bytes) -> tuple[str, Any]:
    """A key, and its value; JSON as its bytes."""
    keys: list[str] = []
    found: Any = None
    for number, _, value in fields(message):
        if number in (_KEY, _NESTED) and isinstance(value, bytes):
            keys.append(value.decode())
        elif number == _BOOLEAN:
            found = bool(value)
        elif number == _INTEGER and isinstance(value, int):
            found = signed(value)
        elif number == _NUMBER and isinstance(value, bytes):
            found = struct.unpack("<d", value)[0]
        elif number == _TEXT and isinstance(value, bytes):
            found = value.decode()
        elif number in (_JSON, _OLD_JSON) and isinstance(value, bytes):
            found = value
    return ".".join(keys), found


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
        check, size, kind = struct.unpack("<IHB", data[at : at + _HEADER])
        part = data[at + _HEADER : at + _HEADER + size]
        if len(part) < size or check != zlib.crc32(part, zlib.crc32(bytes([kind]))):
            notes.append(
                f"{file.name} is {'cut off' if len(part) < size else 'damaged'} at byte {at:,} of "
                f"{len(data):,}; what comes before was read."
            )
            return
        at += _HEADER + size
        parts = part if kind in (_FULL, _FIRST) else parts + part
        if kind in (_FULL, _LAST):
            yield parts
