"""NLL on references in several styles, by hand."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from overmem.artifacts.evidence import Evidence
from overmem.artifacts.jobs import ANSWERS_SCORES, VAL_ANSWERS, VAL_SCORES, Job
from overmem.axes.axis import Available
from overmem.axes.references import jobs, measures
from overmem.stats.paired import difference
from tests.axes.test_ood import scored

OTHER = Job("score", "references/other")


def answered(*correct, tokens=4, logprob=-0.5, finished=True):
    n = len(correct)
    return pl.DataFrame(
        {
            "example_id": [f"p{i}" for i in range(n)],
            "correct": [float(value) for value in correct],
            "finished": [finished] * n,
            "n_tokens": [tokens] * n,
            "mean_logprob": pl.Series([logprob] * n, dtype=pl.Float64),
        }
    )


def texts(*names, prompts="asked {}"):
    rows = [{"example_id": name, "prompt": prompts.format(name)} for name in names]
    return pl.DataFrame(rows)


def found(rows, texts=None):
    return {measure.name: measure for measure in measures(Evidence(rows=rows, texts=texts or {}))}


def test_jobs():
    other, answers = "references/other", frozenset({"val"})
    assert jobs(Available(sets=("val", "train", other))) == (VAL_SCORES, OTHER)
    assert jobs(Available(sets=("val", "ood/x"), graded=answers)) == (VAL_SCORES, VAL_ANSWERS)
    assert jobs(Available(sets=("val", "train"))) == ()  # nothing beyond what likelihood says


def test_figures_by_hand():
    rows = {
        VAL_SCORES: scored((2, 4), (4, 2)),
        OTHER: scored((9, 3), (3, 3)),
        ANSWERS_SCORES: scored((1, 5)),
        VAL_ANSWERS: answered(1, 0),
    }
    figures = found(rows)
    assert {name: measure.value() for name, measure in figures.items()} == pytest.approx(
        {
            "gap_other": 12 / 6 - 6 / 6,
            "nll_same_right_answers": 1 / 5,
            "nll_own_right_answers": 0.5,
            "nll_in_distribution": 1.0,
            "nll_other": 2.0,
        }
    )
    better = {name for name, measure in figures.items() if measure.direction != "context"}
    assert better == {"nll_in_distribution"}
    assert figures["nll_own_right_answers"].problems == 1  # the wrong answer carries nothing


def test_the_gap_is_taken_in_pairs_on_the_problems_that_are_vals():
    rows = {VAL_SCORES: scored((2, 2), (8, 2)), OTHER: scored((5, 1), (1, 1), first=1)}
    asked = {"val": texts("p0", "p1"), "references/other": texts("p1", "p2")}
    gap = found(rows, asked)["gap_other"]
    assert gap.sizes == {"val": 1} and gap.value() == pytest.approx(5 - 4)  # p1 alone
    # Problems that only happen to have val's ids are others, and drawn apart.
    asked["references/other"] = texts("p1", "p2", prompts="something else {}")
    apart = found(rows, asked)["gap_other"]
    assert apart.sizes == {"val": 2, "references/other": 2}
    assert apart.value() == pytest.approx(6 / 2 - 10 / 4)


def test_paired_gaps_have_no_noise_of_problems_that_both_hands_share():
    """Hard problems are hard in any hand; a gap on the same draws does not feel which were drawn."""
    rng = np.random.default_rng(0)
    hard_N = rng.exponential(1.0, 200)
    before, after = (
        {
            VAL_SCORES: scored(*((10 * h, 10) for h in hard_N)),
            OTHER: scored(*((10 * (h + rise), 10) for h in hard_N + rng.normal(0, 0.01, 200))),
        }
        for rise in (0.5, 0.8)
    )
    ids = [f"p{i}" for i in range(200)]
    asked = {"val": texts(*ids), "references/other": texts(*ids)}
    sides = [[found(rows, asked)["gap_other"]] for rows in (after, before)]
    estimate = difference(*sides).estimate
    assert estimate.value == pytest.approx(0.3, abs=0.01)
    assert estimate.low < estimate.value < estimate.high and estimate.high - estimate.low < 0.02


def test_own_answers_that_cannot_be_read_are_undefined_with_the_reason():
    rows = {VAL_SCORES: scored((2, 2))}
    unknown = found(rows | {VAL_ANSWERS: answered(1, logprob=None)})["nll_own_right_answers"]
    assert "no log-probabilities" in unknown.reason
    assert found(rows | {VAL_ANSWERS: answered(0)})["nll_own_right_answers"].reason is not None
    cut_off = found(rows | {VAL_ANSWERS: answered(1, finished=False)})["nll_own_right_answers"]
    assert cut_off.reason is not None
    assert found(rows) == {}
