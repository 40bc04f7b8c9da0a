"""The folder that the driver and all workers must see under one path, told by a mark in it."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from overmem.artifacts.files import write_text_atomic
from overmem.errors import RunError


@dataclass(frozen=True, kw_only=True)
class SharedFolder:
    """Where the driver works, and a mark by which workers know that they see the same files."""

    folder: Path
    """The driver's working directory, to which relative names refer."""
    mark: Path
    text: str
    """What the mark holds."""

    def join(self) -> None:
        """Work in the driver's folder, where it is seen.

        Raises:
            RunError: the files are not the driver's, or cannot be written.
        """
        with suppress(OSError):
            os.chdir(self.folder)
        try:
            seen = self.mark.read_text(encoding="utf-8") == self.text
        except OSError:
            seen = False
        if not (seen and os.access(self.mark.parent, os.W_OK)):
            raise RunError(
                "a worker cannot read and write the artifacts' folder",
                got=f"{self.mark.parent} on {socket.gethostname()}",
                expected="one folder that all nodes see under the same path",
                next_step="put the run (or its output) on a shared filesystem, such as NFS or Lustre",
            )


@contextmanager
def shared_folder(root: Path) -> Iterator[SharedFolder]:
    """Leave a mark in a folder for as long as the context lasts."""
    text = uuid.uuid4().hex
    mark = root / f".mark-{text[:8]}"
    write_text_atomic(mark, text)
    try:
        yield SharedFolder(folder=Path.cwd(), mark=mark, text=text)
    finally:
        mark.unlink(missing_ok=True)
        with suppress(OSError):  # there is more in it
            root.rmdir()
