"""The rows of val at every checkpoint, with the texts that were kept: what every export is of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from overmem.artifacts.jobs import VAL_ANSWERS, VAL_SCORES
from overmem.artifacts.manifest import Manifest
from overmem.artifacts.manifest_parts.model_rows import MeasuredModel
from overmem.artifacts.rows import read_job
from overmem.artifacts.store import Store
from overmem.errors import ArtifactError

TEXT_COLUMNS = ("prompt", "completion", "answer", "text")


@dataclass(frozen=True, kw_only=True)
class Exported:
    """One model's rows on val."""

    model: MeasuredModel
    rows: pl.DataFrame
    """example_id, example_sha, correct, nll_nats, n_tokens, prompt, completion, answer, text; what was not
    measured is null."""


def read_exported(store: Store, manifest: Manifest) -> list[Exported]:
    """The rows of every checkpoint, and of the base model under its own name.

    Problems that the audit left out are not there.

    Args:
        store: the run's artifacts.
        manifest: of a finished audit, or of an import.

    Raises:
        ArtifactError: no row was measured on val, or shares alone were imported.
    """
    models: list[MeasuredModel] = [*manifest.checkpoints]
    own = {model.name for model in models}
    models += [manifest.base] if manifest.base is not None and manifest.base.name not in own else []
    texts = _texts(store)
    found = [Exported(model=model, rows=_rows(store, manifest, model, texts)) for model in models]
    found = [item for item in found if len(item.rows)]
    if not found:
        raise ArtifactError(
            f"{store.root} has no row on val to export",
            expected="an audit, or imported samples",
            next_step="run `overmem audit` first",
        )
    return found


def _rows(store: Store, manifest: Manifest, model: MeasuredModel, texts: pl.DataFrame | None) -> pl.DataFrame:
    key = ["example_id", "example_sha"]
    parts = []
    if model.has(VAL_SCORES):
        table = read_job(store, manifest, model, VAL_SCORES, ("n_tokens", "nll_nats"))
        parts.append(table.select(*key, "n_tokens", "nll_nats"))
    if model.has(VAL_ANSWERS):
        table = read_job(store, manifest, model, VAL_ANSWERS, ("correct", "text"))
        parts.append(table.select(*key, "correct", "text"))
    schema: dict[str, Any] = {"example_id": pl.String, "example_sha": pl.String}
    rows = parts[0] if parts else pl.DataFrame(schema=schema)
    for part in parts[1:]:
        rows = rows.join(part, on=key, how="full", coalesce=True)
    if texts is not None:
        rows = rows.join(texts, on="example_id", how="left")
    kinds = {"correct": pl.Float64, "nll_nats": pl.Float64, "n_tokens": pl.Int64}
    kinds |= dict.fromkeys(TEXT_COLUMNS, pl.String)  # type: ignore[arg-type]
    missing = [pl.lit(None, kind).alias(name) for name, kind in kinds.items() if name not in rows.columns]
    return rows.with_columns(missing).select(*key, *kinds).sort("example_id")


def _texts(store: Store) -> pl.DataFrame | None:
    if not store.has_texts():
        return None
    return store.read_texts().filter(set="val").select("example_id", "prompt", "completion", "answer")
