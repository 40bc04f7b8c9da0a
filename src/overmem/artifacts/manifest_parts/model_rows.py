"""The rows of one model: of which weights they are, and the key of each job's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import get_args

from overmem.artifacts.jobs import Job, JobKind, kind_of
from overmem.serialization import FieldError


@dataclass(frozen=True, kw_only=True)
class FolderFingerprint:
    """The content of one folder that weights were read from; see `overmem.fingerprints`."""

    folder: str
    """Its path; `.` is the checkpoint's own folder."""
    full: str
    """Of every byte."""
    sampled: str
    """Of sampled blocks."""


class _Rows:
    """The rows of one model, by job."""

    name: str
    row_keys: Mapping[str, str]

    def has(self, job: Job) -> bool:
        """Whether the job was done."""
        return str(job) in self.row_keys

    def check_read(self) -> None:
        """Refuse a name that is none of a folder, and rows of no known work.

        Raises:
            FieldError: so it is.
        """
        if self.name in ("", ".", "..") or set(self.name) & {"/", "\\", "\0"}:
            raise FieldError("name", "cannot be read", repr(self.name), "the name of a folder")
        for job in self.row_keys:
            if kind_of(job) not in get_args(JobKind):
                raise FieldError("row_keys", "names unknown work", repr(job), "such as `score val`")


@dataclass(frozen=True, kw_only=True)
class CheckpointRows(_Rows):
    """The rows of a checkpoint."""

    name: str
    """Also the folder of its rows."""
    step: int
    epoch: float | None = None
    kind: str = "full"
    """`full` or `adapter`."""
    weights: str
    """Fingerprint of every byte."""
    folders: tuple[FolderFingerprint, ...] = ()
    """What it was taken of: the checkpoint's folder, then its base model's under an adapter, where that is a
    folder. Empty where an older overmem noted none."""
    row_keys: Mapping[str, str] = field(default_factory=dict)
    """Key of the rows of each job, by the job's text."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """A short name for the settings of each job."""


@dataclass(frozen=True, kw_only=True)
class BaseRows(_Rows):
    """The rows of the model that the fine-tune started from; see `CheckpointRows`."""

    name: str
    model: str
    """Folder or hub id."""
    weights: str
    folders: tuple[FolderFingerprint, ...] = ()
    row_keys: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)


MeasuredModel = CheckpointRows | BaseRows
