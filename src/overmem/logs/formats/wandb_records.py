"""Records of a W&B run: calls of `log` as rows, and the configuration.

A run of 200,000 evaluations is 120 MB, since two records of the summary go with each call; a field at a time
that is 8 s of a processor. Calls of the usual shape, short keys with one short value each, are read by a
pattern; others, and other records, by `wire.fields`. Source: wandb_internal.proto of wandb 0.18 and 0.31.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from overmem.logs.formats.rows import Row, trainer_key, whole_step
from overmem.logs.formats.wire import fields, signed

_HISTORY, _CONFIG, _RUN, _RUN_CONFIG = 2, 5, 17, 4
_ITEM, _HISTORY_STEP = 1, 2
_KEY, _NESTED, _BOOLEAN, _INTEGER, _NUMBER, _TEXT, _JSON, _OLD_JSON = 1, 2, 4, 5, 6, 7, 8, 16
_QUOTE = ord('"')

_SIZE = rb"[\x00-\x7f]"
_COUNT = rb"[\x80-\xff]*[\x00-\x7f]"
_DECIMAL = rb"-?\d[-+.\deE]*"
_VALUE = _DECIMAL + rb"|NaN|-?Infinity|true|false|null|\"[ !#-\[\]-~]*\""
_OWN = rb"\n%b[\n\x12]%b_[ -~]*\x82\x01%b%b" % (_SIZE, _SIZE, _SIZE, _DECIMAL)
"""An item of W&B's own, such as its step, which counts calls, and its clock."""
_ITEMS = re.compile(
    rb"\n%b[\n\x12]%b(?!_)([ -~]+)\x82\x01%b(%b)(?:%b)*" % (_SIZE, _SIZE, _SIZE, _VALUE, _OWN)
)
"""An item, its key and its value, and those of W&B's own after it.

Its own sizes need no look: neither a key nor a value can hold the byte that ends it here.
"""
_START = re.compile(rb"(?:\x08%b)?(?:\x1a|\x12(%b)(?:%b)*)" % (_COUNT, _COUNT, _OWN))
"""Number of a record, and the field that tells a summary or a call: its size, and items of W&B's own."""
_OWN_STEP = re.compile(rb"(?:\x12\x00|\x12[\x02-\x0b]\x08%b)?" % _COUNT)
"""What follows the items: W&B's step, a message that holds nothing where it is 0."""


def read_record(record: bytes) -> tuple[Sequence[Row], Mapping[str, Any]]:
    """What a record says of a training.

    Args:
        record: one `Record`.

    Returns:
        Calls of `log`, one at most, under the Trainer's keys; one that holds no more than step and epoch is
        left out. And keys and values of the configuration, nested keys joined by a point.

    Raises:
        ValueError: it is no record, or a value is no JSON.
    """
    start = _START.match(record)
    if start is not None:
        if start[1] is None:
            return (), {}
        whole = _count(start[1]) == len(record) - start.end(1)
        if whole and (usual := _usual_call(record, start[0])) is not None:
            return usual, {}
    rows: list[Row] = []
    settings: dict[str, Any] = {}
    for number, _, value in fields(record):
        if number == _HISTORY and isinstance(value, bytes):
            rows += _call(value)
        elif number == _CONFIG and isinstance(value, bytes):
            settings |= _items(value)
        elif number == _RUN and isinstance(value, bytes):
            for part, _, inner in fields(value):
                if part == _RUN_CONFIG and isinstance(inner, bytes):
                    settings |= _items(inner)
    return rows, settings


@lru_cache(maxsize=4096)
def _count(encoded: bytes) -> int:
    """A number, seven bits a byte."""
    return sum((byte & 0x7F) << 7 * place for place, byte in enumerate(encoded))


def _usual_call(record: bytes, start: bytes) -> list[Row] | None:
    """A call of the usual shape; None for another."""
    parts = _ITEMS.split(record)
    if parts[0] != start or any(parts[3:-1:3]) or not _OWN_STEP.fullmatch(parts[-1]):
        return None
    found: dict[str, Any] = {}
    for key, text in zip(parts[1::3], parts[2::3], strict=True):
        if name := _kept(key):
            if text.isdigit():
                found[name] = int(text)
            else:
                found[name] = float(text) if b"." in text and text[0] != _QUOTE else json.loads(text)
    return _row(found, parts[-1])


@lru_cache(maxsize=4096)
def _kept(key: bytes) -> str:
    """A key as the Trainer has it; empty for one of W&B's own."""
    name = trainer_key(key.decode())
    return "" if key == b"_step" or name.startswith("_") else name


def _call(message: bytes) -> list[Row]:
    """A call, field by field."""
    items = _items(message).items()
    return _row({name: value for key, value in items if (name := _kept(key.encode()))}, message)


def _row(found: dict[str, Any], message: bytes) -> list[Row]:
    """A call as a row; the Trainer's own step counts before W&B's in the message, which counts calls."""
    step = whole_step(found["step"] if "step" in found else _own_step(message))
    if step is None or (len(found) <= 2 and set(found) <= {"step", "epoch"}):
        return []
    found["step"] = step
    return [found]


def _own_step(message: bytes) -> int:
    steps = (value for number, _, value in fields(message) if number == _HISTORY_STEP)
    counts = (count for step in steps if isinstance(step, bytes) for _, _, count in fields(step))
    found = next(counts, 0)
    return signed(found) if isinstance(found, int) else 0


def _items(message: bytes) -> dict[str, Any]:
    """Keys and values of a call or a configuration, whose JSON is parsed at once.

    Raises:
        ValueError: a value is no JSON.
    """
    parts = (value for number, _, value in fields(message) if number == _ITEM)
    pairs = [_item(part) for part in parts if isinstance(part, bytes)]
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
