"""Where the workers of a cluster put their progress: a process of its own, which imports nothing heavy."""

from __future__ import annotations

ProgressUpdate = tuple[str, str, int, int]
"""What `overmem.auditing.session.Progress` is called with."""


class ProgressQueue:
    """Holds update until they are taken; should it be lost, nothing else is."""

    def __init__(self) -> None:
        """Start empty."""
        self._updates: list[ProgressUpdate] = []

    def put(self, update: ProgressUpdate) -> None:
        """Add update."""
        self._updates.append(update)

    def drain(self) -> list[ProgressUpdate]:
        """Hand the update over, each once."""
        update, self._updates = self._updates, []
        return update
