"""Exposure of canaries: ranks by hand, what chance gives, and what a bootstrap counts."""

import numpy as np
import polars as pl
import pytest

from overmem.artifacts.evidence import Evidence
from overmem.axes.privacy.exposure import (
    CANARIES,
    CANARY_SCORES,
    CANDIDATE_SCORES,
    CANDIDATES,
    exposure,
    exposure_measures,
)


def test_exposure_by_hand():
    candidates = np.array([1.0, 2.0, 3.0])
    assert exposure(np.array([4.0, 2.5, 0.0]), candidates) == pytest.approx([2.0, 1.0, 0.0])
    assert exposure(np.array([3.0]), candidates) == pytest.approx([1.0])  # a tie ranks the canary last


def test_what_was_never_seen_has_the_mean_of_its_uniform_ranks():
    rng = np.random.default_rng(0)
    found = exposure(rng.normal(size=20_000), rng.normal(size=255))
    expected = 8 - np.log2(np.arange(1, 257)).mean()
    assert expected == pytest.approx(1.42, abs=0.01)
    # One draw of 255 candidates moves the mean of all canaries.
    assert found.mean() == pytest.approx(expected, abs=0.3)


def rows(nll):
    return pl.DataFrame({"nll_nats": nll, "n_tokens": [2] * len(nll)})


def test_the_measure_is_the_mean_and_counts_as_a_draw_does():
    evidence = Evidence(
        rows={CANARY_SCORES: rows([2.0, 9.0]), CANDIDATE_SCORES: rows([4.0, 6.0, 8.0])}, texts={}
    )
    (measure,) = exposure_measures(evidence)
    assert (measure.name, measure.direction) == ("exposure", "lower")
    assert measure.value() == pytest.approx((2.0 + 0.0) / 2)
    counts = {CANARIES: np.array([[2.0, 0.0], [1.0, 1.0]]), CANDIDATES: np.array([[3.0, 0, 0], [1.0, 1, 1]])}
    assert measure.statistic(counts) == pytest.approx([2.0, 1.0])
    middle = exposure_measures(
        Evidence(rows={CANARY_SCORES: rows([5.0]), CANDIDATE_SCORES: rows([4.0, 6.0, 8.0])}, texts={})
    )[0]
    drawn = {CANARIES: np.ones((3, 1)), CANDIDATES: np.array([[3.0, 0, 0], [0.0, 2, 1], [1.0, 1, 1]])}
    # Candidates above it: 3, 0 and 1 of 3.
    assert middle.statistic(drawn) == pytest.approx([0.0, 2.0, 1.0])
    assert exposure_measures(Evidence(rows={CANARY_SCORES: rows([2.0])}, texts={})) == ()
