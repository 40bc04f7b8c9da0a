"""Reliability: the bins of the calibration axis."""

import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from overmem.axes.calibration import Items, ece_measure, token_items
from overmem.reporting.exhibits.reliability import reliability_bins
from tests.helpers.exhibits import token_rows


def test_reliability_bins_are_those_of_the_axis() -> None:
    rng = np.random.default_rng(0)
    items = Items.single(np.repeat(np.arange(40), 9), rng.random(360), (rng.random(360) < 0.6) * 1.0, 40)
    bins = reliability_bins(items, "val:score")
    accuracy, stated = calibration_curve(items.correct_M, items.confidence_M, n_bins=15, strategy="quantile")
    assert [b.n for b in bins] == [24] * 15
    assert [b.confidence for b in bins] == pytest.approx(stated)
    assert [b.accuracy.value for b in bins] == pytest.approx(accuracy)
    assert all(b.accuracy.low <= b.accuracy.value <= b.accuracy.high for b in bins)
    assert gap(bins) == pytest.approx(ece_measure("ece", "val:score", items).value())


def test_bins_of_summed_tokens_are_those_of_the_axis() -> None:
    rng = np.random.default_rng(1)
    sure = np.log(rng.random((40, 9)))
    right = rng.random((40, 9)) < 0.6
    items = token_items(token_rows(sure.tolist(), right.tolist(), sure.tolist()))
    bins = reliability_bins(items, "val:score")
    assert sum(b.n for b in bins) == 360
    assert sum(b.n * b.confidence for b in bins) == pytest.approx(np.exp(sure).sum())
    assert sum(b.n * b.accuracy.value for b in bins) == pytest.approx(right.sum())
    assert gap(bins) == pytest.approx(ece_measure("ece", "val:score", items).value())


def gap(bins) -> float:
    return sum(b.n * abs(b.confidence - b.accuracy.value) for b in bins) / sum(b.n for b in bins)
