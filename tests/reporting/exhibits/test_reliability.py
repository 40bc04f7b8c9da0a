"""Reliability: the bins of the calibration axis."""

import numpy as np
import pytest

from overmem.axes.calibration import expected_calibration_error, reliability
from overmem.reporting.exhibits.reliability import reliability_bins, token_items
from tests.helpers.exhibits import token_rows


def test_reliability_bins_are_those_of_the_axis() -> None:
    rng = np.random.default_rng(0)
    sure = np.log(rng.random((40, 9))).tolist()
    right = (rng.random((40, 9)) < 0.6).tolist()
    items = token_items(token_rows(sure, right, sure))
    bins = reliability_bins(items, "val:score")
    expected = reliability(items.confidence_M, items.correct_M)
    assert [(b.n, pytest.approx(b.confidence), pytest.approx(b.accuracy.value)) for b in bins] == expected
    assert all(b.accuracy.low <= b.accuracy.value <= b.accuracy.high for b in bins)
    gap = sum(b.n * abs(b.confidence - b.accuracy.value) for b in bins) / sum(b.n for b in bins)
    assert gap == pytest.approx(expected_calibration_error(items.confidence_M, items.correct_M))
