"""Attacks: a score of every completion, higher for "more likely trained on" (membership inference).

Shape suffixes: N problems of one set.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import numpy as np
import polars as pl

from overmem.stats.arrays import FloatArray


def attack_scores(
    rows: pl.DataFrame, texts: pl.DataFrame, references: Mapping[str, pl.DataFrame]
) -> dict[str, FloatArray]:
    """The score of every example under every attack, higher for "more likely a member".

    Args:
        rows: likelihood rows of one set under the checkpoint.
        texts: the set's example_id and completion.
        references: its likelihood rows under other models, by the name of the attack that compares with
            them: `early`, the run's first checkpoint, and `base`, the model that the fine-tune started from.

    Returns:
        Scores by attack, in the order of `rows`; NaN where an example has no text or no row of the reference.
    """
    nll_N = rows["nll_nats"].to_numpy()
    tokens_N = rows["n_tokens"].to_numpy().astype(float)
    completions = _joined(rows, texts, "completion").to_list()
    scores = {
        "loss": loss_score(nll_N, tokens_N),
        "zlib": np.array(
            [
                float("nan") if text is None else zlib_score(nll, text)
                for nll, text in zip(nll_N, completions, strict=True)
            ]
        ),
        **{name: rows[name].to_numpy().astype(np.float64) for name in ("min_k", "min_k_plus_plus")},
    }
    for name, reference in references.items():
        reference_nll_N = _joined(rows, reference, "nll_nats").fill_null(float("nan")).to_numpy()
        scores[name] = reference_score(nll_N, reference_nll_N, tokens_N)
    return scores


def loss_score(nll_nats_N: FloatArray, n_tokens_N: FloatArray) -> FloatArray:
    """Minus the NLL per token, nats: what was trained on is more probable (1709.01604)."""
    return -nll_nats_N / n_tokens_N


def zlib_score(nll_nats: float, completion: str) -> float:
    """Minus the NLL over the bytes of the zlib-compressed text, nats per byte (2012.07805).

    Discounts texts that are probable because they are repetitive.
    """
    return -float(nll_nats) / len(zlib.compress(completion.encode()))


def reference_score(
    nll_nats_N: FloatArray, reference_nll_nats_N: FloatArray, n_tokens_N: FloatArray
) -> FloatArray:
    """NLL under a reference model minus NLL, nats per token: how much was gained since.

    Discounts what the reference found easy (2111.08440). The base model as reference leaves in what training
    taught of the task, which differs from problem to problem; an early checkpoint of the run has learned most
    of that already.
    """
    with np.errstate(invalid="ignore"):
        return (reference_nll_nats_N - nll_nats_N) / n_tokens_N


def _joined(rows: pl.DataFrame, other: pl.DataFrame, column: str) -> pl.Series:
    """A column of another table for each of the rows, in their order; null where it has none."""
    theirs = other.select("example_id", theirs=column)
    joined = rows.select("example_id").join(
        theirs, on="example_id", how="left", maintain_order="left", validate="1:1"
    )
    return joined["theirs"]
