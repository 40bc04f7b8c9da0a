"""Membership inference against zlib and full softmaxes; and when not to believe its figures."""

from __future__ import annotations

import itertools
import math
import zlib

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from overmem.artifacts.evidence import Evidence
from overmem.artifacts.jobs import TRAIN_SCORES, VAL_SCORES
from overmem.axes.axis import Available
from overmem.axes.privacy import (
    BASE_TRAIN,
    BASE_VAL,
    attack_measures,
    distribution_warnings,
    jobs,
    loss_score,
    measures,
    min_k_plus_plus_score,
    min_k_score,
    reference_score,
    source_warnings,
    zlib_score,
)


def test_loss_zlib_and_reference_by_hand():
    assert loss_score(np.array([6.0, 1.0]), np.array([3.0, 4.0])).tolist() == [-2.0, -0.25]
    assert reference_score(np.array([6.0]), np.array([9.0]), np.array([3.0])).tolist() == [1.0]
    # Three literals and their end are 34 bits, so 5 bytes; header and checksum are 2 and 4.
    assert len(zlib.compress(b"abc")) == 11
    assert zlib_score(22.0, "abc") == -2.0
    assert zlib_score(1.0, "é") == -1.0 / len(zlib.compress(b"\xc3\xa9"))


def test_zlib_discounts_what_is_repetitive():
    assert zlib_score(10.0, "the same words again " * 20) < zlib_score(
        10.0, "".join(map(chr, range(40, 460)))
    )


def test_min_k_is_the_mean_of_the_lowest_fifth():
    logprobs = [-1.0, -9.0, -2.0, -3.0, -4.0, -5.0, -0.5, -0.1, -7.0, 0.0]
    assert min_k_score(logprobs) == -8.0
    assert min_k_score(logprobs[:9]) == -9.0  # a fifth of 9 tokens is 1, rounded down
    assert min_k_score(logprobs[:3]) == -9.0  # and never none
    assert min_k_score(logprobs, share=1.0) == pytest.approx(np.mean(logprobs))
    assert math.isnan(min_k_score([]))
    with pytest.raises(ValueError, match="got 0"):
        min_k_score(logprobs, share=0)


@pytest.mark.parametrize(("tokens", "share"), [(1, 0.2), (4, 0.2), (23, 0.2), (50, 0.1), (50, 1.0)])
def test_min_k_plus_plus_against_full_softmaxes(tokens, share):
    rng = np.random.default_rng(tokens)
    logprobs, mus, sigmas, zs = [], [], [], []
    for _ in range(tokens):
        logits = rng.normal(scale=3, size=97)
        probs = np.exp(logits) / np.exp(logits).sum()
        token = rng.choice(97, p=probs)
        mu = sum(p * math.log(p) for p in probs)
        sigma = math.sqrt(sum(p * (math.log(p) - mu) ** 2 for p in probs))
        logprobs.append(math.log(probs[token]))
        mus.append(mu)
        sigmas.append(sigma)
        zs.append((math.log(probs[token]) - mu) / sigma)
    lowest = sorted(zs)[: max(1, int(tokens * share))]
    assert min_k_plus_plus_score(logprobs, mus, sigmas, share) == pytest.approx(sum(lowest) / len(lowest))


def test_a_certain_model_has_no_z_to_speak_of():
    assert min_k_plus_plus_score([0.0], [0.0], [0.0]) == 0.0
    assert min_k_plus_plus_score([-50.0], [0.0], [0.0]) < -1e6


# Evidence: rows as the store has them, of sets whose true difference is known.


def score_rows(rng, prefix, size, *, gain=0.0, shortest=20, longest=60):
    """Likelihood rows; `gain` nats a token more probable."""
    rows = []
    for i in range(size):
        length = int(rng.integers(shortest, longest))
        logprob = -rng.exponential(0.5, size=length) * math.exp(-gain)
        rows.append(
            {
                "example_id": f"{prefix}{i:04d}",
                "n_tokens": length,
                "nll_nats": float(-logprob.sum()),
                "logprob": logprob.tolist(),
                "mu": (-rng.exponential(0.5, size=length)).tolist(),
                "sigma": rng.uniform(0.5, 1, size=length).tolist(),
            }
        )
    schema = {"logprob": pl.List(pl.Float32), "mu": pl.List(pl.Float32), "sigma": pl.List(pl.Float32)}
    return pl.DataFrame(rows, schema_overrides=schema)


def texts_of(rows):
    return rows.select(
        "example_id",
        prompt=pl.lit("Q"),
        completion=pl.concat_str(pl.lit("so "), "example_id", pl.lit(" apples")),
        answer=pl.lit("1"),
    )


def evidence_of(train, val, *, base=None, sources=None):
    rows = {TRAIN_SCORES: train, VAL_SCORES: val}
    if base is not None:
        rows |= {BASE_TRAIN: base[0], BASE_VAL: base[1]}
    return Evidence(rows=rows, texts={"train": texts_of(train), "val": texts_of(val)}, sources=sources or {})


def planted(rng, *, members=150, nonmembers=120, with_base=True):
    train, val = score_rows(rng, "t", members, gain=0.5), score_rows(rng, "v", nonmembers)
    if not with_base:
        return evidence_of(train, val)
    base = [rows.with_columns(nll_nats=rows["n_tokens"] * 0.55) for rows in (train, val)]
    return evidence_of(train, val, base=base)


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
    assert list(found) == [f"{f}_{a}" for a in attacks for f in ("auroc", "tpr_at_1pct_fpr")]
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
        assert one.value() == pytest.approx(other.value())


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
