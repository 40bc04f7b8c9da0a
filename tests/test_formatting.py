"""Figures as text."""

import math

import pytest

from overmem.formatting import accuracy_text, confidence_text, figure_text
from overmem.records import Estimate


@pytest.mark.parametrize(
    ("confidence", "expected"),
    [
        (0.97, "97%"),
        (0.9999, "over 99%"),
        (1.0, "over 99%"),
        (0.004, "under 1%"),
        (math.nan, "none"),
        (None, "none"),
    ],
)
def test_confidence_never_claims_certainty(confidence: float | None, expected: str) -> None:
    assert confidence_text(confidence) == expected


def test_figures_without_interval_show_none() -> None:
    lone = Estimate(0.5, math.nan, math.nan, 0)
    assert accuracy_text(lone) == "50.0%"
    assert figure_text(lone) == "0.50"
    assert figure_text(Estimate(1234567.0, 1e6, 2e6, 5)) == "1.23e+06 (1e+06 to 2e+06)"
