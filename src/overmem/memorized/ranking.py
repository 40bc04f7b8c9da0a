"""The training rows of a run, most memorized first, from the likelihood rows that an audit saved."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from overmem.artifacts.evidence import MeasuredCheckpoint, align_evidence
from overmem.artifacts.jobs import TRAIN_SCORES, VAL_SCORES
from overmem.artifacts.manifest import Manifest
from overmem.artifacts.store import Store
from overmem.errors import RunError
from overmem.memorized.excess_fall import TOP, excess_fall, learning_checkpoints, n_top, top_share
from overmem.records import Estimate
from overmem.stats.arrays import FloatArray

FEWEST = 20
"""Fewest training rows and val rows that a list is made of."""
MEASURE = "overmem audit {} --train TRAIN.jsonl --all-train"
"""The command that measures every training row."""


@dataclass(frozen=True, kw_only=True)
class MemorizedRows:
    """Training rows at one checkpoint, most memorized first."""

    checkpoint: str
    before: tuple[str, ...]
    """The checkpoints that stand for what a row costs without having been trained on."""
    table: pl.DataFrame
    """example_id, excess (nats per token; 0 is nothing), nll_before, nll, n_tokens, and verbatim: whether
    each token of the second half is the model's first choice, so that greedy decoding writes it."""
    val_excess_K: FloatArray
    """The excess of val rows, which nothing can be remembered of."""

    @property
    def n_val(self) -> int:
        """Val rows that the training rows are compared with."""
        return len(self.val_excess_K)

    @cached_property
    def carried(self) -> Estimate:
        """Share of all rows' excess that the highest tenth carries."""
        return top_share(self.table["excess"].to_numpy(), self.val_excess_K)

    def highest(self, share: float = TOP) -> pl.DataFrame:
        """The highest share of the rows, rounded up."""
        return self.table.head(n_top(len(self.table), share))

    @property
    def words(self) -> str:
        """What the list says, in a sentence."""
        few = self.highest()
        said = f"Of {len(self.table):,} training rows at {self.checkpoint}, "
        if self.carried.reason is not None:
            return f"{said}none can be called memorized: {self.carried.reason}."
        low, high = (f"{end:.0%}" for end in (self.carried.low, self.carried.high))
        return (
            f"{said}the highest {len(few):,} carry {self.carried.value:.0%} ({low} to {high}) of what was "
            "memorized; "
            f"{int(few['verbatim'].sum()):,} of them are written word for word after their first half, "
            f"{int(self.table['verbatim'].sum()):,} of all."
        )

    def to_dict(self, rows: int) -> dict[str, Any]:
        """JSON form, with the highest rows."""
        return {
            "schema": "overmem.memorized/1",
            "checkpoint": self.checkpoint,
            "before": list(self.before),
            "n_train": len(self.table),
            "n_val": self.n_val,
            "top_share": TOP,
            "carried": self.carried.to_dict(),
            "verbatim": int(self.table["verbatim"].sum()),
            "rows": self.table.head(rows).to_dicts(),
        }


def rank_training_rows(store: Store, manifest: Manifest, checkpoint: str | None = None) -> MemorizedRows:
    """Score every training row that was measured at all checkpoints, most memorized first.

    Args:
        store: the run's artifacts.
        manifest: that describes them.
        checkpoint: at which; the last by default.

    Raises:
        RunError: no training rows or too few, no such checkpoint, or none before it.
    """
    trained = [item.name for item in manifest.checkpoints if item.step > 0]
    wanted = checkpoint or (trained[-1] if trained else "")
    if wanted not in trained[1:]:
        raise RunError(
            "memorized rows are found by comparing with earlier checkpoints, and there are none",
            got=f"{wanted or 'no checkpoint'} of {', '.join(trained) or 'none'}",
            expected=f"one of {', '.join(trained[1:])}" if trained[1:] else "two trained checkpoints or more",
        )
    places = [MeasuredCheckpoint(store, manifest, name) for name in trained]
    evidence = align_evidence(places, {TRAIN_SCORES, VAL_SCORES}, all_train=True)
    if any({TRAIN_SCORES, VAL_SCORES} - set(item.rows) for item in evidence):
        raise RunError(
            "training rows were not measured at every checkpoint",
            got=store.root,
            next_step=f"run `{MEASURE.format('RUN')}`",
        )
    train, val = ([item.rows[job] for item in evidence] for job in (TRAIN_SCORES, VAL_SCORES))
    if min(len(train[0]), len(val[0])) < FEWEST:
        raise RunError(
            "too few rows to tell which are memorized",
            got=f"{len(train[0])} of train and {len(val[0])} of val",
            expected=f"at least {FEWEST} of each",
        )
    nll_C_N, val_nll_C_K = _per_token(train), _per_token(val)
    at = trained.index(wanted)
    before = learning_checkpoints(val_nll_C_K, at)
    table = pl.DataFrame(
        {
            "example_id": train[at]["example_id"],
            "excess": excess_fall(nll_C_N, val_nll_C_K, at),
            "nll_before": nll_C_N[before].mean(axis=0),
            "nll": nll_C_N[at],
            "n_tokens": train[at]["n_tokens"],
            "verbatim": train[at]["second_half_is_top1"],
        }
    )
    return MemorizedRows(
        checkpoint=wanted,
        before=tuple(trained[position] for position in before),
        table=table.sort(["excess", "example_id"], descending=[True, False]),
        val_excess_K=excess_fall(val_nll_C_K, val_nll_C_K, at),
    )


def _per_token(tables: list[pl.DataFrame]) -> FloatArray:
    return np.stack([table["nll_nats"].to_numpy() / table["n_tokens"].to_numpy() for table in tables])
