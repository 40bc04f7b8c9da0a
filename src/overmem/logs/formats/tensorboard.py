"""TensorBoard's event files: the scalars, and the training arguments that the Trainer puts beside them.

A folder with event files is a run; the Trainer makes one for each start, below `runs/`. Format: TFRecord
(length, its checksum, an `Event`, its checksum), as tensorflow's `record_writer.h` and `event.proto` say.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from overmem.errors import RunError
from overmem.logs.formats.files import files_below, read_log_bytes
from overmem.logs.formats.rows import histories, is_a_log, rows_of_series, trainer_key
from overmem.logs.formats.wire import FIXED32, WireError, crc32c, fields, masked, signed
from overmem.logs.history import LoggedHistory
from overmem.parsing import ParseError, parse_json

NAME = "tfevents"
_DEPTH = 4
_LONGEST = 1 << 16
"""Bytes of a record that is read: pictures and graphs are longer, scalars and arguments are not."""
_STEP, _SUMMARY, _VALUE = 2, 5, 1
_TAG, _SIMPLE, _TENSOR = 1, 2, 8
_DTYPE, _CONTENT, _FLOATS, _DOUBLES, _TEXTS = 1, 4, 5, 6, 8
_UNPACKED = {1: "<f", 2: "<d"}


def recognizes(path: Path) -> bool:
    """Whether a path is an event file, or a folder that has one somewhere below it."""
    if path.is_dir():
        return next(files_below(path, NAME, _DEPTH), None) is not None
    return NAME in path.name


def read(path: Path) -> tuple[LoggedHistory, ...]:
    """The runs whose events lie in a folder, or those of one file.

    Raises:
        RunError: no scalar of a training is in any, or none can be read.
    """
    files = list(files_below(path, NAME, _DEPTH)) if path.is_dir() else [path]
    refused: list[RunError] = []
    found = [
        history
        for folder, group in groupby(files, key=lambda file: file.parent)
        for history in _of_folder(folder if path.is_dir() else path, list(group), refused)
    ]
    if not found and refused:
        raise refused[0]
    if not found:
        raise RunError(
            f"{path} holds no log of a training",
            got=f"{len(files)} event file(s) without a scalar such as train/loss or eval/loss",
            expected="events as the HF Trainer writes them with report_to='tensorboard'",
        )
    return tuple(found)


def _of_folder(source: Path, files: list[Path], refused: list[RunError]) -> list[LoggedHistory]:
    values: list[tuple[int, str, Any]] = []
    settings: dict[str, Any] = {}
    notes: list[str] = []
    for file in files:
        try:
            tagged = list(_tagged(file, notes))
        except RunError as error:
            refused.append(error)
            notes.append(f"Left out: {error.what}.")
            continue
        for step, tag, value in tagged:
            if isinstance(value, float):
                values.append((step, trainer_key(tag), value))
            elif tag.endswith("/text_summary"):
                settings |= _arguments(value)
    rows = rows_of_series(values)
    if not any(map(is_a_log, rows)):
        return []
    return histories(rows, source=str(source), kind="tensorboard", settings=settings, notes=tuple(notes))


def _arguments(text: bytes) -> Mapping[str, Any]:
    try:
        found = parse_json(text)
    except ParseError:
        return {}
    return found if isinstance(found, dict) else {}


def _tagged(file: Path, notes: list[str]) -> Iterator[tuple[int, str, float | bytes]]:
    """Step, tag and value of what is summarized: a scalar, or a text as its bytes."""
    for record in read_records(file, notes):
        step, summaries = 0, []
        try:
            for number, _, value in fields(record):
                if number == _STEP and isinstance(value, int):
                    step = signed(value)
                elif number == _SUMMARY and isinstance(value, bytes):
                    summaries += [part for key, _, part in fields(value) if key == _VALUE]
            parts = [_value(part) for part in summaries if isinstance(part, bytes)]
        except (WireError, struct.error, UnicodeDecodeError):
            notes.append(f"A record of {file.name} is no event and was left out.")
            continue
        yield from ((step, tag, value) for tag, value in parts if value is not None and step >= 0)


def read_records(file: Path, notes: list[str]) -> Iterator[bytes]:
    """The short records of a TFRecord file.

    Args:
        file: it.
        notes: where to say that its end is missing or damaged; what comes before is read.

    Raises:
        RunError: it begins with no record.
    """
    data, at = read_log_bytes(file), 0
    while at < max(len(data), 1):
        head = data[at : at + 12]
        whole = len(head) == 12 and struct.unpack("<I", head[8:])[0] == masked(crc32c(head[:8]))
        size = struct.unpack("<Q", head[:8])[0] if whole else 0
        record, check = data[at + 12 : at + 12 + size], data[at + 12 + size : at + 16 + size]
        short = size <= _LONGEST
        if whole and len(check) == 4 and short:
            whole = struct.unpack("<I", check)[0] == masked(crc32c(record))
        if not whole or len(check) < 4:
            if at == 0:
                raise RunError(
                    f"{file} is no event file of TensorBoard",
                    got="an empty file" if not data else "a first record with a wrong checksum",
                    expected="the file that a SummaryWriter wrote",
                )
            cut = at + 16 + size > len(data)
            notes.append(
                f"{file.name} is {'cut off' if cut else 'damaged'} at byte {at:,} of {len(data):,}; what "
                "comes before was read."
            )
            return
        if short:
            yield record
        at += 16 + size


def _value(part: bytes) -> tuple[str, float | bytes | None]:
    tag, found = "", None
    for number, wire, value in fields(part):
        if number == _TAG and isinstance(value, bytes):
            tag = value.decode()
        elif number == _SIMPLE and wire == FIXED32 and isinstance(value, bytes):
            found = struct.unpack("<f", value)[0]
        elif number == _TENSOR and isinstance(value, bytes):
            found = _tensor(value)
    return tag, found


def _tensor(message: bytes) -> float | bytes | None:
    """The one number or text of a tensor; None where it holds more, or neither."""
    parts = {number: value for number, _, value in fields(message)}
    kind = parts.get(_DTYPE)
    text = parts.get(_TEXTS)
    if isinstance(text, bytes):
        return text
    unpacked = _UNPACKED.get(kind) if isinstance(kind, int) else None
    for number in (_CONTENT, _FLOATS, _DOUBLES):
        value = parts.get(number)
        if unpacked and isinstance(value, bytes) and len(value) == struct.calcsize(unpacked):
            return float(struct.unpack(unpacked, value)[0])
    return None
