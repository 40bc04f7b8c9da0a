"""The evidence that axes are measured on: the rows of several checkpoints, brought into line.

What is compared must rest on the same problems, so each job's rows are cut down to the problems that
all of the checkpoints have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, get_args

import polars as pl

from overmem.artifacts.jobs import EARLY_TRAIN, EARLY_VAL, Job, JobKind, on_base
from overmem.artifacts.manifest import Manifest
from overmem.artifacts.manifest_parts.model_rows import CheckpointRows, MeasuredModel
from overmem.artifacts.rows import GROUP, label_of, labels_in, read_job, subset
from overmem.artifacts.store import Store
from overmem.artifacts.tables import TEXTS
from overmem.errors import ArtifactError

IDENTITY = ["example_id", "example_sha", "sample"]


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """The finished rows of one checkpoint, aligned with those it is compared with."""

    rows: Mapping[Job, pl.DataFrame]
    """Rows of each job that was done, sorted by example_id (then sample); the same ids at every
    checkpoint compared."""
    texts: Mapping[str, pl.DataFrame]
    """For each set: example_id, prompt, completion, answer, of all its problems."""
    temperatures: tuple[float, ...] = ()
    """The grid of `nll_at_temperature`."""
    sources: Mapping[str, str] = field(default_factory=dict)
    """Where each set came from, as written in the configuration."""
    place: MeasuredCheckpoint | None = None
    """Where the lists of its tokens can be read."""


@dataclass(frozen=True)
class MeasuredCheckpoint:
    """One checkpoint of one audited run."""

    store: Store
    manifest: Manifest
    name: str

    @property
    def record(self) -> CheckpointRows:
        """The checkpoint's entry in the manifest."""
        return self.manifest.checkpoint(self.name)

    def jobs(self) -> set[Job]:
        """What was measured here, on the checkpoint, the base model it came from or the run's first one.

        A job counts where it has rows on the manifest's problems; an earlier audit may have had others.
        """
        return set(self._jobs)

    @cached_property
    def _jobs(self) -> set[Job]:
        return {job for job in _known_jobs(self.manifest) if self._is_there(job)}

    def rows(self, job: Job) -> pl.DataFrame:
        """The rows of a job, with all their columns but the lists of tokens.

        Raises:
            KeyError: it was not measured here.
        """
        return self._read(job, None)

    def tokens(self, job: Job, ids: Sequence[str], columns: Sequence[str]) -> pl.DataFrame:
        """The lists of tokens of some of a job's problems, sorted by example_id; they can be large.

        Args:
            job: scores of a set.
            ids: of the problems.
            columns: the lists.

        Raises:
            KeyError: it was not measured here.
        """
        return self._read(job, columns, ids)

    def settings(self, job: Job) -> str | None:
        """A short name for the settings of a job; None where an older overmem did not note them."""
        model, saved = self._saved_as(job)
        return None if model is None else model.settings.get(str(saved))

    def _is_there(self, job: Job) -> bool:
        model, saved = self._saved_as(job)
        return model is not None and model.has(saved) and len(self._read(job, ())) > 0

    def _read(
        self, job: Job, columns: Sequence[str] | None, ids: Sequence[str] | None = None
    ) -> pl.DataFrame:
        model, saved = self._saved_as(job)
        if model is None:
            raise KeyError(str(job))
        return read_job(self.store, self.manifest, model, saved, columns, ids)

    def _saved_as(self, job: Job) -> tuple[MeasuredModel | None, Job]:
        """The model whose rows a job's are, and what the job is called there."""
        if job.model == "early":
            return self.manifest.early, replace(job, model="checkpoint")
        return self.record if job.model == "checkpoint" else self.manifest.base, job


@dataclass(frozen=True)
class MeasuredBase(MeasuredCheckpoint):
    """The model that a run started from, with what was measured of it as of a checkpoint.

    What a checkpoint is compared with is there too: a job on the base model has the same rows at both.
    """

    @classmethod
    def of(cls, store: Store, manifest: Manifest) -> MeasuredBase | None:
        """The base model of an audited run; None where it was not measured."""
        return None if manifest.base is None else cls(store, manifest, manifest.base.name)

    def _saved_as(self, job: Job) -> tuple[MeasuredModel | None, Job]:
        """Jobs of a checkpoint are the base model's own here."""
        if job.model == "checkpoint":
            return self.manifest.base, on_base(job)
        return super()._saved_as(job)


