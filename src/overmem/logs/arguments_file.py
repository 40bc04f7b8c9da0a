"""`training_args.bin`, as the Trainer leaves it in every checkpoint, read without running what is in it.

The file is a pickle, which may run anything when it is loaded. So it is not loaded: its instructions are
gone through one by one, and a plain value that follows a known name is taken. What is no plain value or list
of texts, and what a file of another make holds, is left.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

FILE = "training_args.bin"
CLASS = "arguments_class"
"""The name under which the class of the arguments is given, such as `SFTConfig`."""
_MOST_BYTES = 1 << 20
"""Of the pickle; what the Trainer writes has a few thousand."""
_PLAIN = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_NUMBERS = ("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT")
_TEXTS = ("BINUNICODE", "SHORT_BINUNICODE")
_PUTS = ("BINPUT", "LONG_BINPUT")
_GETS = ("BINGET", "LONG_BINGET")


def read_arguments(file: Path, keys: Collection[str]) -> dict[str, Any]:
    """Values of some training arguments.

    Args:
        file: a `training_args.bin`.
        keys: names of the arguments.

    Returns:
        Those that are plain values, and `CLASS`; empty where the file is none, or of another format.
    """
    import pickletools

    try:
        instructions = [(code.name, value) for code, value, _ in pickletools.genops(_pickle_in(file))]
    except Exception:  # of a foreign file anything: it says nothing then
        return {}
    found: dict[str, Any] = {}
    steps = list(_resolved(instructions))
    name = next((value for kind, value in steps if kind == "GLOBAL"), None)
    if isinstance(name, str):
        found[CLASS] = name.rpartition(" ")[2]
    for (kind, key), (is_a, value) in pairwise(steps):
        if kind == "value" and isinstance(key, str) and key in keys and is_a == "value":
            found.setdefault(key, value)
    return found


def _pickle_in(file: Path) -> bytes:
    """The pickle in an archive as `torch.save` writes it.

    Raises:
        OSError, ValueError, KeyError: it is no such archive, or too large.
    """
    import zipfile

    with zipfile.ZipFile(file) as archive:
        entry = next(one for one in archive.infolist() if one.filename.endswith("/data.pkl"))
        if entry.file_size > _MOST_BYTES:
            raise ValueError(f"{entry.file_size:,} bytes")
        return archive.read(entry)


def _resolved(instructions: list[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Values and names of classes in order; a value that was stored before stands where it is fetched."""
    stored: dict[Any, tuple[str, Any]] = {}
    last: tuple[str, Any] = ("other", None)
    for name, value in instructions:
        if name in _PUTS:
            stored[value] = last
            continue
        if name in _GETS:
            last = stored.get(value, ("other", None))
        elif name in _PLAIN:
            last = ("value", _PLAIN[name])
        elif name in _NUMBERS or name in _TEXTS:
            last = ("value", value)
        else:
            last = ("GLOBAL" if name == "GLOBAL" else "other", value)
        yield last
