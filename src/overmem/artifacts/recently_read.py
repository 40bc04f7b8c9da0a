"""Tables that were read a moment ago, kept while their files are the same.

A verdict and a repair ask for the same rows again and again. Artifacts are replaced, never changed in place
(`overmem.artifacts.files`), so a file's inode, size and time say whether it is still the one that was read.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path

import polars as pl

from overmem.boundary import library_call
from overmem.errors import ArtifactError

MOST_BYTES = 64 << 20
"""Of all tables that are kept; one of more than a quarter of it is read each time."""

Stamp = tuple[str, int, int, int]


def stamps_of(files: Sequence[Path]) -> tuple[Stamp, ...]:
    """What changes when a file is replaced: its path, inode, size and time of writing.

    Each is opened for it: NFS asks its server anew only then, and workers elsewhere write the same files.

    Raises:
        ArtifactError: a file has gone, or may not be looked at.
    """
    stamps = []
    for path in files:
        boundary = library_call(f"{path} cannot be read", ArtifactError, next_step="run the command again")
        with boundary, path.open("rb") as file:
            found = os.fstat(file.fileno())
        stamps.append((str(path), found.st_ino, found.st_size, found.st_mtime_ns))
    return tuple(stamps)


class RecentlyRead:
    """Tables by what they were read from, the ones not asked for longest given up first."""

    def __init__(self, most_bytes: int) -> None:
        """Keep tables of `most_bytes` together."""
        self.most_bytes = most_bytes
        self.bytes = 0
        self._kept: OrderedDict[Hashable, tuple[pl.DataFrame, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, read: Callable[[], pl.DataFrame]) -> pl.DataFrame:
        """The table of this key, read where it is not kept; not to be changed in place."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key][0]
        table = read()
        size = int(table.estimated_size())
        with self._lock:
            if size <= self.most_bytes // 4 and key not in self._kept:
                self._kept[key] = table, size
                self.bytes += size
            while self.bytes > self.most_bytes:
                self.bytes -= self._kept.popitem(last=False)[1][1]
        return table


RECENTLY_READ = RecentlyRead(MOST_BYTES)
