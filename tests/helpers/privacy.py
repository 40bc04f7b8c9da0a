"""Likelihood rows of members and non-members whose true difference is known."""

from __future__ import annotations

import math

import polars as pl

from overmem.artifacts.evidence import Evidence
from overmem.artifacts.jobs import EARLY_TRAIN, EARLY_VAL, TRAIN_SCORES, VAL_SCORES
from overmem.artifacts.manifest import Manifest, write_manifest
from overmem.artifacts.manifest_parts.measured_sets import MeasuredSet
from overmem.artifacts.manifest_parts.model_rows import CheckpointRows
from overmem.artifacts.store import Store
from overmem.artifacts.tables import SCHEMAS
from overmem.artifacts.token_sums import with_sums
from overmem.axes.privacy.figures import BASE_TRAIN, BASE_VAL


def score_rows(rng, prefix, size, *, gain=0.0, shortest=20, longest=60):
    """Likelihood rows; `gain` nats a token more probable."""
    rows = []
    for i in range(size):
        length = int(rng.integers(shortest, longest))
        logprob = -rng.exponential(0.5, size=length) * math.exp(-gain)
        rows.append(
            {
                "example_id": f"{prefix}{i:04d}",
                "n_tokens": length,
                "nll_nats": float(-logprob.sum()),
                "logprob": logprob.tolist(),
                "mu": (-rng.exponential(0.5, size=length)).tolist(),
                "sigma": rng.uniform(0.5, 1, size=length).tolist(),
            }
        )
    schema = {"logprob": pl.List(pl.Float32), "mu": pl.List(pl.Float32), "sigma": pl.List(pl.Float32)}
    return with_sums(pl.DataFrame(rows, schema_overrides=schema))


def texts_of(rows):
    return rows.select(
        "example_id",
        prompt=pl.lit("Q"),
        completion=pl.concat_str(pl.lit("so "), "example_id", pl.lit(" apples")),
        answer=pl.lit("1"),
    )


def evidence_of(train, val, *, base=None, early=None, sources=None):
    rows = {TRAIN_SCORES: train, VAL_SCORES: val}
    if base is not None:
        rows |= {BASE_TRAIN: base[0], BASE_VAL: base[1]}
    if early is not None:
        rows |= {EARLY_TRAIN: early[0], EARLY_VAL: early[1]}
    return Evidence(rows=rows, texts={"train": texts_of(train), "val": texts_of(val)}, sources=sources or {})


def planted(rng, *, members=150, nonmembers=120, with_base=True):
    train, val = score_rows(rng, "t", members, gain=0.5), score_rows(rng, "v", nonmembers)
    if not with_base:
        return evidence_of(train, val)
    base = [rows.with_columns(nll_nats=rows["n_tokens"] * 0.55) for rows in (train, val)]
    return evidence_of(train, val, base=base)


def planted_early(rng, *, members=240, nonmembers=240, gain=0.03):
    """Rows as hard as they were early on, but for members, which are a little easier than that."""
    train, val = score_rows(rng, "t", members), score_rows(rng, "v", nonmembers)
    early = [
        rows.with_columns(nll_nats=rows["nll_nats"] + rows["n_tokens"] * rng.normal(more, 0.01, len(rows)))
        for rows, more in ((train, gain), (val, 0.0))
    ]
    return evidence_of(train, val, early=early)


def saved_set(name, rows, source):
    ids = tuple(rows["example_id"])
    return MeasuredSet(
        set=name,
        variant="clean",
        source=source,
        shape="prompt/completion",
        grader="none",
        n=len(ids),
        fingerprint=name,
        example_ids=ids,
        example_shas=ids,
    )


def write_audit(folder, rng, gains, *, source="train.jsonl", config=None):
    """An audited run without models; rows become easier by `gains[step][set]`, nats a token of each row.

    Returns its folder, its store and its manifest.
    """
    store = Store.of_run(folder)
    sizes = next(iter(gains.values()))
    sets = {name: score_rows(rng, name[0], len(sizes[name])) for name in ("train", "val")}
    jobs = {"train": TRAIN_SCORES, "val": VAL_SCORES}
    checkpoints = []
    for step, gain in gains.items():
        for name, rows in sets.items():
            batch = rows.with_columns(
                row_key=pl.lit(f"{name}-{step}"),
                split=pl.lit(name),
                example_sha=pl.col("example_id"),
                nll_nats=pl.col("nll_nats") - pl.col("n_tokens") * pl.Series(gain[name]),
                is_top1=pl.col("logprob").list.eval(pl.element() > -0.5),
                top1_logprob=pl.col("logprob"),
            )
            empty = {column: None for column in SCHEMAS["likelihood"] if column not in batch.columns}
            filled = [row | empty for row in batch.iter_rows(named=True)]
            store.append_rows(f"checkpoint-{step}", "likelihood", filled)
        row_keys = {str(job): f"{name}-{step}" for name, job in jobs.items()}
        checkpoints.append(
            CheckpointRows(name=f"checkpoint-{step}", step=step, weights=str(step), row_keys=row_keys)
        )
    store.write_texts(
        pl.concat([texts_of(rows).select(pl.lit(name).alias("set"), pl.all()) for name, rows in sets.items()])
    )
    splits = {
        "train": saved_set("train", sets["train"], source),
        "val": saved_set("val", sets["val"], "val.jsonl"),
    }
    manifest = Manifest(splits=splits, checkpoints=tuple(checkpoints), config=config or {})
    write_manifest(store, manifest)
    return folder, store, manifest
