"""Problems that stand for one another, as the measures made of their rows count them: drawn together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import polars as pl

from overmem.artifacts.evidence import Evidence
from overmem.artifacts.jobs import OOD, Job
from overmem.artifacts.rows import labels_in
from overmem.stats.groups import Groups
from overmem.stats.measures import Measure

OF_VAL = ("val", "answers")
"""Sets whose rows are on val's problems."""
OF_TRAIN = ("train",)


def groups_in(rows: pl.DataFrame) -> Groups | None:
    """The groups of the problems of some rows, in their order; None where each problem stands alone."""
    labels = labels_in(rows)
    return None if labels is None else Groups.of(labels.values())


def with_groups(measure: Measure, evidence: Evidence) -> Measure:
    """A measure whose problems of val and of OOD sets, and training rows, are drawn in their groups.

    Args:
        measure: made of the evidence.
        evidence: whose rows say the groups.
    """
    found = {}
    for population, size in measure.sizes.items():
        set_name, _, kind = population.partition(":")
        groups = next(
            (_of_size(evidence.rows, same, kind, size) for same in (OF_VAL, OF_TRAIN) if set_name in same),
            None,
        )
        if set_name.startswith(OOD):
            groups = _of_set(evidence.rows, set_name)
        if groups is not None:
            found[population] = groups
    return replace(measure, groups={**measure.groups, **found}) if found else measure


def _of_set(rows: Mapping[Job, pl.DataFrame], name: str) -> Groups | None:
    """The groups of all problems of a set, sorted by id, as the figures of OOD sets list them."""
    tables = [table for job, table in rows.items() if job.set == name]
    labels = {key: label for table in tables for key, label in (labels_in(table) or {}).items()}
    ids = sorted({key for table in tables for key in table["example_id"].to_list()})
    return Groups.of(labels.get(key, key) for key in ids) if labels else None


def _of_size(rows: Mapping[Job, pl.DataFrame], sets: Sequence[str], kind: str, size: int) -> Groups | None:
    """The groups of as many problems of some sets, of the rows of this kind of work first."""
    for job in sorted((job for job in rows if job.set in sets), key=lambda job: (job.kind != kind, job)):
        groups = groups_in(rows[job])
        if groups is not None and groups.index_N.size == size:
            return groups
    return None
