"""When not to believe the figures of privacy: members and non-members from different distributions."""

from __future__ import annotations

import itertools

import numpy as np
import polars as pl
import pytest

from overmem.artifacts.evidence import Evidence
from overmem.artifacts.jobs import TRAIN_SCORES, VAL_SCORES
from overmem.axes.privacy.same_distribution import distribution_warnings, source_warnings
from tests.helpers.privacy import evidence_of, score_rows


def test_a_planted_difference_of_length_is_found_in_either_direction():
    rng = np.random.default_rng(0)
    short, long = score_rows(rng, "t", 100, longest=50), score_rows(rng, "v", 100, longest=70)
    for train, val, side in ((short, long, "AUROC 0.3"), (long, short, "AUROC 0.6")):
        (warning,) = distribution_warnings(evidence_of(train, val))
        assert warning.startswith("The length of a completion alone tells train from val: ")
        assert side in warning and "n = 100 and 100" in warning


def test_a_base_model_that_knows_the_difference_is_found():
    rng = np.random.default_rng(1)
    base = score_rows(rng, "t", 100, gain=0.3), score_rows(rng, "v", 100)
    train, val = (rows.with_columns(nll_nats=pl.col("nll_nats") / 2) for rows in base)
    (warning,) = distribution_warnings(evidence_of(train, val, base=base))
    assert warning.startswith("The base model's loss tells train from val: AUROC ")


def test_rows_of_one_group_are_no_more_certain_than_one():
    once = [
        pl.DataFrame({"n_tokens": np.linspace(low, low + 40, 30).round().astype(int)}) for low in (20, 26)
    ]
    names = {"example_id": [*map(str, range(240))], "group": [*map(str, range(30))] * 8}
    copies = [pl.concat([rows] * 8).with_columns(pl.Series(k, v) for k, v in names.items()) for rows in once]
    alone = [rows.drop("group") for rows in copies]
    said = [
        bool(distribution_warnings(Evidence(rows={TRAIN_SCORES: a, VAL_SCORES: b}, texts={}), draws=400))
        for a, b in (once, copies, alone)
    ]
    assert said == [False, False, True]


def test_warnings_are_the_same_each_time_and_none_for_a_handful():
    rng = np.random.default_rng(0)
    evidence = evidence_of(score_rows(rng, "t", 100, longest=40), score_rows(rng, "v", 100))
    assert distribution_warnings(evidence) == distribution_warnings(evidence) != ()
    few = evidence_of(evidence.rows[TRAIN_SCORES][:19], evidence.rows[VAL_SCORES])
    assert distribution_warnings(few) == ()
    assert distribution_warnings(Evidence(rows={}, texts={})) == ()


@pytest.mark.parametrize(("size", "most"), [(25, 0.09), (100, 0.09), (400, 0.05)])
def test_equal_distributions_are_seldom_suspected(size, most):
    # 200 seeds: a rate of 5% is seen above 9% less than one time in a hundred.
    suspected = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        train, val = (
            pl.DataFrame({"n_tokens": np.round(rng.gamma(4, 30, size=size)).astype(int)}) for _ in range(2)
        )
        evidence = Evidence(rows={TRAIN_SCORES: train, VAL_SCORES: val}, texts={})
        suspected += bool(distribution_warnings(evidence, seed=seed, draws=300))
    assert suspected / 200 <= most


SAME = [
    ("wordmath:train[:400]", "wordmath:val"),
    ("gsm8k#train", "gsm8k"),
    ("gsm8k#train", "openai/gsm8k#main/test"),
    ("gsm8k:../data/train.jsonl", "gsm8k:elsewhere/test.jsonl[:50]"),
    ("data/train.jsonl", "data/val.parquet"),
    ("data/train.jsonl", "./data/other/../val.jsonl"),
    ("train.jsonl[:10]", "train.jsonl[10:]"),
    ("owner/set#train", "owner/set#test"),
    ("no_such_task:x", "data/val.jsonl"),  # cannot be read here, so nothing is said of it
]
OTHER = [
    ("wordmath:train", "gsm8k"),
    ("gsm8k:data/gsm.jsonl", "svamp:data/svamp.jsonl"),
    ("data/a/train.jsonl", "data/b/val.jsonl"),
    ("owner/set#train", "owner/another#train"),
    ("gsm8k#train", "data/val.jsonl"),
    ("wordmath:train", "val.jsonl"),
]


@pytest.mark.parametrize(("train", "val"), SAME)
def test_one_data_set_gives_no_warning(train, val):
    assert source_warnings({"train": train, "val": val}) == ()


@pytest.mark.parametrize(("train", "val"), [*OTHER, *((b, a) for a, b in OTHER)])
def test_two_data_sets_give_a_warning_that_names_them(train, val):
    (warning,) = distribution_warnings(
        Evidence(rows={}, texts={}, sources={"train": train, "val": val, "ood/x": "gsm_hard"})
    )
    assert f"train ({train}) and val ({val}) name different data sets" in warning


def test_sources_are_compared_only_when_both_are_known():
    for known in itertools.chain([()], [("train",), ("val",)]):
        assert source_warnings({name: "gsm8k" for name in known}) == ()
