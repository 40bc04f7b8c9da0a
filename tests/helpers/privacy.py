"""Likelihood rows of members and non-members whose true difference is known."""

from __future__ import annotations

import math

import polars as pl

from overmem.artifacts.evidence import Evidence
from overmem.artifacts.jobs import EARLY_TRAIN, EARLY_VAL, TRAIN_SCORES, VAL_SCORES
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
    return pl.DataFrame(rows, schema_overrides=schema)


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
