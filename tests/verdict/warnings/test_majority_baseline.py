"""The accuracy that no skill gives, and the warning near it."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from overmem.artifacts.manifest import Manifest
from overmem.artifacts.manifest_parts.measured_sets import MeasuredSet
from overmem.artifacts.store import Store
from overmem.rule import Rule
from overmem.sweeping.summary import baseline_notes
from overmem.verdict.judge import judge
from overmem.verdict.warnings.majority_baseline import (
    baseline_note,
    is_near_baseline,
    majority_baseline_accuracy,
    most_frequent_share,
)
from tests.helpers.sweeps import configuration


def verdict_at(accuracies, n=400):
    """A verdict on checkpoints of these accuracies."""
    rank_N = np.arange(n)
    correct = np.array([(rank_N < round(a * n)).astype(float) for a in accuracies])
    steps = [10 * (c + 1) for c in range(len(accuracies))]
    return judge(steps, correct, np.full_like(correct, 5.0), np.full(n, 10.0), resamples=200)


def kept_answers(folder, answers):
    store = Store(folder)
    n = len(answers)
    val = {"set": ["val"] * n, "example_id": [str(i) for i in range(n)], "answer": answers}
    other = {"set": ["train"] * 9, "example_id": [str(i) for i in range(9)], "answer": ["7"] * 9}
    tables = [pl.DataFrame(rows, schema_overrides={"answer": pl.String}) for rows in (val, other)]
    store.write_texts(pl.concat(tables).with_columns(prompt=pl.lit("q"), completion=pl.lit("a")))
    return store


def manifest(grader):
    val = MeasuredSet(
        set="val", variant="clean", source="", shape="", grader=grader, n=0, fingerprint="",
        example_ids=(), example_shas=(),
    )  # fmt: skip
    return Manifest(splits={"val": val}, checkpoints=())


@pytest.mark.parametrize(
    ("grader", "answers", "share"),
    [
        # Counted by hand.
        ("choice", ["A", "(a)", "B.", "C"], 1 / 2),
        ("math", ["1,000", "#### 1000", "\\boxed{1000}", "7"], 3 / 4),
        ("exact", ["yes", " yes", "Yes", "no"], 2 / 4),
        ("regex:(yes|no)", ["yes", "yes", "no"], 2 / 3),
        ("math", ["1", "2", "3", "4"], 0),
        ("code", ["same", "same"], 0),
        ("python:mine:judge", ["same", "same"], 0),
        ("code", [None, None], 0),
    ],
)
def test_one_answer_for_all_scores_the_share_of_the_most_frequent(tmp_path, grader, answers, share):
    store = kept_answers(tmp_path, answers)
    ids = [str(i) for i in range(len(answers))]
    assert majority_baseline_accuracy(store, manifest(grader), ids) == share


def test_only_the_problems_judged_count(tmp_path):
    store = kept_answers(tmp_path, ["A", "A", "B", "C"])
    assert majority_baseline_accuracy(store, manifest("choice"), ["1", "2", "3"]) == 0
    assert majority_baseline_accuracy(store, manifest("choice"), ["0", "1", "2"]) == 2 / 3
    assert majority_baseline_accuracy(Store(tmp_path / "none"), manifest("choice"), ["0", "1"]) == 0


def test_the_most_frequent_of_nothing():
    assert most_frequent_share([]) == 0


def test_it_is_said_near_the_floor_alone():
    chance = verdict_at([0.25, 0.27, 0.26])
    assert baseline_note(chance, 0) == []
    (note,) = baseline_note(chance, 0.25)
    assert "27.0%" in note and "3 points of the 25.0% that one answer for all problems" in note
    assert baseline_note(verdict_at([0.25, 0.40, 0.40]), 0.25) == []
    seldom = verdict_at([0.01, 0.03, 0.03])
    assert "3 points of zero" in baseline_note(seldom, 0)[0]
    wide = replace(chance, thresholds={**chance.thresholds, "accuracy_margin": 0.5})
    assert is_near_baseline(wide, 0)


def test_a_sweep_names_the_configurations_at_chance():
    near = configuration({"training.learning_rate": 1e-3}, [0.2, 0.26, 0.25], [0.5, 0.45, 0.5])
    near = replace(near, seeds=replace(near.seeds, baseline=0.25))
    far = configuration({"training.learning_rate": 2e-3}, [0.3, 0.6, 0.6], [0.5, 0.45, 0.5])
    far = replace(far, seeds=replace(far.seeds, baseline=0.25))
    (note,) = baseline_notes([near, far])
    assert near.name in note and far.name not in note and "25.0%" in note
    assert baseline_notes([far]) == []
    assert any("25.0%" in said for said in near.seeds.judge(Rule(resamples=200)).notes)
