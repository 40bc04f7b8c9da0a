"""Find the rows that a manifest describes.

Readers name what they want by its job; the manifest says under which settings it was measured and on
which problems, so rows of other settings or other data never slip in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from overmem.artifacts.jobs import VAL_ANSWERS, VAL_SCORES, Job
from overmem.artifacts.manifest import Manifest
from overmem.artifacts.manifest_parts.model_rows import CheckpointRows, MeasuredModel
from overmem.artifacts.store import Store
from overmem.artifacts.tables import WITHOUT_TOKENS
from overmem.errors import ArtifactError

FloatArray = npt.NDArray[np.float64]
GROUP = "group"
"""Column of the label of a problem's group; only where some problems of the set stand for one another."""


def read_job(
    store: Store,
    manifest: Manifest,
    model: MeasuredModel,
    job: Job,
    columns: Sequence[str] | None = None,
    ids: Sequence[str] | None = None,
) -> pl.DataFrame:
    """The rows of one job at one checkpoint, sorted by example (and sample); problems left out are not there.

    Where the manifest groups the problems, each row has the label of its problem's group in `group`.

    Args:
        store: the run's artifacts.
        manifest: the record that describes them.
        model: a checkpoint of the manifest, or its base model.
        job: what was done.
        columns: read only these beside the identity; all but the lists of tokens by default.
        ids: only rows of these problems.

    Raises:
        ArtifactError: the manifest does not know the problems, or a file is damaged.
    """
    if job.data not in manifest.splits:
        raise ArtifactError(
            f"the manifest in {store.root} has rows of `{job}` and not their problems",
            got=", ".join(manifest.splits),
            next_step="run `overmem audit` again; it measures only what is missing",
        )
    split = manifest.splits[job.data]
    wanted = WITHOUT_TOKENS[job.table] if columns is None else columns
    table = store.read_rows(model.name, job.table, model.row_keys[str(job)], wanted, ids)
    _check_temperatures(table, manifest, model)
    keep = pl.DataFrame({"example_id": split.example_ids, "example_sha": split.example_shas})
    keep = keep.filter(~pl.col("example_id").is_in(list(manifest.left_out_of(job.set))))
    found = table.filter(pl.col("split") == job.set).join(keep, on=["example_id", "example_sha"], how="semi")
    _check_graded(found, store, model)
    if labels := manifest.groups_of(job.set):
        found = found.with_columns(label_of(found["example_id"], labels))
    return found.sort("example_id", "sample") if "sample" in found.columns else found.sort("example_id")


def label_of(ids: pl.Series, labels: Mapping[str, str]) -> pl.Series:
    """The label of each problem's group, a problem without one being its own."""
    return pl.Series(GROUP, [labels.get(name, name) for name in ids], dtype=pl.String)


def labels_in(rows: pl.DataFrame) -> dict[str, str] | None:
    """The label of each problem's group by its id, in the order of the rows; None where rows have none."""
    if GROUP not in rows.columns:
        return None
    return dict(rows.select("example_id", GROUP).iter_rows())


def _check_temperatures(table: pl.DataFrame, manifest: Manifest, model: MeasuredModel) -> None:
    """Refuse NLLs at other temperatures than the manifest's."""
    if "nll_at_temperature" not in table.columns:
        return
    lengths = table["nll_at_temperature"].drop_nulls().list.len()
    if (lengths != len(manifest.temperatures)).any():
        raise ArtifactError(
            f"the rows of {model.name} are not at the temperatures of their manifest",
            got=f"{lengths.min()!r} a row",
            expected=f"{len(manifest.temperatures)}",
            next_step="run `overmem audit` again; it measures only what is missing",
        )


def _check_graded(table: pl.DataFrame, store: Store, model: MeasuredModel) -> None:
    """Refuse answers of which some are graded and some are not: an audit grades all of a set, or none."""
    ungraded = table["correct"].null_count() if "correct" in table.columns else 0
    if 0 < ungraded < len(table):
        raise ArtifactError(
            f"some answers of {model.name} in {store.root} are not graded",
            got=f"{ungraded} of {len(table)} without `correct`",
            next_step="run `overmem audit` again; it grades saved answers anew",
        )


def subset(ids: Sequence[str], limit: int | None, seed: int) -> list[int]:
    """Positions of a random subset, in order; subsets of one seed are nested, whatever the set."""
    if limit is None or limit >= len(ids):
        return list(range(len(ids)))
    order = sorted(range(len(ids)), key=lambda i: hashlib.sha256(f"{seed}/{ids[i]}".encode()).digest())
    return sorted(order[:limit])


@dataclass(frozen=True)
class Core:
    """What the rule judges: the problems measured at every checkpoint.

    Shape suffixes: C checkpoints, N problems.
    """

    ids: tuple[str, ...]
    """Of the N problems, sorted."""
    shas: tuple[str, ...]
    """Of what each problem was as tokens: an id alone may be another problem in another run."""
    correct_C_N: FloatArray
    nll_nats_C_N: FloatArray
    n_tokens_N: FloatArray
    group_N: tuple[str, ...] | None = None
    """Label of each problem, equal for those that stand for one another; None where each stands alone."""


def read_core(store: Store, manifest: Manifest) -> Core:
    """Likelihood and accuracy of all checkpoints on the problems they share.

    Raises:
        ArtifactError: no problem was measured at every checkpoint.
    """
    tables = [_core_rows(store, manifest, checkpoint) for checkpoint in manifest.checkpoints]
    shared = set.intersection(*(set(table["example_id"]) for table in tables))
    if not shared:
        raise ArtifactError(
            f"the audit in {store.root} has no problem measured at every checkpoint",
            next_step="run `overmem audit` again; it continues where it stopped",
        )
    ids = sorted(shared)
    aligned = [table.filter(pl.col("example_id").is_in(ids)).sort("example_id") for table in tables]
    return Core(
        ids=tuple(ids),
        shas=tuple(aligned[0]["example_sha"]),
        correct_C_N=np.stack([table["correct"].to_numpy() for table in aligned]),
        nll_nats_C_N=np.stack([table["nll_nats"].to_numpy() for table in aligned]),
        n_tokens_N=aligned[0]["n_tokens"].to_numpy().astype(np.float64),
        group_N=None if (labels := labels_in(aligned[0])) is None else tuple(labels.values()),
    )


def _core_rows(store: Store, manifest: Manifest, checkpoint: CheckpointRows) -> pl.DataFrame:
    """One row a val problem: example_id, example_sha, nll_nats, n_tokens, correct."""
    likelihood = read_job(store, manifest, checkpoint, VAL_SCORES, ("n_tokens", "nll_nats"))
    answers = read_job(store, manifest, checkpoint, VAL_ANSWERS, ("correct",))
    return likelihood.drop("row_key", "split", strict=False).join(
        answers.select("example_id", "correct"), on="example_id", how="inner"
    )
