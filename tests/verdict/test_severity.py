"""The excess taken apart: as all tokens at once would have it, in whatever parts they are read."""

import numpy as np
import polars as pl
import pytest

import overmem
from overmem.artifacts.evidence import MeasuredCheckpoint
from overmem.artifacts.jobs import VAL_SCORES
from overmem.artifacts.manifest import read_manifest
from overmem.artifacts.store import Store
from overmem.axes.excess import split_excess
from overmem.verdict import severity
from tests.helpers.synthetic import write_run

LAST, LOWEST = "checkpoint-600", "checkpoint-300"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return Store(write_run(tmp_path_factory.mktemp("severity"), axes=False, train=False) / "overmem")


def test_the_verdict_splits_the_excess_of_all_tokens(store):
    verdict = overmem.diagnose(store.root.parent, save=False)
    assert verdict.alternatives["lowest_perplexity"] == LOWEST
    last, lowest = (store.read_rows(name, "likelihood").sort("example_id") for name in (LAST, LOWEST))
    flat = [table[name].explode().to_numpy() for table in (last, lowest) for name in ("logprob", "is_top1")]
    expected = split_excess(*flat)
    assert verdict.severity.own_path_share == pytest.approx(expected.own_path_share, abs=1e-6)
    assert verdict.severity.excess_nll_nats.value == pytest.approx(expected.total, abs=1e-6)
    nll_G = np.stack(last["nll_at_temperature"].to_list())
    assert verdict.severity.temperature_recovers_share > 0 and nll_G.shape == (60, 7)


@pytest.mark.parametrize("at_once", [1, 100, 1 << 20])
def test_parts_change_nothing_and_hold_no_more_than_they_may(store, monkeypatch, at_once):
    places = [MeasuredCheckpoint(store, read_manifest(store), name) for name in (LAST, LOWEST)]
    rows = places[0].rows(VAL_SCORES)
    whole = severity.read_excess_cells(*places, rows)
    read = []
    tokens = MeasuredCheckpoint.tokens

    def counted(*arguments):
        table = tokens(*arguments)
        read.append((len(table), int(table["logprob"].list.len().sum())))
        return table

    monkeypatch.setattr(MeasuredCheckpoint, "tokens", counted)
    monkeypatch.setattr(severity, "TOKENS_AT_ONCE", at_once)
    for name, nats_N in severity.read_excess_cells(*places, rows).items():
        np.testing.assert_array_equal(nats_N, whole[name])
    assert all(n == 1 or held <= at_once for n, held in read)
    assert sum(held for _, held in read) == 2 * rows["n_tokens"].sum()


def test_a_verdict_reads_no_lists_of_tokens_but_for_two_checkpoints(store, monkeypatch):
    lists = []
    read = Store.read_rows

    def counted(self, checkpoint, rows, row_key=None, columns=None, ids=None):
        table = read(self, checkpoint, rows, row_key, columns, ids)
        lists.extend((checkpoint, name) for name, kind in table.schema.items() if kind == pl.List(pl.Float32))
        return table

    monkeypatch.setattr(Store, "read_rows", counted)
    overmem.diagnose(store.root.parent, save=False)
    assert sorted(lists) == [(LOWEST, "logprob"), (LAST, "logprob")]
