"""Problems that stand for one another, as the measures made of their rows count them: drawn together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import polars as pl

from overmem.artifacts.evidence import Evidence
from overmem.artifacts.jobs import Job
from overmem.artifacts.rows import labels_in
from overmem.stats.groups import Groups
from overmem.stats.measures import Measure

OF_VAL = ("val", "answers")
"""Sets whose rows are on val's problems, which are those that can be grouped."""


def groups_in(rows: pl.DataFrame) -> Groups | None:
    """The groups of the problems of some rows, in their order; None where each problem stands alone."""
    labels = labels_in(rows)
    return None if labels is None else Groups.of(labels.values())


def with_groups(measure: Measure, evidence: Evidence) -> Measure:
    """A measure whose problems of val are drawn in their groups.

    Args:
        measure: made of the evidence.
        evidence: whose rows of val say the groups.
    """
    found = {}
    for population, size in measure.sizes.items():
        set_name, _, kind = population.partition(":")
        if set_name in OF_VAL and (groups := _of_size(evidence.rows, kind, size)) is not None:
            found[population] = groups
    return replace(measure, groups={**measure.groups, **found}) if found else measure


def _of_size(rows: Mapping[Job, pl.DataFrame], kind: str, size: int) -> Groups | None:
    """The groups of as many problems, of the rows of this kind of work first."""
    for job in sorted(rows, key=lambda job: (job.kind != kind, job)):
        groups = groups_in(rows[job])
        if groups is not None and groups.index_N.size == size:
            return groups
    return None
