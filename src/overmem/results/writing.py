"""Write results into a run's artifacts, as rows and a manifest that every other stage reads.

Rows are named by their content, so the same import twice writes nothing new, and the manifest is written
last: until then the artifacts say what they said before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import polars as pl

from overmem.artifacts.jobs import VAL_ANSWERS, VAL_SCORES, Job
from overmem.artifacts.manifest import Manifest, read_manifest, write_manifest
from overmem.artifacts.manifest_parts.imported import Imported
from overmem.artifacts.manifest_parts.measured_sets import MeasuredSet
from overmem.artifacts.manifest_parts.model_rows import (
    BaseRows,
    CheckpointRows,
    FolderFingerprint,
    MeasuredModel,
)
from overmem.artifacts.store import Store
from overmem.artifacts.tables import TEXTS, Rows
from overmem.checkpoints import has_weights
from overmem.errors import ArtifactError
from overmem.fingerprints import sampled_fingerprint
from overmem.formatting import shell_word
from overmem.results.matching import Named
from overmem.results.pairing import Paired
from overmem.serialization import settings_key


def check_writable(store: Store) -> None:
    """Refuse artifacts that an audit measured: an import would take their place.

    Raises:
        ArtifactError: so it is.
    """
    if store.has_record("manifest") and read_manifest(store).imported is None:
        raise ArtifactError(
            f"{store.root} holds an audit, which an import would replace",
            expected="a folder without one",
            next_step=f"write elsewhere: --out {shell_word(store.root.with_name('imported'))}",
        )


def write_results(store: Store, named: Mapping[str, Named], paired: Paired, imported: Imported) -> Manifest:
    """Write rows, texts and manifest.

    Args:
        store: the run's artifacts.
        named: the checkpoints, and the base model.
        paired: their results.
        imported: where they come from.

    Raises:
        OvermemError: the artifacts are those of an audit, in use or damaged.
    """
    with store.locked():
        check_writable(store)
        previous = read_manifest(store) if store.has_record("manifest") else None
        models = [_model(store, item, paired, imported) for item in named.values()]
        manifest = Manifest(
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            versions={"overmem": version("overmem"), **_tool_version(imported)},
            axes=("accuracy", "likelihood") if paired.has_likelihood else ("accuracy",),
            splits={"val": _described(paired, imported)},
            base=next((model for model in models if isinstance(model, BaseRows)), None),
            checkpoints=tuple(model for model in models if isinstance(model, CheckpointRows)),
            imported=imported,
        )
        _write_texts(store, paired)
        write_manifest(store, manifest)
        store.remove_record("verdict")
        if previous is not None:
            _drop_old(store, previous, manifest)
    return manifest


def _tool_version(imported: Imported) -> dict[str, str]:
    return {imported.tool: imported.version} if imported.version else {}


def _model(store: Store, named: Named, paired: Paired, imported: Imported) -> MeasuredModel:
    """The rows of one model, saved, and what the manifest says of them."""
    row_keys = {}
    if paired.rows:
        table = paired.rows[named.name]
        row_keys[str(VAL_ANSWERS)] = _save(store, named.name, VAL_ANSWERS, _answers(table, imported))
        if paired.has_likelihood:
            row_keys[str(VAL_SCORES)] = _save(store, named.name, VAL_SCORES, _scores(table))
    weights, folders = f"imported:{settings_key({'of': named.name, **row_keys})}", ()
    if named.path is not None and has_weights(named.path):
        weights = sampled_fingerprint(named.path)
        # Of every byte nothing is noted: reading all weights would take longer than all else here.
        folders = (FolderFingerprint(folder=".", full="", sampled=weights),)  # type: ignore[assignment]
    settings = dict.fromkeys(row_keys, f"{imported.tool} {imported.metric}")
    common: dict[str, Any] = {
        "name": named.name,
        "weights": weights,
        "folders": folders,
        "row_keys": row_keys,
        "settings": settings,
    }
    if named.base is not None:
        return BaseRows(model=named.base, **common)
    return CheckpointRows(step=named.step, epoch=named.epoch, kind=named.kind, **common)


def _save(store: Store, name: str, job: Job, rows: Sequence[Mapping[str, Any]]) -> str:
    """Save rows under a key of their content; the key."""
    key = settings_key({"imported": str(job), "rows": [list(row.values()) for row in rows]})
    table: Rows = job.table
    if len(store.read_rows(name, table, key, columns=())) != len(rows):
        store.append_rows(name, table, [{"row_key": key, "split": "val", **row} for row in rows])
        store.compact_parts(name, table)
    return key


def _answers(table: pl.DataFrame, imported: Imported) -> list[dict[str, Any]]:
    return [
        {
            "example_id": row["id"],
            "example_sha": row["sha"] or "",
            "variant": "clean",
            "sample": 0,
            "temperature": 0.0,
            "text": row["text"] or "",
            "correct": row["correct"],
            "grader": f"{imported.tool}:{imported.metric}",
            "n_tokens": 0,
            "finished": True,
        }
        for row in table.iter_rows(named=True)
    ]


def _scores(table: pl.DataFrame) -> list[dict[str, Any]]:
    return [
        {
            "example_id": row["id"],
            "example_sha": row["sha"] or "",
            "n_tokens": row["n_tokens"],
            "nll_nats": row["nll_nats"],
        }
        for row in table.iter_rows(named=True)
    ]


def _described(paired: Paired, imported: Imported) -> MeasuredSet:
    """The problems, in the order of their ids."""
    first = next(iter(paired.rows.values()), None)
    ids = tuple(first["id"]) if first is not None else ()
    shas = tuple(sha or "" for sha in first["sha"]) if first is not None else ()
    groups = None
    if first is not None and first["group"].null_count() < len(first):
        labels = zip(first["id"], first["group"], strict=True)
        groups = tuple(f"alone {name}" if label is None else f"group {label}" for name, label in labels)
    return MeasuredSet(
        set="val",
        variant="clean",
        source=f"{imported.tool}: {imported.task}",
        shape=f"results of {imported.tool}",
        grader=f"{imported.tool}:{imported.metric}",
        n=len(ids) or max(score.n for score in paired.scores.values()),
        fingerprint=settings_key({"task": imported.task, "ids": ids, "shas": shas}),
        example_ids=ids,
        example_shas=shas,
        groups=groups,
        grouped_by=None if groups is None else "column group",
    )


def _write_texts(store: Store, paired: Paired) -> None:
    """The problems' texts, where the tool kept them; those of another import are not left."""
    (store.root / TEXTS).unlink(missing_ok=True)
    first = next(iter(paired.rows.values()), None)
    if first is None or first["prompt"].null_count() or first["completion"].null_count():
        return
    columns = [pl.lit("val").alias("set"), pl.col("id").alias("example_id")]
    store.write_texts(first.select(*columns, "prompt", "completion", "answer"))


def _drop_old(store: Store, previous: Manifest, manifest: Manifest) -> None:
    """Remove the rows of an earlier import that no manifest names any more."""
    kept = {(model.name, key) for model in _models(manifest) for key in model.row_keys.values()}
    for model in _models(previous):
        for job, key in model.row_keys.items():
            if (model.name, key) not in kept:
                store.drop_rows(model.name, "likelihood" if job == str(VAL_SCORES) else "generations", key)


def _models(manifest: Manifest) -> list[MeasuredModel]:
    return [*manifest.checkpoints, *([manifest.base] if manifest.base is not None else [])]
