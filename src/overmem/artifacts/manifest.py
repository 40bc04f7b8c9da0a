"""The manifest of an audit: what was measured, on which problems, with which versions; the map to the rows.

Every other module reads a manifest as this record. `Manifest.from_dict` takes what an older overmem has not
written; `to_dict` gives back what was read, key by key.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

from overmem.artifacts.jobs import Job
from overmem.artifacts.store import MANIFEST_SCHEMA, Store, settings_key
from overmem.errors import ArtifactError


@dataclass(frozen=True, kw_only=True)
class MeasuredSet:
    """One set of problems in one wording, as it was measured."""

    set: str
    """`val`, `train`, `ood/NAME`, `references/NAME`, or `answers`."""
    variant: str
    """`clean`, or the name of a perturbation."""
    source: str
    """As written in the options."""
    shape: str
    """What the data were recognised as."""
    grader: str
    n: int
    """Problems in the set, before any limit."""
    fingerprint: str
    """Of the rendered problems."""
    answers: str | None = None
    """Key of the reference answers; None where an older overmem noted none."""
    example_ids: tuple[str, ...]
    example_shas: tuple[str, ...]
    max_new_tokens: int | None = None
    """Longest answer that was allowed."""


@dataclass(frozen=True, kw_only=True)
class MeasuredModel:
    """The rows of one model: of a checkpoint, or of the base model."""

    name: str
    """Of the checkpoint, or `base`; also the folder of its rows."""
    weights: str
    """Fingerprint."""
    row_keys: Mapping[str, str] = field(default_factory=dict)
    """Key of the rows of each job, by the job's text."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """A short name for the settings of each job."""

    def has(self, job: Job) -> bool:
        """Whether the job was done."""
        return str(job) in self.row_keys


@dataclass(frozen=True, kw_only=True)
class CheckpointRows(MeasuredModel):
    """The rows of a checkpoint."""

    step: int
    epoch: float | None = None
    kind: str = "full"
    """`full` or `adapter`."""


@dataclass(frozen=True, kw_only=True)
class BaseRows(MeasuredModel):
    """The rows of the model that the fine-tune started from."""

    model: str
    """Folder or hub id."""


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
    """Why privacy was measured without the base model."""
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

    def checkpoint(self, name: str) -> CheckpointRows:
        """A checkpoint by its name.

        Raises:
            KeyError: it was not measured.
        """
        found = next((item for item in self.checkpoints if item.name == name), None)
        if found is None:
            raise KeyError(name)
        return found

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
        """The `overmem.manifest/1` record."""
        return {
            "schema": MANIFEST_SCHEMA,
            "created": self.created,
            "versions": dict(self.versions),
            "python": self.python,
            "temperatures": list(self.temperatures),
            "device": self.device,
            "dtype": self.dtype,
            **({} if self.engine is None else {"engine": dict(self.engine)}),
            "config": dict(self.config),
            "axes": list(self.axes),
            "splits": {name: _set_record(found) for name, found in self.splits.items()},
            "base": None if self.base is None else _base_record(self.base),
            "checkpoints": [_checkpoint_record(item) for item in self.checkpoints],
            "cut": {axis: dict(cut) for axis, cut in self.cut.items()},
            **({"leaves_out_chat_template": True} if self.leaves_out_chat_template else {}),
            **({} if self.base_left_out is None else {"base_left_out": self.base_left_out}),
            **({} if self.until_decided is None else {"until_decided": dict(self.until_decided)}),
            "skipped": dict(self.skipped),
            "gone": list(self.gone),
            "pending": list(self.pending),
            "carried": [_checkpoint_record(item) for item in self.carried],
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Inverse of `to_dict`.

        Raises:
            ArtifactError: a part is missing or of another kind.
        """
        try:
            made: dict[str, Any] = {
                name: value
                for name, value in record.items()
                if name in _FIELDS and value is not None and name not in _NESTED
            }
            for name in ("temperatures", "axes", "gone", "pending"):
                made[name] = tuple(made.get(name, ()))
            base = record.get("base")
            return cls(
                **made,
                splits={name: _read_set(found) for name, found in record["splits"].items()},
                base=None if base is None else _read(BaseRows, base),
                checkpoints=_read_checkpoints(record["checkpoints"]),
                carried=_read_checkpoints(record.get("carried") or ()),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ArtifactError(
                "the manifest is damaged",
                got=f"{type(error).__name__}: {error}",
                next_step="run `overmem audit` again; it measures only what is missing",
            ) from None


_FIELDS = {item.name for item in dataclasses.fields(Manifest)}
_NESTED = ("splits", "base", "checkpoints", "carried")


def read_manifest(store: Store) -> Manifest:
    """The manifest of an audited run.

    Raises:
        ArtifactError: there is none, or it is damaged or of another schema.
    """
    return Manifest.from_dict(store.read_record("manifest", MANIFEST_SCHEMA))


def write_manifest(store: Store, manifest: Manifest) -> None:
    """Save a manifest, whole or not at all."""
    store.write_record("manifest", manifest.to_dict())


T = TypeVar("T")


def _read(kind: type[T], record: Mapping[str, Any]) -> T:
    names = {item.name for item in dataclasses.fields(kind)}  # type: ignore[arg-type]
    return kind(**{name: value for name, value in record.items() if name in names})


def _read_checkpoints(records: Sequence[Mapping[str, Any]]) -> tuple[CheckpointRows, ...]:
    return tuple(_read(CheckpointRows, record) for record in records)


def _read_set(record: Mapping[str, Any]) -> MeasuredSet:
    lists = {name: tuple(record[name]) for name in ("example_ids", "example_shas")}
    return _read(MeasuredSet, {**record, **lists})


def _set_record(found: MeasuredSet) -> dict[str, Any]:
    record = {item.name: getattr(found, item.name) for item in dataclasses.fields(found)}
    lists = {name: list(record[name]) for name in ("example_ids", "example_shas")}
    return {name: value for name, value in (record | lists).items() if value is not None}


def _checkpoint_record(item: CheckpointRows) -> dict[str, Any]:
    return {
        "name": item.name,
        "step": item.step,
        "epoch": item.epoch,
        "kind": item.kind,
        "weights": item.weights,
        "row_keys": dict(item.row_keys),
        "settings": dict(item.settings),
    }


def _base_record(base: BaseRows) -> dict[str, Any]:
    return {
        "name": base.name,
        "model": base.model,
        "weights": base.weights,
        "row_keys": dict(base.row_keys),
        "settings": dict(base.settings),
    }
