"""Recall: how much of the training completions the model writes down word for word.

Given a prompt and the first half of its reference, the model continues greedily, and its tokens are
compared with the next ones of the reference, position by position. Some of them any good model would
write, so the same on val is the baseline: what counts is the gap.
"""

from __future__ import annotations

import polars as pl

from overmem.artifacts.evidence import Evidence
from overmem.artifacts.jobs import Job
from overmem.axes.axis import Available, Axis
from overmem.stats.arrays import FloatArray
from overmem.stats.measures import Measure, difference_measure, ratio_measure

TRAIN, VAL = Job("continue", "train"), Job("continue", "val")


def jobs(available: Available) -> tuple[Job, ...]:
    """Continuations of a training subset, and of val as the baseline; nothing without training data."""
    if "train" not in available.sets:
        return ()
    return tuple(job for job in (TRAIN, VAL) if job.set in available.sets)


def measures(evidence: Evidence) -> tuple[Measure, ...]:
    """Share of tokens continued as in the reference on train, on val, their gap, and verbatim completions.

    All are shares in [0, 1], the gap in [-1, 1]. A completion too short to have a second half has no
    token to compare and adds nothing to any of them, verbatim completions included.
    """
    if TRAIN not in evidence.rows:
        return ()
    train = evidence.rows[TRAIN]
    train_recall = ratio_measure("train_recall", "lower", _population(TRAIN), *_tokens(train))
    train_exact = ratio_measure("train_exact", "lower", _population(TRAIN), *_verbatim(train))
    if VAL not in evidence.rows:
        return train_recall, train_exact
    val_recall = ratio_measure("val_recall", "context", _population(VAL), *_tokens(evidence.rows[VAL]))
    gap = difference_measure("recall_gap", "lower", train_recall, val_recall)
    return gap, train_recall, val_recall, train_exact


def _population(job: Job) -> str:
    return f"{job.set}:{job.kind}"


def _tokens(rows: pl.DataFrame) -> tuple[FloatArray, FloatArray]:
    """Of each problem: tokens equal to the reference's, and tokens compared."""
    return rows["n_same"].to_numpy().astype(float), rows["n_compared"].to_numpy().astype(float)


def _verbatim(rows: pl.DataFrame) -> tuple[FloatArray, FloatArray]:
    """Of each problem: whether it was continued verbatim, and whether there was anything to continue."""
    compared_N = rows["n_compared"].to_numpy() > 0
    return (rows["exact"].to_numpy() & compared_N).astype(float), compared_N.astype(float)


AXIS = Axis(
    name="recall",
    tells="how much of the training data is continued verbatim",
    jobs=jobs,
    measures=measures,
    needs="it needs the training data: pass --train",
)
