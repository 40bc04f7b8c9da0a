"""Files that appear whole or not at all, and folders that one process at a time works in."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from overmem.artifacts.temporary import LOCK_NAME, temporary_beside
from overmem.boundary import writing
from overmem.errors import OvermemError, StorageError

_ENDINGS = frozenset(
    (".html", ".md", ".json", ".jsonl", ".csv", ".parquet", ".yaml", ".yml", ".py", ".safetensors")
)
"""Of names that say what is inside."""


def write_text_atomic(path: Path, text: str) -> None:
    """Write a whole text file or nothing; what UTF-8 has no form for, such as a name on disk, is escaped."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def named_output(out: str | Path, ending: str) -> Path:
    """The file that a person named for an output.

    A name with the ending of other data is a slip that may cost a file, as in `--out val.jsonl`.

    Args:
        out: its name; an ending that says nothing of what is inside, or none, is taken.
        ending: of what will be written, such as `.html`.

    Raises:
        StorageError: the name is that of something else, or of a file of an audit.
    """
    path = Path(out)
    if path.suffix.lower() in _ENDINGS and path.suffix.lower() != ending:
        got, expected = f"a name ending in {path.suffix}", f"one ending in {ending}"
    elif (path.parent / "manifest.json").is_file() and path.exists() and not path.stem.startswith("report"):
        got, expected = "a file of the audit", "another name or folder"
    else:
        return path
    raise StorageError(
        f"{path} is not written over", got=got, expected=expected, next_step="name another file"
    )


def check_folder(folder: Path) -> None:
    """Refuse a folder for results that cannot be made or written into, before there are any.

    Raises:
        StorageError: so it is; it names what stands in the way.
    """
    path = Path(os.path.abspath(folder))
    there = next(part for part in (path, *path.parents) if os.path.lexists(part))
    if os.path.isdir(there):
        if os.access(there, os.W_OK | os.X_OK):
            return
        got = f"no permission to write into {there}"
    else:
        got = f"{there} is no folder"
    raise StorageError(
        f"{folder} cannot be the folder of results",
        got=got,
        expected="a folder that can be made, or written into",
        next_step="pass --out for another folder",
    )


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary file that becomes `path` when the block ends well, and vanishes when it does not.

    A link is replaced, not followed: it may stand in a folder that somebody shared.

    Raises:
        StorageError: the disk is full, or what stands at `path` is no file: a folder, a device, a pipe.
    """
    _check_replaceable(path)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = temporary_beside(path)
        try:
            yield temporary
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def _check_replaceable(path: Path) -> None:
    """Refuse what a rename would destroy, such as `/dev/null` for root, or cannot replace."""
    is_stream = path.is_symlink() and os.readlink(path).startswith("/proc/")  # /dev/stdout
    if path.name in ("", "..") or (path.is_dir() and not path.is_symlink()):
        kind = "a folder"
    elif is_stream or (path.exists() and not path.is_file() and not path.is_dir()):
        kind = "a device or a pipe"
    else:
        return
    raise StorageError(
        f"{str(path)!r} cannot be written as a file",
        got=kind,
        expected="an ordinary file, or a name that is not taken",
        next_step="name a file in a folder that you may write to",
    )


@contextmanager
def locked_folder(folder: Path, taken: OvermemError) -> Iterator[None]:
    """Keep other processes out of a folder, which is made where it is missing.

    The lock ends with the process, killed or not. Its file is removed while the lock is still held: filelock
    gives nobody a lock on a file that is gone.

    Args:
        folder: where the lock's file stands for as long as it is held.
        taken: raised at once where another process has the lock.
    """
    from filelock import FileLock, Timeout  # reading artifacts needs no lock, and starts faster without

    with writing(folder / LOCK_NAME):
        folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK_NAME)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise taken from None
    except (OSError, NotImplementedError):
        pass  # a file system without locks
    try:
        yield
    finally:
        with suppress(OSError):  # Windows removes it only after the release, which filelock does
            (folder / LOCK_NAME).unlink()
        lock.release()
