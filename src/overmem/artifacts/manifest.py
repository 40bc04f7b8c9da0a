"""The manifest of an audit: what was measured, on which problems, with which versions; the map to the rows.

Every other module reads a manifest as this record. `Manifest.from_dict` takes what an older overmem has not
written; `to_dict` gives back what was read, key by key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from overmem.artifacts.jobs import BASE_ANSWERS, Job
from overmem.artifacts.store import MANIFEST_SCHEMA, Store, settings_key
from overmem.records import to_plain
from overmem.serialization import from_plain


@dataclass(frozen=True, kw_only=True)
class MeasuredSet:
    """One set of problems in one wording, as it was measured."""

    set: str
    """See `overmem.artifacts.jobs.Job`."""
    variant: str
    """`clean`, or the name of a perturbation."""
    source: str
    """As written in the options."""
    shape: str
    """What the data were recognised as."""
    grader: str
    n: int
    """Problems in the set, before any limit."""
    most_measured: int | None = None
    """Most of them that any work was done on; None where an older overmem noted none."""
    fingerprint: str
    """Of the rendered problems."""
    answers: str | None = None
    """Key of the reference answers; None where an older overmem noted none."""
    example_ids: tuple[str, ...]
    example_shas: tuple[str, ...]
    max_new_tokens: int | None = None
    """Longest answer that was allowed."""

    @property
    def measured(self) -> int:
        """Problems that were measured."""
        return self.n if self.most_measured is None else self.most_measured


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

    row_keys: Mapping[str, str]

    def has(self, job: Job) -> bool:
        """Whether the job was done."""
        return str(job) in self.row_keys


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


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What an audit measured."""

    created: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    python: str = ""
    temperatures: tuple[float, ...] = ()
    """The grid of `logprob_at_temperature`."""
    device: str = ""
    dtype: str = ""
    engine: Mapping[str, Any] | None = None
    """How answers were asked for, where a server wrote them."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """The resolved options; `overmem.auditing.options.saved_options` reads them."""
    axes: tuple[str, ...] = ()
    """Of all sittings."""
    splits: Mapping[str, MeasuredSet]
    """Sets of problems by `overmem.artifacts.jobs.data_key`."""
    base: BaseRows | None = None
    checkpoints: tuple[CheckpointRows, ...]
    """Ordered by step."""
    cut: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Axes that the time budget cut: problems asked for, measured, and why."""
    leaves_out_chat_template: bool = False
    """Val was asked as plain text past the tokenizer's chat template."""
    base_left_out: str | None = None
    """Why the model that the fine-tune started from was not measured."""
    left_out: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Ids of problems that training had, by set: no reader sees their rows. See `overmem.contamination`."""
    until_decided: Mapping[str, Any] | None = None
    """How far an audit that stops once it is decided has come."""
    skipped: Mapping[str, str] = field(default_factory=dict)
    """Checkpoints that could not be measured, with the reason."""
    gone: tuple[str, ...] = ()
    """Measured before and no longer in the run's folder."""
    pending: tuple[str, ...] = ()
    """Not measured yet."""
    carried: tuple[CheckpointRows, ...] = ()
    """What an earlier sitting measured on pending checkpoints."""

    @property
    def val(self) -> MeasuredSet:
        """The problems that decide."""
        return self.splits["val"]

    @property
    def asked_val(self) -> int:
        """Val problems that were asked for, after the limit."""
        return min(self.config.get("limit") or self.val.n, self.val.n)

    @property
    def sample_temperature(self) -> float:
        """At which several answers to one problem were drawn."""
        return float(self.config["temperature"])

    @property
    def key(self) -> str:
        """A short name for what the audit describes: these weights, these val problems."""
        weights = {checkpoint.name: checkpoint.weights for checkpoint in self.checkpoints}
        return settings_key({"weights": weights, "val": self.val.fingerprint})

    @property
    def early(self) -> CheckpointRows | None:
        """The first checkpoint that was trained; None where there is none."""
        return next((checkpoint for checkpoint in self.checkpoints if checkpoint.step > 0), None)

    def checkpoint(self, name: str) -> CheckpointRows:
        """A checkpoint by its name.

        Raises:
            KeyError: it was not measured.
        """
        found = next((item for item in self.checkpoints if item.name == name), None)
        if found is None:
            raise KeyError(name)
        return found

    def left_out_of(self, set_name: str) -> tuple[str, ...]:
        """Ids of a set's problems whose rows are not read; answers to val go with their problems."""
        asked = set_name.removeprefix(BASE_ANSWERS)
        return self.left_out.get("val" if asked == "answers" else asked, ())

    def with_all_problems(self) -> Self:
        """The same with nothing left out."""
        return replace(self, left_out={})

    def all_have(self, job: Job) -> bool:
        """Whether a job was done at every checkpoint."""
        return all(checkpoint.has(job) for checkpoint in self.checkpoints)

    def named_sources(self, prefix: str) -> dict[str, str]:
        """Sources of the sets whose name begins with a prefix (`ood/`, `references/`), by what follows it."""
        return {
            found.set.removeprefix(prefix): found.source
            for found in self.splits.values()
            if found.set.startswith(prefix)
        }

    def to_dict(self) -> dict[str, Any]:
        """The `overmem.manifest/1` record; what an audit had no use for is left out."""
        plain = to_plain(self)
        unused = [name for name in _LEFT_OUT if plain[name] in (None, False, {})]
        splits = {
            name: {key: value for key, value in found.items() if value is not None}
            for name, found in plain["splits"].items()
        }
        for model in (plain["base"], *plain["checkpoints"], *plain["carried"]):
            if model is not None and not model["folders"]:
                del model["folders"]
        kept = {name: value for name, value in plain.items() if name not in unused}
        return {"schema": MANIFEST_SCHEMA, **kept, "splits": splits}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Inverse of `to_dict`.

        Raises:
            ArtifactError: a part is missing or of another kind.
        """
        again = "run `overmem audit` again; it measures only what is missing"
        return from_plain(cls, record, what="the manifest is damaged", next_step=again)


_LEFT_OUT = ("engine", "leaves_out_chat_template", "base_left_out", "left_out", "until_decided")
"""Parts that are written only where they say something."""


def read_manifest(store: Store) -> Manifest:
    """The manifest of an audited run.

    Raises:
        ArtifactError: there is none, or it is damaged or of another schema.
    """
    return Manifest.from_dict(store.read_record("manifest", MANIFEST_SCHEMA))


def write_manifest(store: Store, manifest: Manifest) -> None:
    """Save a manifest, whole or not at all."""
    store.write_record("manifest", manifest.to_dict())
