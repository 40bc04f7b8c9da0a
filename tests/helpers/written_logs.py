"""The logs that `tracker_logs` had the trackers write, and the Trainer's own rows of the same runs."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from tests.helpers.paths import ROOT

WRITTEN = ROOT / "tests" / "logs" / "formats" / "written"


def truth(name: str = "hf") -> list[dict]:
    """The Trainer's rows of a run, in `written/NAME.json`."""
    return json.loads((WRITTEN / f"{name}.json").read_text())["log_history"]


def differences(read: Sequence, logged: Sequence, *, keys=None, digits: float = 0.0) -> list:
    """Where rows differ from what was logged: keys that one lacks, figures beyond a relative distance.

    Args:
        read: rows of a reader.
        logged: the Trainer's.
        keys: the keys to hold against each other; all by default.
        digits: relative distance that is allowed.
    """
    if len(read) != len(logged):
        return [f"{len(read)} rows, not {len(logged)}"]
    return [
        (number, key, ours.get(key), theirs.get(key))
        for number, (ours, theirs) in enumerate(zip(read, logged, strict=True))
        for key in keys or ours.keys() | theirs.keys()
        if (key in ours) != (key in theirs)
        or (key in ours and not math.isclose(ours[key], theirs[key], rel_tol=digits, abs_tol=0))
    ]


def make_database(name: str, target: Path) -> Path:
    """Build the database whose SQL lies in `written/`."""
    with closing(sqlite3.connect(target)) as connection:
        connection.executescript((WRITTEN / name).read_text())
    return target


def protobuf_count(value: int) -> bytes:
    """A number as protocol buffers write it: seven bits a byte."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out + bytes([value]))


def protobuf_field(number: int, data: bytes) -> bytes:
    """A field that holds bytes: a message or a text."""
    return protobuf_count(number << 3 | 2) + protobuf_count(len(data)) + data
