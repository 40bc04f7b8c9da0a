"""Files that hold a log, opened: text in whatever encoding a shell wrote, SQLite without writing to it."""

from __future__ import annotations

import codecs
import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from overmem.boundary import real_path, reason
from overmem.errors import RunError
from overmem.logs.states import first_bytes

MOST_BYTES = 1 << 30
"""Of a log; what people have is a thousandth of it."""
_FEWEST, _MOSTLY = 10, 0.9
"""Of pairs of bytes, the first ones of a file."""
SQLITE = b"SQLite format 3\0"
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


def read_log_bytes(path: Path) -> bytes:
    """A log as it lies on disk.

    Raises:
        RunError: it is no ordinary file, too large, or cannot be opened.
    """
    try:
        known = path.stat()
        if not stat.S_ISREG(known.st_mode):
            raise RunError(f"{path} is no ordinary file", got="a folder, a pipe or a device")
        if known.st_size > MOST_BYTES:
            raise RunError(
                f"{path} is too large to be read as a log",
                got=f"{known.st_size:,} bytes",
                expected=f"at most {MOST_BYTES:,}",
            )
        return path.read_bytes()
    except OSError as error:
        raise RunError(f"{path} cannot be read", got=reason(error)) from error


def read_log_text(path: Path) -> str:
    """A log as text: UTF-8, or UTF-16 as PowerShell redirects it; bytes that are no text are replaced.

    Raises:
        RunError: as `read_log_bytes`.
    """
    return decode(read_log_bytes(path))


def decode(data: bytes) -> str:
    """The text of bytes, in the encoding that they begin with a mark of, else UTF-8."""
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), None) or _unmarked(data[:200])
    return data.decode(encoding, errors="replace")


def _unmarked(start: bytes) -> str:
    """The encoding of a text without a mark: every other byte of UTF-16 is 0 where letters are Latin."""
    half = len(start) // 2
    odd, even = start[1::2].count(0), start[::2].count(0)
    if half >= _FEWEST and min(odd, even) == 0 and max(odd, even) > _MOSTLY * half:
        return "utf-16-le" if odd else "utf-16-be"
    return "utf-8"


def files_below(folder: Path, matches: str, depth: int) -> Iterator[Path]:
    """Files with a text in their name, in a folder and those below it.

    Args:
        folder: where; links to folders are not followed.
        matches: part of the name.
        depth: folders below it that are looked into.
    """
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if matches in entry.name and entry.is_file():
            yield folder / entry.name
    for entry in entries:
        if depth > 0 and entry.is_dir(follow_symlinks=False):
            yield from files_below(folder / entry.name, matches, depth - 1)


@contextmanager
def open_sqlite(path: Path) -> Iterator[sqlite3.Connection]:
    """A database to read from, as it was last written; nothing is written beside it where that is forbidden.

    Raises:
        RunError: in the block too, where the file is damaged or has no such table.
    """
    try:
        with closing(_connect(path)) as connection:
            yield connection
    except sqlite3.Error as error:
        raise RunError(
            f"{path} cannot be read as a SQLite database",
            got=str(error),
            next_step="copy it again, with the -wal file beside it if there is one",
        ) from error


def _connect(path: Path) -> sqlite3.Connection:
    address = real_path(path).as_uri()
    connection = sqlite3.connect(f"{address}?mode=ro", uri=True)
    try:
        connection.execute("select count(*) from sqlite_master")
    except sqlite3.OperationalError:  # a write-ahead log that may not be opened here
        connection.close()
        connection = sqlite3.connect(f"{address}?immutable=1", uri=True)
    connection.text_factory = decode
    return connection


def tables(connection: sqlite3.Connection) -> set[str]:
    """Names of a database's tables."""
    return {name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")}


def has_table_with(path: Path, table: str, columns: set[str]) -> bool:
    """Whether a file is a database with a table that has these columns."""
    if first_bytes(path, len(SQLITE)) != SQLITE:
        return False
    try:
        with open_sqlite(path) as connection:
            return columns <= {row[1] for row in connection.execute(f"pragma table_info({table})")}
    except RunError:
        return False
