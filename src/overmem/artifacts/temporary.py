"""Temporary names beside what is written, and clearing those that a killed process left.

Everything that overmem writes appears whole: it is made as `.NAME.PID.tmp` beside `NAME` and renamed. A kill
leaves that behind; whoever writes `NAME` next removes it, unless a process that lives is still at it.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LOCK_NAME = ".lock"


def temporary_beside(target: Path) -> Path:
    """Where this process makes `target`; what killed ones left of it is cleared."""
    clear_leftovers(target)
    return target.with_name(f".{target.name}.{os.getpid()}.tmp")


def clear_leftovers(target: Path) -> None:
    """Remove temporary files and folders of `target` whose process is gone; nothing else is touched."""
    name = re.compile(rf"\.{re.escape(target.name)}\.(\d+)\.tmp")
    try:
        found = [(path, match) for path in target.parent.iterdir() if (match := name.fullmatch(path.name))]
    except OSError:
        return
    for path, match in found:
        if path.is_symlink() or _is_held(path, int(match[1])):
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink()


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Mark a temporary folder as one that a living process is at, here or on another machine or container.

    The mark is a lock, which ends with the process, killed or not; its file is gone when the block ends.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(folder / LOCK_NAME)
    with suppress(OSError, NotImplementedError, Timeout):  # a file system without locks
        lock.acquire(timeout=0)
    try:
        yield
    finally:
        with suppress(OSError):
            (folder / LOCK_NAME).unlink()
        lock.release()


def _is_held(path: Path, pid: int) -> bool:
    """Whether a process lives that makes it: by the lock in a folder, else by its number on this machine."""
    if not (path / LOCK_NAME).is_file():
        return pid != os.getpid() and _lives(pid)
    from filelock import FileLock, Timeout

    lock = FileLock(path / LOCK_NAME)
    try:
        lock.acquire(timeout=0)
    except (OSError, NotImplementedError, Timeout):
        return True
    lock.release()
    return False


def _lives(pid: int) -> bool:
    if os.name != "posix":  # a signal would end it there
        import psutil  # readers of artifacts do without

        return bool(psutil.pid_exists(pid))
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True
