"""Sums of tokens, against their lists, full softmaxes, and the files of earlier audits."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest

from overmem.artifacts import tables
from overmem.artifacts.store import Store
from overmem.artifacts.tables import IDENTITY, SCHEMAS, TOKENS, WITHOUT_TOKENS
from overmem.artifacts.token_sums import (
    AT_TEMPERATURE,
    SUMS,
    cells_of,
    confidence_cells,
    min_k_plus_plus_score,
    min_k_score,
    sums_of,
    with_sums,
)
from overmem.errors import ArtifactError

GRID = 3


def scored(lengths, seed=0):
    """Rows as they are scored, of made-up tokens."""
    rng = np.random.default_rng(seed)
    return [
        {
            "row_key": "k",
            "split": "val",
            "example_id": f"p{i:03d}",
            "example_sha": f"p{i:03d}",
            "n_tokens": n,
            "nll_nats": 1.0,
            "logprob": (-rng.exponential(1.0, n)).tolist(),
            "entropy": rng.exponential(1.0, n).tolist(),
            "is_top1": (rng.random(n) < 0.8).tolist(),
            "top1_logprob": (-rng.exponential(0.1, n)).tolist(),
            "mu": (-rng.exponential(1.0, n)).tolist(),
            "sigma": rng.uniform(0.5, 1, n).tolist(),
            AT_TEMPERATURE: (-rng.exponential(1.0, (n, GRID))).tolist(),
        }
        for i, n in enumerate(lengths)
    ]


def written_before_sums(folder, rows):
    """The file of an audit that kept lists alone."""
    kinds = {name: kind for name, kind in SCHEMAS["likelihood"].items() if name not in SUMS}
    kinds |= {AT_TEMPERATURE: pl.List(pl.List(pl.Float32))}
    (folder / "c").mkdir(parents=True)
    table = pl.DataFrame(rows, schema=kinds)
    table.write_parquet(folder / "c" / "likelihood.parquet", metadata={"schema": "overmem.likelihood/1"})
    return Store(folder)


def test_sums_are_those_of_the_lists(tmp_path):
    rows = scored([1, 2, 9, 40])
    store = Store(tmp_path)
    store.append_rows("c", "likelihood", rows)
    store.compact_parts("c", "likelihood")
    found = store.read_rows("c", "likelihood").to_dicts()
    for row, kept in zip(rows, found, strict=True):
        of = {name: np.array(row[name], dtype=np.float32).astype(float) for name in (*TOKENS, AT_TEMPERATURE)}
        assert kept["last_logprob"] == of["logprob"][-1]
        assert kept["nll_at_temperature"] == pytest.approx(-of[AT_TEMPERATURE].sum(axis=0), abs=1e-9)
        low = max(1, row["n_tokens"] // 5)
        assert kept["min_k"] == pytest.approx(np.sort(of["logprob"])[:low].mean(), abs=1e-9)
        z = (of["logprob"] - of["mu"]) / of["sigma"]
        assert kept["min_k_plus_plus"] == pytest.approx(np.sort(z)[:low].mean(), abs=1e-9)
        assert kept["second_half_is_top1"] == all(row["is_top1"][row["n_tokens"] // 2 :])
        assert sum(kept["cell_tokens"]) == row["n_tokens"] and sum(kept["cell_right"]) == sum(row["is_top1"])
        assert sum(kept["cell_confidence"]) == pytest.approx(np.exp(of["top1_logprob"]).sum(), abs=1e-9)


@pytest.mark.parametrize(
    ("top1", "known"),
    [([0, 0, 1, 1], True), ([1, 1, 0, 1], False), ([0, 1, 1], True), ([0, 0, 0, 1, 1], False), ([1], True)],
)
def test_a_second_half_begins_at_half_of_the_tokens_rounded_down(top1, known):
    assert sums_of({"is_top1": np.array(top1, dtype=bool)})["second_half_is_top1"] is known


def test_cells_are_a_64th_of_a_logit_in_order_of_confidence():
    p = np.array([1e-7, 0.2, 0.5, 0.51, 0.53, 0.9, 1 - 1e-12, 1.0])
    logit = np.log(p[1:6] / (1 - p[1:6]))
    assert confidence_cells(np.log(p)).tolist() == [
        0, *(math.floor(64 * (x + 13)) for x in logit), 2047, 2047,
    ]  # fmt: skip
    found = cells_of(np.log([0.9, 0.501, 0.9, 0.5001]), [True, False, False, True])
    assert found["cell"] == [832, 972]
    assert (found["cell_tokens"], found["cell_right"]) == ([2, 2], [1, 1])
    assert found["cell_confidence"] == pytest.approx([1.0011, 1.8])


def test_rows_of_an_earlier_audit_are_read_and_merged_with_new_ones(tmp_path):
    rows = scored([3, 1, 12])
    old = written_before_sums(tmp_path / "old", rows[:2])
    new = Store(tmp_path / "new")
    new.append_rows("c", "likelihood", rows)
    every = new.read_rows("c", "likelihood")
    assert old.read_rows("c", "likelihood").equals(every[:2])
    for column in (*WITHOUT_TOKENS["likelihood"], *TOKENS):
        assert old.read_rows("c", "likelihood", columns=[column])[column].equals(every[:2][column])
    some = old.read_rows("c", "likelihood", columns=["logprob", "min_k"], ids=["p001"])
    assert some.equals(every[1:2].select(*IDENTITY["likelihood"], "logprob", "min_k"))
    old.append_rows("c", "likelihood", rows[2:])
    assert old.read_rows("c", "likelihood").equals(every)
    old.compact_parts("c", "likelihood")
    assert old.read_rows("c", "likelihood").equals(every)
    assert pl.read_parquet_metadata(tmp_path / "old" / "c" / "likelihood.parquet")["schema"].endswith("/2")


def test_what_is_not_known_of_tokens_is_not_known_of_their_sums():
    (row,) = scored([4])
    lists = {name: row[name] for name in (*TOKENS, AT_TEMPERATURE)}
    kinds = {name: pl.List(pl.Float32) for name in TOKENS} | {"is_top1": pl.List(pl.Boolean)}
    kinds |= {AT_TEMPERATURE: pl.List(pl.List(pl.Float32))}
    nothing = dict.fromkeys(lists)
    unknown = lists | {"mu": [math.nan] * 4, "sigma": [math.nan] * 4, AT_TEMPERATURE: [[]] * 4}
    uneven = lists | {AT_TEMPERATURE: [[-1.0], [-1.0, -2.0], [], [-1.0]]}
    table = with_sums(pl.DataFrame([nothing, unknown, lists, uneven, nothing], schema=kinds))
    assert table.select(list(SUMS))[0].row(0) == table.select(list(SUMS))[4].row(0) == (None,) * len(SUMS)
    assert math.isnan(table["min_k_plus_plus"][1]) and table["min_k"][1] == table["min_k"][2]
    assert table["nll_at_temperature"].list.len().to_list() == [None, 0, GRID, 0, None]
    assert with_sums(pl.DataFrame({"n_tokens": [1]})).select(list(SUMS)).row(0) == (None,) * len(SUMS)


def test_a_part_of_a_file_is_read_without_the_rest(tmp_path, monkeypatch):
    store = Store(tmp_path)
    store.append_rows("c", "likelihood", scored([2] * 9))
    spans = []
    read = tables.read_table
    monkeypatch.setattr(tables, "read_table", lambda *a: (spans.append(a[3:]), read(*a))[1])
    found = store.read_rows("c", "likelihood", columns=["logprob"], ids=["p003", "p005"])
    assert found["example_id"].to_list() == ["p003", "p005"] and spans == [(), ((3, 3),)]
    assert len(store.read_rows("c", "likelihood", columns=["logprob"], ids=["none"])) == 0


def test_lists_that_are_not_of_a_rows_tokens_are_refused_in_files_of_either_kind(tmp_path):
    (row,) = scored([4])
    store = written_before_sums(tmp_path, [row | {AT_TEMPERATURE: [[-1.0]]}])
    with pytest.raises(ArtifactError, match=r"`logprob_at_temperature` is not of the row's tokens"):
        store.read_rows("c", "likelihood", columns=["n_tokens", "nll_at_temperature"])


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
