"""The manifest of an audit: what was measured, on which problems, with which versions; the map to the rows.

Every other module reads a manifest as this record. `Manifest.from_dict` takes what an older overmem has not
written; `to_dict` gives back what was read, key by key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

from overmem.artifacts.jobs import BASE_ANSWERS, Job
from overmem.artifacts.manifest_parts.imported import Imported
from overmem.artifacts.manifest_parts.measured_sets import MeasuredSet
from overmem.artifacts.manifest_parts.model_rows import BaseRows, CheckpointRows
from overmem.artifacts.manifest_parts.plain_parts import check_plain_parts
from overmem.errors import ArtifactError, RunError
from overmem.formatting import engine_text
from overmem.records import to_plain
from overmem.serialization import FieldError, from_plain, settings_key

if TYPE_CHECKING:
    from overmem.artifacts.store import Store

MANIFEST_SCHEMA = "overmem.manifest/1"
_AGAIN = "move manifest.json away and run `overmem audit` again; it measures only what is missing"


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What an audit measured."""

    created: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    python: str = ""
    temperatures: tuple[float, ...] = ()
    """The grid of `nll_at_temperature`."""
    device: str = ""
    dtype: str = ""
    quantization: str = ""
    """Of the weights that were measured, such as `bitsandbytes 4 bit`; empty where they were floats."""
    engine: Mapping[str, Any] | None = None
    """How answers were asked for, where a server wrote them."""
    imported: Imported | None = None
    """Where the rows come from, when another tool measured them; None of an audit."""
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

    def check_read(self) -> None:
        """Refuse a manifest whose parts do not agree.

        Raises:
            FieldError: the first of them.
        """
        if "val" not in self.splits:
            raise FieldError("splits.val", "is missing", None, "the problems that decide")
        check_plain_parts(
            cut=self.cut, until_decided=self.until_decided, engine=self.engine, config=self.config
        )
        names = [checkpoint.name for checkpoint in self.checkpoints]
        for i, name in enumerate(names):
            if names.index(name) != i:
                raise FieldError(f"checkpoints.{i}.name", "stands there twice", name, "names")

    @property
    def val(self) -> MeasuredSet:
        """The problems that decide."""
        return self.splits["val"]

    @property
    def precision(self) -> str:
        """Of the model in memory: `float32`, or `bfloat16, weights in bitsandbytes 4 bit`."""
        parts = [self.dtype or "unknown precision"]
        parts += [f"weights in {self.quantization}"] if self.quantization else []
        return ", ".join(parts)

    @property
    def measured_in(self) -> str:
        """Precision of the model in memory, and what an engine did: `float32, answers by vLLM 0.14`."""
        parts = [self.precision]
        if self.engine:
            what = "references and answers" if self.config.get("engine_scores") else "answers"
            parts.append(f"{what} by {engine_text(self.engine)}")
        return ", ".join(parts)

    @property
    def asked_val(self) -> int:
        """Val problems that were asked for, after the limit."""
        return min(self.config.get("limit") or self.val.n, self.val.n)

    @property
    def sample_temperature(self) -> float:
        """At which several answers to one problem were drawn.

        Raises:
            ArtifactError: the manifest does not say.
        """
        if "temperature" not in self.config:
            raise ArtifactError(
                "the manifest does not say at which temperature answers were drawn", next_step=_AGAIN
            )
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
        return self.left_out.get(_asked(set_name), ())

    def groups_of(self, set_name: str) -> Mapping[str, str]:
        """Label of each problem of a set by its id; empty where each stands alone."""
        found = self.splits.get(_asked(set_name))
        if found is None or found.groups is None:
            return {}
        return dict(zip(found.example_ids, found.groups, strict=True))

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
        unused = [name for name in _LEFT_OUT if plain[name] in (None, False, {}, "")]
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
        return from_plain(cls, record, what="the manifest is damaged", next_step=_AGAIN)


def _asked(set_name: str) -> str:
    """The set whose problems a set's rows are on: answers to val are on val's."""
    asked = set_name.removeprefix(BASE_ANSWERS)
    return "val" if asked == "answers" else asked


_LEFT_OUT = (
    "quantization",
    "engine",
    "imported",
    "leaves_out_chat_template",
    "base_left_out",
    "left_out",
    "until_decided",
)
"""Parts that are written only where they say something."""


def read_manifest(store: Store) -> Manifest:
    """The manifest of an audited run.

    Raises:
        ArtifactError: there is none, or it is damaged or of another schema.
    """
    return Manifest.from_dict(store.read_record("manifest", MANIFEST_SCHEMA))


def read_audited(store: Store) -> Manifest:
    """The manifest of an audit, by which more can be measured; imported results do not say how they were.

    Raises:
        ArtifactError: as `read_manifest`.
        RunError: the results were imported.
    """
    manifest = read_manifest(store)
    if manifest.imported is not None:
        raise RunError(
            "these results were imported: nothing says how to measure more like them",
            got=f"results of {manifest.imported.tool} in {store.root}",
            next_step="run `overmem audit` into another folder (--out), and go on from that",
        )
    return manifest


def write_manifest(store: Store, manifest: Manifest) -> None:
    """Save a manifest, whole or not at all."""
    store.write_record("manifest", manifest.to_dict())
