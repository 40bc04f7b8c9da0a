"""Calibration against torchmetrics, the binning of numpy, and figures worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from overmem.artifacts.evidence import Evidence
from overmem.artifacts.jobs import VAL_ANSWERS, VAL_SAMPLES, VAL_SCORES
from overmem.artifacts.token_sums import with_sums
from overmem.axes.axis import Available
from overmem.axes.calibration import (
    Items,
    bin_equal_mass,
    ece_measure,
    jobs,
    measures,
)
from overmem.axes.excess import temperature_gap

# Bins


def test_bins_are_those_of_array_split():
    rng = np.random.default_rng(0)
    confidence = rng.permutation(np.linspace(0.01, 0.99, 150))
    expected = np.empty(150, dtype=int)
    for index, part in enumerate(np.array_split(np.argsort(confidence), 15)):
        expected[part] = index
    np.testing.assert_array_equal(bin_equal_mass(confidence, 15), expected)


def test_bins_differ_by_one_item_when_they_cannot_be_equal():
    sizes = np.bincount(bin_equal_mass(np.random.default_rng(0).random(100), 15))
    assert len(sizes) == 15
    assert set(sizes) == {6, 7}


def test_ties_stay_in_one_bin():
    confidence = np.array([0.2] * 3 + [0.5] * 40 + [0.9] * 2)
    found = bin_equal_mass(confidence, 15)
    assert [len(set(found[confidence == value])) for value in (0.2, 0.5, 0.9)] == [1, 1, 1]
    assert found.min() >= 0
    assert found.max() < 15


def test_bins_depend_on_neither_order_nor_copies():
    rng = np.random.default_rng(0)
    confidence = rng.random(77).round(2)
    order = rng.permutation(77)
    found = bin_equal_mass(confidence)
    np.testing.assert_array_equal(bin_equal_mass(confidence[order]), found[order])
    np.testing.assert_array_equal(bin_equal_mass(np.repeat(confidence, 3)), np.repeat(found, 3))


# ECE


def ece(confidence, correct, weight=None, rank=None):
    """The measure, with a problem for every item."""
    n = len(confidence)
    items = Items.single(np.arange(n), confidence, np.asarray(correct, dtype=float), n)
    measure = ece_measure("ece", "items", items if rank is None else replace(items, rank_M=rank))
    return measure.value() if weight is None else measure.statistic({"items": weight[None]})[0]


def uniform_grid(seed, per_bin=8):
    """Confidences at the centres of 15 bins of equal width, each held by equally many items."""
    rng = np.random.default_rng(seed)
    confidence = rng.permutation(np.repeat((np.arange(15) + 0.5) / 15, per_bin))
    return confidence, (rng.random(len(confidence)) < confidence**2).astype(float)


@pytest.mark.parametrize("seed", range(5))
def test_ece_is_that_of_torchmetrics_where_equal_width_is_equal_mass(seed):
    import torch
    from torchmetrics.functional.classification import binary_calibration_error

    confidence, correct = uniform_grid(seed)
    found = ece(confidence, correct)
    # The binary form takes `preds` as the confidence and `target` as correctness, as they are.
    expected = binary_calibration_error(torch.tensor(confidence), torch.tensor(correct).long(), n_bins=15)
    assert found == pytest.approx(expected.item(), abs=1e-12)


def test_ece_by_hand():
    assert ece(np.full(20, 0.9), [1] * 18 + [0] * 2) == pytest.approx(0)
    assert ece(np.full(20, 0.9), np.zeros(20)) == pytest.approx(0.9)
    two = np.array([0.2, 0.2, 0.8, 0.8] * 4)
    assert ece(two, [1, 0, 1, 1] * 4) == pytest.approx((2 * 0.3 + 2 * 0.2) / 4)
    assert math.isnan(ece(np.array([]), []))


def test_weights_count_items_in_the_bins_of_all_items():
    rng = np.random.default_rng(2)
    confidence, correct = uniform_grid(3)
    weight = rng.integers(0, 4, len(confidence)).astype(float)
    bin_M = bin_equal_mass(confidence)
    expected = 0.0
    for index in range(15):
        here = np.repeat(bin_M, weight.astype(int)) == index
        if here.any():
            right = np.repeat(correct, weight.astype(int))[here].mean()
            stated = np.repeat(confidence, weight.astype(int))[here].mean()
            expected += here.sum() / weight.sum() * abs(right - stated)
    assert ece(confidence, correct, weight) == pytest.approx(expected)
    ones = np.ones(len(confidence))
    assert ece(confidence, correct, ones) == ece(confidence, correct)


# Measures

TEMPERATURES = (0.8, 1.0, 1.5, 2.0)


def score_rows(n_problems=20, seed=0):
    """Likelihood rows of an overconfident model with made-up tokens."""
    rng = np.random.default_rng(seed)
    rows = []
    for index in range(n_problems):
        n = int(rng.integers(1, 30))
        top1 = rng.random(n) < 0.7
        at_temperature = -rng.exponential(1.0, (n, 4)) * np.array([1.2, 1.0, 0.8, 0.9])
        rows.append(
            {
                "example_id": f"p{index:03}",
                "n_tokens": n,
                "is_top1": top1.tolist(),
                "top1_logprob": np.log(rng.uniform(0.6, 1.0, n)).tolist(),
                "logprob_at_temperature": at_temperature.tolist(),
            }
        )
    schema = {
        "example_id": pl.String,
        "n_tokens": pl.Int64,
        "is_top1": pl.List(pl.Boolean),
        "top1_logprob": pl.List(pl.Float32),
        "logprob_at_temperature": pl.List(pl.List(pl.Float32)),
    }
    return with_sums(pl.DataFrame(rows, schema=schema))


def greedy_rows(n_problems=20, seed=0):
    rng = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "example_id": [f"p{index:03}" for index in range(n_problems)],
            "mean_logprob": np.log(rng.uniform(0.5, 1.0, n_problems)),
            "correct": (rng.random(n_problems) < 0.5).astype(float),
        }
    )


def sample_rows(answers_by_problem, right):
    rows = [
        {
            "example_id": f"p{index:03}",
            "sample": place,
            "text": "",
            "answer": answer,
            "correct": answer in right,
        }
        for index, answers in enumerate(answers_by_problem)
        for place, answer in enumerate(answers)
    ]
    return pl.DataFrame(rows).with_columns(pl.col("correct").cast(pl.Float64))


def random_votes(n_problems=20, seed=0):
    rng = np.random.default_rng(seed)
    return sample_rows([[str(a) for a in rng.integers(0, 3, 8)] for _ in range(n_problems)], {"0", "1"})


def figures_of(rows, temperatures=TEMPERATURES):
    found = measures(Evidence(rows=rows, texts={}, temperatures=temperatures))
    return {measure.name: measure for measure in found}


ALL_ROWS = {VAL_SCORES: score_rows(), VAL_SAMPLES: random_votes(), VAL_ANSWERS: greedy_rows()}


def test_jobs():
    graded = frozenset({"val"})
    assert jobs(Available(sets=("val",))) == (VAL_SCORES,)
    assert set(jobs(Available(sets=("val", "train"), graded=graded))) == {
        VAL_SCORES,
        VAL_SAMPLES,
        VAL_ANSWERS,
    }
    assert jobs(Available(sets=("train",))) == ()


def test_jobs_that_were_not_done_leave_their_figures_out():
    assert figures_of({}) == {}
    assert set(figures_of({VAL_SCORES: score_rows()})) == {"token_ece", "temperature_gap"}
    assert set(figures_of({VAL_ANSWERS: greedy_rows()})) == {"answer_ece_probability"}
    everything = figures_of(ALL_ROWS)
    assert len(everything) == 4
    assert {measure.direction for measure in everything.values()} == {"lower"}
    assert [measure.sizes for measure in everything.values()] == [
        {"val:score": 20},
        {"val:sample": 20},
        {"val:greedy": 20},
        {"val:score": 20},
    ]


def tokens_of(rows):
    """Confidence, correctness and cell of every token: a 64th of a logit each."""
    confidence = np.exp(np.concatenate(rows["top1_logprob"].to_list()).astype(float))
    return (
        confidence,
        np.concatenate(rows["is_top1"].to_list()),
        np.floor(64 * np.log(confidence / (1 - confidence))),
    )


def test_token_ece_is_that_of_all_tokens():
    rows = score_rows()
    confidence, correct, cell = tokens_of(rows)
    found = figures_of({VAL_SCORES: rows})["token_ece"].value()
    assert found == pytest.approx(ece(confidence, correct, rank=cell), abs=1e-9)
    # Cells are narrow: the figure is hardly another than in bins that part tokens at any confidence.
    many = score_rows(400)
    confidence, correct, _ = tokens_of(many)
    found = figures_of({VAL_SCORES: many})["token_ece"].value()
    assert found == pytest.approx(ece(confidence, correct), abs=2e-3)


def test_token_ece_counts_a_problems_tokens_together():
    rows = score_rows()
    counts = np.random.default_rng(0).integers(0, 3, (4, len(rows))).astype(float)
    measure = figures_of({VAL_SCORES: rows})["token_ece"]
    tokens = rows["n_tokens"].to_numpy()
    confidence, correct, cell = tokens_of(rows)
    expected = [ece(confidence, correct, np.repeat(draw, tokens), cell) for draw in counts]
    np.testing.assert_allclose(measure.statistic({"val:score": counts}), expected)


def test_groups_of_items_are_binned_as_their_items():
    rng = np.random.default_rng(4)
    rank, count = rng.permutation(40).astype(float), rng.integers(1, 9, 40)
    apart = bin_equal_mass(np.repeat(rank, count))
    np.testing.assert_array_equal(np.repeat(bin_equal_mass(rank, count_M=count), count), apart)


def test_agreement_by_hand():
    # 15 problems: 10 agree wholly and are right; 3 have half for a right answer that was drawn first, at
    # a tie with a wrong one; 2 have no answer in three of four samples.
    votes = [["1"] * 4] * 10 + [["1", "2", "2", "1"]] * 3 + [[None, "1", None, None]] * 2
    found = figures_of({VAL_SAMPLES: sample_rows(votes, {"1"})})["answer_ece_agreement"]
    # In order of confidence 0.5 (right), 0.75 (wrong), 1 (right): each its own bins.
    assert found.value() == pytest.approx((3 * 0.5 + 2 * 0.75 + 10 * 0) / 15)


def test_a_tie_goes_to_the_answer_drawn_first():
    votes = [["2", "1", "1", "2"]] * 15
    assert figures_of({VAL_SAMPLES: sample_rows(votes, {"2"})})[
        "answer_ece_agreement"
    ].value() == pytest.approx(0.5)
    assert figures_of({VAL_SAMPLES: sample_rows(votes, {"1"})})[
        "answer_ece_agreement"
    ].value() == pytest.approx(0.5)
    uneven = [["2", "1", "1", "2"]] * 15 + [["1"] * 4] * 15
    right_first = figures_of({VAL_SAMPLES: sample_rows(uneven, {"2"})})["answer_ece_agreement"]
    assert right_first.value() == pytest.approx((15 * 0.5 + 15 * 1.0) / 30)


def test_probability_ece_is_that_of_greedy_answers():
    rows = greedy_rows()
    expected = ece(np.exp(rows["mean_logprob"].to_numpy()), rows["correct"].to_numpy())
    assert figures_of({VAL_ANSWERS: rows})["answer_ece_probability"].value() == pytest.approx(expected)


def nll_and_tokens(rows):
    nll = np.array([-np.sum(tokens, axis=0) for tokens in rows["logprob_at_temperature"].to_list()])
    return nll, rows["n_tokens"].to_numpy().astype(float)


def test_temperature_gap_is_that_of_the_verdict():
    rows = score_rows()
    (expected,) = temperature_gap(*nll_and_tokens(rows), base_index=1)
    assert figures_of({VAL_SCORES: rows})["temperature_gap"].value() == pytest.approx(expected)
    assert expected > 0


def test_temperature_gap_of_a_draw_keeps_the_halves():
    rows = score_rows()
    nll, tokens = nll_and_tokens(rows)
    draw = np.random.default_rng(1).integers(0, 3, len(rows))
    # A problem counted twice is two problems in the same half: lay the halves out one after another.
    gaps = []
    for fit, read in ((0, 1), (1, 0)):
        fitted = np.repeat(np.arange(fit, 20, 2), draw[fit::2])
        held = np.repeat(np.arange(read, 20, 2), draw[read::2])
        best = nll[fitted].sum(axis=0).argmin()
        gaps.append((nll[held, 1].sum() - nll[held, best].sum()) / tokens[held].sum())
    found = figures_of({VAL_SCORES: rows})["temperature_gap"].statistic(
        {"val:score": draw[None].astype(float)}
    )
    assert found[0] == pytest.approx(np.mean(gaps))


def test_temperature_gap_is_undefined_in_a_draw_of_one_half():
    draw = np.tile([1.0, 0.0], 10)[None]
    found = figures_of({VAL_SCORES: score_rows()})["temperature_gap"].statistic({"val:score": draw})
    assert math.isnan(found[0])


def test_counting_all_problems_alike_is_the_plain_figure():
    for measure in figures_of(ALL_ROWS).values():
        counts = {name: np.array([[1.0] * n, [3.0] * n]) for name, n in measure.sizes.items()}
        np.testing.assert_allclose(measure.statistic(counts), measure.value())


def twice(rows):
    """Every problem and its copy."""
    copies = [rows.with_columns(pl.col("example_id") + suffix) for suffix in ("-a", "-b")]
    return pl.concat(copies).sort("example_id", maintain_order=True)


def test_copies_of_all_problems_change_no_ece():
    plain, copied = figures_of(ALL_ROWS), figures_of({job: twice(rows) for job, rows in ALL_ROWS.items()})
    for name in ("token_ece", "answer_ece_agreement", "answer_ece_probability"):
        assert copied[name].value() == pytest.approx(plain[name].value())


def test_the_order_of_problems_changes_no_ece():
    reverse = {job: rows.reverse() for job, rows in ALL_ROWS.items()}
    # Samples of a problem stay in the order they were drawn.
    reverse[VAL_SAMPLES] = ALL_ROWS[VAL_SAMPLES].sort("example_id", descending=True, maintain_order=True)
    plain, reversed_ = figures_of(ALL_ROWS), figures_of(reverse)
    for name in ("token_ece", "answer_ece_agreement", "answer_ece_probability"):
        assert reversed_[name].value() == pytest.approx(plain[name].value())


def test_counting_a_problem_twice_is_having_it_twice_in_the_same_bins():
    # All confidences are one of three values, so that a copy moves no item to another bin's company.
    votes = [["1"] * 4] * 10 + [["1", "2", "1", "3"]] * 10 + [["2", "1", "2", "2"]] * 10
    plain = figures_of({VAL_SAMPLES: sample_rows(votes, {"1"})})["answer_ece_agreement"]
    counts = np.ones((1, 30))
    counts[0, 12] = 2
    repeated = figures_of({VAL_SAMPLES: sample_rows([*votes, votes[12]], {"1"})})["answer_ece_agreement"]
    assert plain.statistic({"val:sample": counts})[0] == pytest.approx(repeated.value())
    assert repeated.value() != pytest.approx(plain.value())


def test_figures_that_cannot_be_had_say_why():
    few = figures_of({VAL_SCORES: score_rows(1), VAL_SAMPLES: random_votes(14), VAL_ANSWERS: greedy_rows(14)})
    assert few["answer_ece_agreement"].reason == "14 items are too few for 15 bins"
    assert few["answer_ece_probability"].reason == "14 items are too few for 15 bins"
    assert few["temperature_gap"].reason == "too few tokens"
    assert math.isnan(few["temperature_gap"].value())
    assert "temperature 1" in figures_of({VAL_SCORES: score_rows()}, (0.5, 2.0))["temperature_gap"].reason
    unnamed = random_votes().with_columns(pl.lit(None, dtype=pl.String).alias("answer"))
    assert "grader" in figures_of({VAL_SAMPLES: unnamed})["answer_ece_agreement"].reason
    empty = {job: rows.clear() for job, rows in ALL_ROWS.items()}
    assert all(measure.reason for measure in figures_of(empty).values())
