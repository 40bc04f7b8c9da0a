"""Verbatim recall by hand."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest

from overmem.artifacts.evidence import Evidence
from overmem.artifacts.jobs import Job
from overmem.axes.axis import Available
from overmem.axes.recall import TRAIN, VAL, jobs, measures


def rows(*figures):
    """(n_compared, n_same) of each problem."""
    return pl.DataFrame(
        {
            "example_id": [f"p{i}" for i in range(len(figures))],
            "n_compared": [n for n, _ in figures],
            "n_same": [same for _, same in figures],
            "exact": [same == n for n, same in figures],
            "n_prefix": [8] * len(figures),
        }
    )


def found(**sets):
    evidence = Evidence(rows={Job("continue", name): table for name, table in sets.items()}, texts={})
    return {measure.name: measure for measure in measures(evidence)}


TRAIN_ROWS, VAL_ROWS = rows((32, 32), (16, 4), (2, 2), (0, 0)), rows((32, 8), (8, 2))


def test_jobs_need_training_data():
    assert jobs(Available(sets=("val", "ood/x"))) == ()
    assert jobs(Available(sets=("val", "train"))) == (TRAIN, VAL)
    assert jobs(Available(sets=("train",))) == (TRAIN,)


def test_figures_by_hand():
    figures = found(train=TRAIN_ROWS, val=VAL_ROWS)
    assert {name: measure.value() for name, measure in figures.items()} == pytest.approx(
        {
            "train_recall": 38 / 50,
            "val_recall": 10 / 40,
            "recall_gap": 38 / 50 - 10 / 40,
            "train_exact": 2 / 3,  # the completion with nothing to compare does not count
        }
    )
    assert {name: measure.direction for name, measure in figures.items()} == {
        "train_recall": "lower",
        "val_recall": "context",
        "recall_gap": "lower",
        "train_exact": "lower",
    }
    assert figures["recall_gap"].sizes == {"train:continue": 4, "val:continue": 2}


def test_gap_of_a_draw_counts_each_population_its_own_way():
    gap = found(train=TRAIN_ROWS, val=VAL_ROWS)["recall_gap"]
    counts = {
        "train:continue": np.array([[0.0, 2, 1, 1], [0, 0, 0, 4]]),
        "val:continue": np.array([[2.0, 0], [1, 1]]),
    }
    assert gap.statistic(counts) == pytest.approx([10 / 34 - 8 / 32, math.nan], nan_ok=True)


def test_without_val_there_is_no_baseline_and_without_train_nothing():
    assert list(found(train=TRAIN_ROWS)) == ["train_recall", "train_exact"]
    assert found(val=VAL_ROWS) == {}


def test_nothing_to_compare_is_a_reason_not_a_zero():
    figures = found(train=rows((0, 0), (0, 0)), val=VAL_ROWS)
    for name in ("train_recall", "recall_gap", "train_exact"):
        assert figures[name].reason is not None
        assert math.isnan(figures[name].value())
    assert figures["val_recall"].reason is None


def test_doubling_or_shuffling_the_problems_changes_nothing():
    def values(train):
        return {name: measure.value() for name, measure in found(train=train, val=VAL_ROWS).items()}

    once = values(TRAIN_ROWS)
    assert values(pl.concat([TRAIN_ROWS, TRAIN_ROWS])) == pytest.approx(once)
    assert values(TRAIN_ROWS.reverse()) == pytest.approx(once)
