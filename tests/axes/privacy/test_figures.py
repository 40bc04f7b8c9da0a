"""Membership inference figures: the worst attack's, and each attack's, on rows of a known difference."""

from __future__ import annotations

import math
import zlib

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from overmem.artifacts.evidence import Evidence
from overmem.artifacts.jobs import EARLY_TRAIN, EARLY_VAL, TRAIN_SCORES, VAL_SCORES
from overmem.axes.axis import Available
from overmem.axes.privacy import AXIS
from overmem.axes.privacy.figures import (
    BASE_TRAIN,
    BASE_VAL,
    attack_measures,
    jobs,
    measures,
    privacy_figure,
)
from tests.helpers.privacy import planted, planted_early


def test_jobs():
    assert jobs(Available(sets=("val",), has_base=True)) == ()
    assert jobs(Available(sets=("val", "train"))) == (TRAIN_SCORES, VAL_SCORES)
    assert jobs(Available(sets=("val", "train"), has_base=True)) == (
        TRAIN_SCORES,
        VAL_SCORES,
        BASE_TRAIN,
        BASE_VAL,
    )


def test_measures_of_planted_memorization():
    evidence = planted(np.random.default_rng(0))
    found = {measure.name: measure for measure in measures(evidence)}
    attacks = ("loss", "zlib", "min_k", "min_k_plus_plus", "base")
    each = [f"{f}_{a}" for a in attacks for f in ("auroc", "tpr_at_1pct_fpr")]
    assert list(found) == ["auroc", "recall", *each]
    why = "1% false alarms on either half need at least 198 non-members, val has 120"
    assert found.pop("recall").reason == why
    assert found["auroc"].value() > 0.9
    for measure in found.values():
        assert measure.direction == "lower"
        assert list(measure.sizes.items()) == [("train:score", 150), ("val:score", 120)]
        assert 0 <= measure.value() <= 1
    assert found["auroc_loss"].value() > 0.9
    assert found["auroc_base"].value() > 0.9
    train, val = evidence.rows[TRAIN_SCORES], evidence.rows[VAL_SCORES]
    per_token = [rows["nll_nats"] / rows["n_tokens"] for rows in (train, val)]
    labels = np.repeat([0, 1], [150, 120])
    assert found["auroc_loss"].value() == pytest.approx(roc_auc_score(labels, pl.concat(per_token)))
    compressed = [
        rows["nll_nats"]
        / pl.Series([len(zlib.compress(f"so {i} apples".encode())) for i in rows["example_id"]])
        for rows in (train, val)
    ]
    assert found["auroc_zlib"].value() == pytest.approx(roc_auc_score(labels, pl.concat(compressed)))


def test_measures_do_not_depend_on_the_order_of_texts_base_rows_or_rows():
    evidence = planted(np.random.default_rng(1))
    shuffled = Evidence(
        rows={
            job: rows.sample(fraction=1, shuffle=True, seed=i)
            for i, (job, rows) in enumerate(evidence.rows.items())
        },
        texts={
            name: table.sample(fraction=1, shuffle=True, seed=9) for name, table in evidence.texts.items()
        },
    )
    for one, other in zip(measures(evidence), measures(shuffled), strict=True):
        assert one.value() == pytest.approx(other.value(), nan_ok=True)


def test_measures_need_both_sets_and_the_base_on_both():
    evidence = planted(np.random.default_rng(2))
    for missing in (TRAIN_SCORES, VAL_SCORES):
        rows = {job: table for job, table in evidence.rows.items() if job != missing}
        assert measures(Evidence(rows=rows, texts=evidence.texts)) == ()
    rows = {job: table for job, table in evidence.rows.items() if job != BASE_VAL}
    names = [measure.name for measure in measures(Evidence(rows=rows, texts=evidence.texts))]
    assert "auroc_loss" in names and "auroc_base" not in names


