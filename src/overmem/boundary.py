"""The boundary to libraries and to the disk: what they raise over somebody's files is one error of ours.

Only the call of a library stands inside `library_call`, so that a fault of our own stays a traceback. Ctrl-C,
the end of the process and of memory pass through.
"""

from __future__ import annotations

import errno
import os
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from overmem.errors import CheckpointError, OvermemError, StorageError

E = TypeVar("E", bound=BaseException)
HEADINGS = ("Error(s) in loading state_dict", "Validation error for field", "GenerationConfig is invalid")
"""Beginnings of first lines that say only that something is wrong; the line below says what."""
_FULL = (errno.ENOSPC, errno.EDQUOT)
_FULL_IN_RUST = ("(os error 28)", "(os error 122)")
_LONGEST = 200


@contextmanager
def library_call(
    what: str,
    error: type[OvermemError] = CheckpointError,
    *,
    expected: object = None,
    next_step: str = "",
    passes: Callable[[Exception], bool] = lambda _: False,
) -> Iterator[None]:
    """Turn whatever a library raises in the block into one error.

    Rust panics of tokenizers and safetensors count, which are no `Exception`.

    Args:
        what: what cannot be done, naming the file or the checkpoint.
        error: its class.
        expected: what would have been accepted.
        next_step: what the user should do now.
        passes: errors that somebody above knows what to do about, and that stay as they are.

    Raises:
        OvermemError: of the class `error`, with the library's reason; one raised within stays as it is.
        StorageError: the disk is full.
    """
    try:
        yield
    except (OvermemError, MemoryError):
        raise
    except BaseException as raised:
        if not (isinstance(raised, Exception) or type(raised).__name__ == "PanicException"):
            raise
        if isinstance(raised, Exception) and passes(raised):
            raise
        if _is_full(raised):
            raise _disk_full(None, raised) from raised
        raise error(what, got=reason(raised), expected=expected, next_step=next_step) from raised


@contextmanager
def unprinted_panics() -> Iterator[None]:
    """Keep standard error silent in the block: Rust prints a stack of calls before Python sees its panic.

    For a short call, since other threads are silent as well.
    """
    try:
        kept = os.dup(2)
    except OSError:  # no standard error
        yield
        return
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def real_path(path: str | Path) -> Path:
    """A path from the root, its links followed; a name that can be none, or a link in a circle, as it is.

    `Path.resolve` raises errors of its own kind over these two, and somebody else may have named the path.
    """
    try:
        return Path(os.path.realpath(path))
    except ValueError:  # a zero byte
        return Path(path)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Say in one message that the disk is full while the block writes to it.

    Args:
        path: what is written; its folder is named.

    Raises:
        StorageError: the disk, or the user's share of it, is full.
    """
    try:
        yield
    except OvermemError:
        raise
    except Exception as raised:
        if _is_full(raised):
            raise _disk_full(path, raised) from raised
        raise


def clear_frames(error: BaseException) -> None:
    """Forget the variables of the calls that an error and its causes came from, which keep models alive."""
    raised: BaseException | None = error
    while raised is not None:
        traceback.clear_frames(raised.__traceback__)
        raised = raised.__cause__


def without_calls(error: E) -> E:
    """An error without the calls that it and its causes came from, once it is only a message.

    Else the model that failed stays in memory for as long as the error, and the next is loaded beside it.
    """
    raised: BaseException | None = error
    while raised is not None:
        raised.__traceback__ = None
        raised = raised.__cause__
    return error


def disk_full(path: Path | None, got: str) -> StorageError:
    """The error of a disk without room.

    Args:
        path: what was to be written; None where that is not known.
        got: how full it is.
    """
    return StorageError(
        "the disk is full; what was saved before stays",
        got=got if path is None else f"{got} at {path.parent}",
        next_step="free some space, or name an output folder on another disk; then run it again",
    )


def reason(raised: BaseException) -> str:
    """Why a library refused, in one line; with the kind of the error where its text alone says little."""
    lines = [line.strip() for line in str(raised).splitlines() if line.strip()]
    if len(lines) > 1 and (lines[0].startswith(HEADINGS) or lines[0].endswith(":")):
        lines = lines[1:]
    said = lines[0] if lines else ""
    if not said or not isinstance(raised, OSError | ValueError | RuntimeError | ImportError):
        said = f"{type(raised).__name__}: {said}".removesuffix(": ")
    return said if len(said) <= _LONGEST else said[: _LONGEST - 3] + "..."


def _is_full(raised: BaseException) -> bool:
    """Whether a full disk is the cause; libraries in Rust say so in their text alone."""
    while True:
        if isinstance(raised, OSError) and raised.errno in _FULL:
            return True
        if str(raised).endswith(_FULL_IN_RUST):
            return True
        if raised.__cause__ is None:
            return False
        raised = raised.__cause__


def _disk_full(path: Path | None, raised: BaseException) -> StorageError:
    said = raised.strerror if isinstance(raised, OSError) and raised.strerror else reason(raised)
    return disk_full(path, said)
