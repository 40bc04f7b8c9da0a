"""The evidence that axes are measured on: the rows of several checkpoints, brought into line.

What is compared must rest on the same problems, so each job's rows are cut down to the problems that
all of the checkpoints have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import polars as pl

from overmem.axes.kinds import Evidence, Job
from overmem.diagnosis.rows import read_job
from overmem.store import Store

IDENTITY = ["example_id", "example_sha"]


@dataclass(frozen=True)
class Place:
    """One checkpoint of one audited run."""

    store: Store
    manifest: Mapping[str, Any]
    name: str

    @property
    def record(self) -> Mapping[str, Any]:
        """The checkpoint's entry in the manifest."""
        return next(c for c in self.manifest["checkpoints"] if c["name"] == self.name)

    def jobs(self) -> set[Job]:
        """What was measured here, on the checkpoint or on the base model it came from."""
        base = self.manifest.get("base") or {"row_keys": {}}
        keys = set(self.record["row_keys"]) | set(base["row_keys"])
        return {job for job in _known_jobs(self.manifest) if str(job) in keys}

    def rows(self, job: Job) -> pl.DataFrame:
        """The rows of a job, with all their columns."""
        record = self.record if job.model == "checkpoint" else self.manifest["base"]
        return read_job(self.store, self.manifest, record, job)


def gather(places: Sequence[Place], jobs: set[Job] | None = None) -> list[Evidence]:
    """The evidence of each place, on the problems that all of them share.

    Args:
        places: checkpoints to be compared.
        jobs: only these; all that every place has, by default.
    """
    shared = set.intersection(*(place.jobs() for place in places))
    aligned: list[dict[Job, pl.DataFrame]] = [{} for _ in places]
    for job in sorted(shared if jobs is None else shared & jobs):
        tables = [place.rows(job) for place in places]
        keep = reduce(
            lambda a, b: a.join(b, on=IDENTITY, how="semi"), [t.select(IDENTITY).unique() for t in tables]
        )
        for found, table in zip(aligned, tables, strict=True):
            rows = table.join(keep, on=IDENTITY, how="semi")
            if len(rows):
                found[job] = rows.sort([c for c in ("example_id", "sample") if c in rows.columns])
    return [
        Evidence(
            rows=rows,
            texts=_texts(place),
            temperatures=tuple(place.manifest["temperatures"]),
            sources={name: split["source"] for name, split in place.manifest["splits"].items()},
        )
        for place, rows in zip(places, aligned, strict=True)
    ]


def _known_jobs(manifest: Mapping[str, Any]) -> set[Job]:
    """Every job that could be named in a manifest of these sets."""
    found = set()
    for split in manifest["splits"].values():
        for kind in ("score", "greedy", "sample", "continue"):
            for model in ("checkpoint", "base"):
                found.add(Job(kind, split["set"], split["variant"], model))
    return found


def _texts(place: Place) -> dict[str, pl.DataFrame]:
    table = place.store.read_texts()
    return {str(name): part.drop("set") for (name,), part in table.partition_by("set", as_dict=True).items()}