def test_tpr_needs_a_hundred_nonmembers_and_auroc_does_not():
    few = {m.name: m for m in measures(planted(np.random.default_rng(3), nonmembers=99))}
    assert few["tpr_at_1pct_fpr_loss"].reason == "1% FPR needs at least 100 non-members, val has 99"
    assert math.isnan(few["tpr_at_1pct_fpr_loss"].value())
    assert few["auroc_loss"].reason is None
    enough = {m.name: m for m in measures(planted(np.random.default_rng(3), nonmembers=100))}
    assert enough["tpr_at_1pct_fpr_loss"].reason is None


def test_an_example_without_text_or_base_row_leaves_its_attack_undefined_with_the_reason():
    evidence = planted(np.random.default_rng(4))
    texts = {"train": evidence.texts["train"][1:], "val": evidence.texts["val"]}
    rows = {**evidence.rows, BASE_VAL: evidence.rows[BASE_VAL][2:]}
    found = {m.name: m for m in measures(Evidence(rows=rows, texts=texts))}
    assert found["auroc_zlib"].reason == "1 of 270 examples have no score"
    assert found["tpr_at_1pct_fpr_base"].reason == "2 of 270 examples have no score"
    assert found["auroc_min_k"].reason is None


def test_no_members_is_a_reason():
    measure, _ = attack_measures("loss", np.array([]), np.ones(200))
    assert measure.reason == "no members (train) to compare"


def test_the_headline_is_the_worst_attacks_and_comes_first():
    evidence = planted_early(np.random.default_rng(0))
    found = {m.name: m for m in AXIS.measures(evidence)}
    assert list(found)[:2] == ["auroc", "recall"]
    # Only the early checkpoint tells: the others see a difference that is far below the rows' own spread.
    assert max(found[f"auroc_{name}"].value() for name in ("loss", "zlib", "min_k")) < 0.6
    assert found["auroc"].value() == pytest.approx(found["auroc_early"].value(), abs=0.01)
    assert found["auroc"].value() > 0.95 and found["recall"].value() > 0.5
    record = privacy_figure(evidence, "checkpoint-9")
    assert record.checkpoint == "checkpoint-9"
    assert record.auroc_attacks == record.recall_attacks == ("early",)
    assert record.auroc.value == found["auroc"].value() and record.recall.value == found["recall"].value()
    assert record.auroc.low < record.auroc.value < record.auroc.high <= 1
    assert record.false_alarms.value == pytest.approx(2 / 242) and record.false_alarms.high < 0.03


def test_an_early_checkpoint_against_itself_knows_nothing():
    evidence = planted(np.random.default_rng(1), with_base=False)
    itself = Evidence(
        rows=evidence.rows | {EARLY_TRAIN: evidence.rows[TRAIN_SCORES], EARLY_VAL: evidence.rows[VAL_SCORES]},
        texts=evidence.texts,
    )
    found = {m.name: m.value() for m in measures(itself)}
    assert found["auroc_early"] == 0.5 and found["tpr_at_1pct_fpr_early"] == 0.0
    assert found["auroc"] == {m.name: m.value() for m in measures(evidence)}["auroc"] > 0.9


def test_the_headline_leaves_out_attacks_that_lack_a_score():
    evidence = planted(np.random.default_rng(2))
    rows = {**evidence.rows, BASE_VAL: evidence.rows[BASE_VAL][2:]}
    found = {m.name: m for m in measures(Evidence(rows=rows, texts=evidence.texts))}
    without = {m.name: m for m in measures(planted(np.random.default_rng(2), with_base=False))}
    assert found["auroc_base"].reason is not None
    assert found["auroc"].value() == without["auroc"].value()


def test_a_handful_of_problems_has_no_headline_and_says_why():
    few = planted(np.random.default_rng(3), members=19, nonmembers=40)
    found = {m.name: m for m in measures(few)}
    assert "of 10 problems each: train has 19 and val 40" in found["auroc"].reason == found["recall"].reason
    record = privacy_figure(few, "last")
    assert math.isnan(record.auroc.value) and record.auroc.reason and record.false_alarms is None
    assert privacy_figure(Evidence(rows={}, texts={}), "last") is None
