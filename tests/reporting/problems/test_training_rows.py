"""Every training row that was measured, with what is memorized of it."""

import base64
import gzip
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

import overmem
from overmem.artifacts.manifest import read_manifest
from overmem.artifacts.store import Store
from overmem.memorized.ranking import rank_training_rows
from overmem.reporting.problems import training_rows as module
from overmem.reporting.problems.lists import training_part
from overmem.reporting.problems.training_rows import TrainingRows
from overmem.reporting.run import read_saved
from tests.helpers.synthetic import byte_tokenizer, write_run
from tests.helpers.verdicts import make_verdict


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_run(tmp_path_factory.mktemp("lists") / "run", problems=40)
    overmem.diagnose(folder)
    return folder


def listed(folder: Path) -> tuple[TrainingRows, list[dict[str, Any]]]:
    found = read_saved(folder, with_lists=True).training
    assert found is not None
    return found, json.loads(gzip.decompress(base64.b64decode(found.packed)))["rows"]


def test_all_rows_are_there_in_the_order_of_the_ranking(run: Path) -> None:
    found, rows = listed(run)
    store = Store(run / "overmem")
    ranked = rank_training_rows(store, read_manifest(store), "checkpoint-600").table
    assert found.n == found.n_measured == len(rows) == len(ranked) == 40
    last = found.models.index("checkpoint-600")
    excess = dict(ranked.select("example_id", "excess").iter_rows())
    assert [row["excess"][last] for row in rows] == sorted(
        (row["excess"][last] for row in rows), reverse=True
    )
    for row in rows:
        assert row["excess"][last] == pytest.approx(excess[row["id"]], abs=5e-4)


def test_every_row_written_word_for_word_has_its_halves_marked(run: Path) -> None:
    found, rows = listed(run)
    known = pl.read_parquet(run / "overmem" / "checkpoint-600" / "continuations.parquet")
    known = known.filter(pl.col("split") == "train")
    last = found.models.index("checkpoint-600")
    exact = {row["id"] for row in rows if row["exact"][last]}
    assert exact == set(known.filter("exact")["example_id"]) and len(exact) > 5
    halves = {line["example_id"]: line for line in known.iter_rows(named=True)}
    tokenizer = byte_tokenizer()
    for row in rows:
        if row["id"] not in exact:
            continue
        given, ends = row["cut"]
        half = halves[row["id"]]
        assert row["same"][last] == [half["n_compared"], half["n_compared"]]
        # One token a byte; the blank before the solution is not shown, and the end of the turn is one token.
        assert given == half["n_prefix"] - 1
        assert ends == min(len(row["solution"]), given + half["n_compared"])
        assert len(tokenizer.encode(row["solution"]).ids) == len(row["solution"])


def test_without_a_tokenizer_solutions_are_shown_unmarked(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", tokenizer=False)
    overmem.diagnose(folder)
    found, rows = listed(folder)
    assert found.unsplit == sum(any(row["exact"]) for row in rows) > 0
    assert all(row.get("cut") is None for row in rows)


def test_the_order_is_that_of_the_last_checkpoint() -> None:
    def at(excess: list[float]) -> Any:
        columns = {"example_id": ["a", "b"], "excess": excess, "nll": [1.0, 1.0], "verbatim": [False, False]}
        return SimpleNamespace(table=pl.DataFrame(columns))

    texts = pl.DataFrame({"example_id": ["a", "b"], "prompt": ["p", "q"], "completion": ["x", "y"]})
    found = module.training_rows({"first": at([2.0, 1.0]), "last": at([1.0, 2.0])}, {}, texts, None, ())
    assert found is not None
    rows = json.loads(gzip.decompress(base64.b64decode(found.packed)))["rows"]
    assert [row["id"] for row in rows] == ["b", "a"] and rows[0]["excess"] == [1.0, 2.0]


def test_where_nothing_was_compared_it_is_not_known_whether_it_is_word_for_word() -> None:
    texts = pl.DataFrame({"example_id": ["a"], "prompt": ["p"], "completion": ["x"]})
    half = pl.DataFrame(
        {"example_id": ["a"], "n_same": [0], "n_compared": [0], "n_prefix": [0], "exact": [True]}
    )
    found = module.training_rows({}, {"last": half}, texts, None, ())
    assert found is not None
    (row,) = json.loads(gzip.decompress(base64.b64decode(found.packed)))["rows"]
    assert row["exact"] == [None] and "cut" not in row


def test_too_many_rows_leave_the_least_memorized_out(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, every = listed(run)
    monkeypatch.setattr(module, "MOST", 10)
    found, rows = listed(run)
    assert (found.n, found.n_measured) == (10, 40)
    assert [row["id"] for row in rows] == [row["id"] for row in every[:10]]


def test_only_what_is_known_can_be_chosen(run: Path) -> None:
    found, _ = listed(run)
    part = training_part(found, make_verdict())
    assert ("memorized", "memorized (over 0)") in part["shows"] and len(part["orders"]) == 2
    unranked = training_part(TrainingRows(**{**vars(found), "ranked": False}), make_verdict())
    assert "memorized" not in dict(unranked["shows"]) and "loss" not in dict(unranked["orders"])


def test_a_run_without_training_data_has_no_list(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", train=False, axes=False)
    overmem.diagnose(folder)
    saved = read_saved(folder, with_lists=True)
    assert saved.training is None and saved.problems is not None
