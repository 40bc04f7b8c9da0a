"""Reliability: the bins of the calibration axis."""

import numpy as np
import polars as pl
import pytest
from sklearn.calibration import calibration_curve

from overmem.axes.calibration import ece_measure
from overmem.reporting.exhibits.reliability import reliability_bins, token_items
from tests.helpers.exhibits import token_rows


def test_reliability_bins_are_those_of_the_axis() -> None:
    rng = np.random.default_rng(0)
    sure = np.log(rng.random((40, 9))).tolist()
    right = (rng.random((40, 9)) < 0.6).tolist()
    items = token_items(token_rows(sure, right, sure))
    bins = reliability_bins(items, "val:score")
    accuracy, stated = calibration_curve(items.correct_M, items.confidence_M, n_bins=15, strategy="quantile")
    assert [b.n for b in bins] == [24] * 15
    assert [b.confidence for b in bins] == pytest.approx(stated)
    assert [b.accuracy.value for b in bins] == pytest.approx(accuracy)
    assert all(b.accuracy.low <= b.accuracy.value <= b.accuracy.high for b in bins)
    gap = sum(b.n * abs(b.confidence - b.accuracy.value) for b in bins) / sum(b.n for b in bins)
    ece = ece_measure("ece", "val:score", 360, np.arange(360), items.confidence_M, items.correct_M)
    assert gap == pytest.approx(ece.value())


def test_rows_without_their_tokens_are_left_out() -> None:
    rows = token_rows([[-0.1, -0.2], [-0.3]], [[True, False], [True]], [[-0.1, -0.2], [-0.3]])
    items = token_items(rows.with_columns(is_top1=pl.Series([[True, False], None])))
    assert items.n_problems == 1 and items.correct_M.tolist() == [1.0, 0.0]