def align_evidence(
    places: Sequence[MeasuredCheckpoint], jobs: set[Job] | None = None, *, all_train: bool = False
) -> list[Evidence]:
    """The evidence of each place, on the problems (and the number of samples) that all of them share.

    Runs may have been trained on different data, so training problems are shared within a run only, and so
    are the answers of one of its checkpoints.

    Args:
        places: checkpoints to be compared.
        jobs: only these; all that every place has, by default. Samples drawn at different temperatures,
            and in one run rows of different settings, are left out.
        all_train: every training row that was measured, where that is more than val has problems; figures
            are made of a random subset as large as val, the same as where no others were measured.
    """
    shared = set.intersection(*(place.jobs() for place in places))
    aligned: list[dict[Job, pl.DataFrame]] = [{} for _ in places]
    for job in sorted(shared if jobs is None else shared & jobs):
        tables = [place.rows(job) for place in places]
        if job.set == "train" and not all_train:
            tables = [_as_many_as_val(place, rows) for place, rows in zip(places, tables, strict=True)]
        if not _sampled_alike(tables) or settings_differ(places, job):
            continue
        runs = [place.store.root if job.set in ("train", "answers") else None for place in places]
        for run in dict.fromkeys(runs):
            same = [i for i, other in enumerate(runs) if other == run]
            for i, rows in zip(same, _aligned([tables[i] for i in same]), strict=True):
                if len(rows):
                    aligned[i][job] = rows
    texts = {place.store.root: _all_texts(place) for place in places}
    return [
        Evidence(
            rows=rows,
            texts={} if (own := texts[place.store.root]) is None else _texts(place, rows, own),
            temperatures=place.manifest.temperatures,
            sources={name: split.source for name, split in place.manifest.splits.items()},
            place=place,
        )
        for place, rows in zip(places, aligned, strict=True)
    ]


def _as_many_as_val(place: MeasuredCheckpoint, rows: pl.DataFrame) -> pl.DataFrame:
    manifest = place.manifest
    ids = manifest.splits["train"].example_ids
    kept = subset(ids, manifest.val.n, manifest.config.get("seed", 0))
    return rows.filter(pl.col("example_id").is_in([ids[position] for position in kept]))


def _aligned(tables: Sequence[pl.DataFrame]) -> list[pl.DataFrame]:
    """The rows of each table whose problem (and sample) all of them have, in one order."""
    name = [column for column in IDENTITY if column in tables[0].columns]
    keep = tables[0].select(name).unique()
    for table in tables[1:]:
        keep = keep.join(table, on=name, how="semi")
    order = [column for column in ("example_id", "sample") if column in name]
    return _grouped_alike([table.join(keep, on=name, how="semi").sort(order) for table in tables])


def _grouped_alike(tables: Sequence[pl.DataFrame]) -> list[pl.DataFrame]:
    """The rows with the same groups in all tables: where audits differ, what is one in any is one."""
    known = [labels for table in tables if (labels := labels_in(table)) is not None]
    if not known or (len(known) == len(tables) and all(labels == known[0] for labels in known)):
        return list(tables)
    labels = joined_labels(known)
    return [
        table.drop(GROUP, strict=False).with_columns(label_of(table["example_id"], labels))
        for table in tables
    ]


def joined_labels(known: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Labels of problems by id, equal where any of some mappings has equal ones, also by way of others."""
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for labels in known:
        first: dict[str, str] = {}
        for name, label in labels.items():
            parent[root(name)] = root(first.setdefault(label, name))
    return {name: root(name) for name in parent}


def _sampled_alike(tables: Sequence[pl.DataFrame]) -> bool:
    """Whether answers were drawn at one temperature; what is drawn at another is not comparable."""
    if "temperature" not in tables[0].columns:
        return True
    return len({heat for table in tables for heat in table["temperature"].unique().to_list()}) <= 1


def settings_differ(places: Sequence[MeasuredCheckpoint], job: Job) -> bool:
    """Whether checkpoints of one run have rows of a job under different settings (dtype, longest answer).

    Args:
        places: that have the job.
        job: what was done.
    """
    settings: dict[Any, set[str]] = {}
    for place in places:
        if (known := place.settings(job)) is not None:
            settings.setdefault(place.store.root, set()).add(known)
    return any(len(found) > 1 for found in settings.values())


def _known_jobs(manifest: Manifest) -> set[Job]:
    """Every job that could be named in a manifest of these sets."""
    found = {job for job in (EARLY_TRAIN, EARLY_VAL) if job.data in manifest.splits}
    for split in manifest.splits.values():
        for kind in get_args(JobKind):
            for model in ("checkpoint", "base"):
                found.add(Job(kind, split.set, split.variant, model))
    return found


def _all_texts(place: MeasuredCheckpoint) -> pl.DataFrame | None:
    """The texts of an audit; None of imported results that came without."""
    if place.manifest.imported is not None and not place.store.has_texts():
        return None
    return place.store.read_texts()


def _texts(
    place: MeasuredCheckpoint, rows: Mapping[Job, pl.DataFrame], table: pl.DataFrame
) -> dict[str, pl.DataFrame]:
    """The texts of each set; those of every problem that has rows must be there."""
    found = {str(name): part.drop("set") for (name,), part in table.partition_by("set", as_dict=True).items()}
    for job, measured in rows.items():
        if job.data != job.set or job.set not in place.manifest.splits:
            continue  # what an audit asks of itself, and other words for the same problems
        own = found.get(job.set, table.clear())
        if job.kind == "score":
            own = own.filter(pl.col("completion").is_not_null())
        lacking = set(measured["example_id"]) - set(own["example_id"])
        if lacking:
            raise ArtifactError(
                f"{place.store.root / TEXTS} lacks the texts of {job.set}",
                got=f"none of {min(lacking)!r}, which has rows",
                next_step="run `overmem audit` again, as before: it writes them anew",
            )
    return found
