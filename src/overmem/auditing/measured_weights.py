"""What was measured is what is named: fingerprints of weights, taken once and compared while they are used.

A training may write a checkpoint again while it is audited, and rsync may do so under any name. What was
fingerprinted, what was loaded and what lies there once the rows are made must be one content.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from overmem.artifacts.manifest_parts.model_rows import FolderFingerprint
from overmem.checkpoints import has_weights
from overmem.errors import CheckpointError, WeightsChangedError
from overmem.fingerprints import fingerprinted_files, full_fingerprint, sampled_fingerprint
from overmem.models.base_models import chain_of
from overmem.records import Checkpoint

Stamp = tuple[str, int, int, int, int]
"""Name, size, times of content and of inode in nanoseconds, and inode of a file."""


@dataclass
class _Seen:
    """A folder as it was fingerprinted."""

    full: str
    sampled: str
    stamps: list[Stamp]
    """From before it was read. Other ones are a reason to read every byte again, equal ones are none to
    believe anything: the sampled blocks are read in any case."""


class MeasuredWeights:
    """The fingerprints of the weights of one audit."""

    def __init__(self, base_of: Callable[[Checkpoint], str]) -> None:
        """Nothing is read yet.

        Args:
            base_of: name or path of the base model under an adapter.
        """
        self._base_of = base_of
        self._seen: dict[Path, _Seen] = {}

    def fingerprint(self, checkpoint: Checkpoint) -> str:
        """Of every byte of a checkpoint's weights and, under an adapter, of its base model's.

        Raises:
            CheckpointError: a file is missing or cannot be read.
        """
        own = self._of(checkpoint.path)
        below = [self._of(folder) for folder in self._bases(checkpoint)]
        return hashlib.sha256("/".join([own, *below]).encode()).hexdigest() if below else own

    def folders(self, checkpoint: Checkpoint, *, in_run: bool = True) -> tuple[FolderFingerprint, ...]:
        """The fingerprints of the folders that a checkpoint is read from; a model of the hub has none.

        Args:
            checkpoint: whose.
            in_run: its own folder is one of the run, so that it goes where the run goes.
        """
        self.fingerprint(checkpoint)
        return tuple(
            FolderFingerprint(
                folder="." if in_run and folder == checkpoint.path else os.path.abspath(folder),
                full=self._seen[folder].full,
                sampled=self._seen[folder].sampled,
            )
            for folder in self._places(checkpoint)
        )

    def check_unchanged(self, checkpoint: Checkpoint, *, may_be_gone: bool = False) -> None:
        """Refuse a checkpoint whose files are no longer those that were fingerprinted.

        Args:
            checkpoint: whose fingerprint was taken.
            may_be_gone: files that were deleted since are none that changed.

        Raises:
            WeightsChangedError: they changed. They stay refused: what is in memory, here or in an engine, may
                be of both.
        """
        changed = [folder for folder in self._places(checkpoint) if not self._is_same(folder, may_be_gone)]
        if changed:
            own = checkpoint.path in changed
            raise WeightsChangedError(
                f"{checkpoint.name if own else f'the base model of {checkpoint.name}'} changed "
                "while it was measured",
                got=f"other files in {changed[0]} than at the start",
                next_step="run `overmem audit` again when its files no longer change; these rows are dropped",
            )

    def _places(self, checkpoint: Checkpoint) -> Iterator[Path]:
        return (folder for folder in (checkpoint.path, *self._bases(checkpoint)) if folder in self._seen)

    def _bases(self, checkpoint: Checkpoint) -> list[Path]:
        """What a checkpoint stands on, down to whole weights."""
        if checkpoint.kind != "adapter":
            return [Path(name) for name in chain_of(str(checkpoint.path))[1:]]
        return [Path(name) for name in chain_of(self._base_of(checkpoint))]

    def _of(self, folder: Path) -> str:
        if folder not in self._seen:
            if not folder.is_dir():
                return str(folder)
            stamps = _stamps(folder)
            self._seen[folder] = _Seen(full_fingerprint(folder), sampled_fingerprint(folder), stamps)
        return self._seen[folder].full

    def _is_same(self, folder: Path, may_be_gone: bool) -> bool:
        seen = self._seen[folder]
        try:
            stamps = _stamps(folder)
            same = sampled_fingerprint(folder) == seen.sampled
            same = same and (stamps == seen.stamps or full_fingerprint(folder) == seen.full)
        except (CheckpointError, OSError):
            return may_be_gone
        if same:
            seen.stamps = stamps
        return same or (may_be_gone and not has_weights(folder))


def _stamps(folder: Path) -> list[Stamp]:
    found = ((file.name, file.stat()) for file in fingerprinted_files(folder))
    return [(name, s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino) for name, s in found]
