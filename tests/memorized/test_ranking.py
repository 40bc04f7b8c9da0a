"""Ranked training rows of an audited run, and the training data without them.

Covers: overmem.memorized.clean_data
"""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from overmem.cli.app import app
from overmem.errors import DataError, RunError
from overmem.memorized.clean_data import clean_training_data, without_duplicates
from overmem.memorized.ranking import rank_training_rows
from overmem.records import Conversation, Example
from tests.helpers.privacy import write_audit

N, N_VAL = 60, 45
COLUMNS = {"columns": "prompt=ask,completion=reply"}
PLANTED = (3, 17, 41, 50, 58, 59)


def gains_of(rng):
    """All rows are learned until step 200; after it training rows go on, the planted ones by far the most."""
    shared = {0: -1.0, 100: 0.0, 200: 0.05, 300: 0.0, 400: -0.1}
    kept = np.zeros(N)
    kept[list(PLANTED)] = 1.0
    more = {300: 0.05 + kept, 400: 0.1 + 2 * kept}
    return {
        step: {
            "train": shared[step] + more.get(step, 0.0) + rng.normal(0, 0.01, N),
            "val": shared[step] + rng.normal(0, 0.01, N_VAL),
        }
        for step in shared
    }


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    rng = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("run")
    rows = [
        {"id": f"t{i:04d}", "ask": f"How many are {i} ?", "reply": f"so t{i:04d} apples", "by": "hand"}
        for i in range(N)
    ]
    # Two rows that are there once more, one of them memorized, and one that was not measured.
    rows.insert(5, {**rows[20], "id": "again", "ask": "How  many are 20 ?"})
    rows.insert(0, {**rows[3], "id": "twin"})
    rows.append({"id": "new", "ask": "How many are 99 ?", "reply": "so t0099 apples", "by": "hand"})
    source = folder / "train.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return (*write_audit(folder, rng, gains_of(rng), source=str(source), config=COLUMNS), rows)


def test_the_planted_rows_come_first(run):
    _, store, manifest, _ = run
    found = rank_training_rows(store, manifest)
    assert found.checkpoint == "checkpoint-400" and found.before == ("checkpoint-100", "checkpoint-200")
    assert set(found.highest(0.1)["example_id"]) == {f"t{i:04d}" for i in PLANTED}
    assert found.table["excess"].is_sorted(descending=True)
    # 0.1 above val for all, 2 more for the planted.
    assert found.table["excess"][:6].to_numpy() == pytest.approx(np.full(6, 2.1), abs=0.06)
    assert found.table["excess"][6:].to_numpy() == pytest.approx(np.full(N - 6, 0.1), abs=0.06)
    assert found.carried.value == pytest.approx(6 * 2.1 / (6 * 2.1 + 54 * 0.1), abs=0.02)
    assert "Of 60 training rows at checkpoint-400, the highest 6 carry" in found.words
    earlier = rank_training_rows(store, manifest, "checkpoint-300")
    assert earlier.table["excess"][0] < found.table["excess"][0]


def test_verbatim_is_a_second_half_of_first_choices(run):
    _, store, manifest, _ = run
    table = rank_training_rows(store, manifest).table
    rows = store.read_rows("checkpoint-400", "likelihood", "train-400", ("is_top1",))
    expected = {
        name: all(top1[len(top1) // 2 :]) for name, top1 in rows.select("example_id", "is_top1").iter_rows()
    }
    assert dict(table.select("example_id", "verbatim").iter_rows()) == expected


def test_what_cannot_be_ranked_is_said(run):
    _, store, manifest, _ = run
    for name in ("checkpoint-0", "checkpoint-100", "checkpoint-7"):
        with pytest.raises(RunError, match="earlier checkpoints"):
            rank_training_rows(store, manifest, name)
    alone = type(manifest)(splits={"val": manifest.splits["val"]}, checkpoints=manifest.checkpoints)
    with pytest.raises(RunError, match="--all-train"):
        rank_training_rows(store, alone)


def test_clean_data_are_the_records_as_they_were_without_listed_rows_and_duplicates(run, tmp_path):
    folder, _, _, rows = run
    out = tmp_path / "clean.jsonl"
    found = clean_training_data(folder, out)
    listed = {f"t{i:04d}" for i in PLANTED}
    # Of the two that are the same but for white space the first stays.
    expected = [row for row in rows if row["id"] not in {*listed, "twin", "t0020"}]
    assert [json.loads(line) for line in out.read_text().splitlines()] == expected
    assert (found.n, found.memorized, found.duplicates) == (len(expected), 7, 1)
    assert "only 60 of 63 rows were measured" in found.words and "--all-train" in found.words
    assert clean_training_data(folder, tmp_path / "all.jsonl", share=0).memorized == 0
    with pytest.raises(RunError, match="exists already"):
        clean_training_data(folder, folder / "train.jsonl")


def test_clean_refuses_what_it_cannot_do_and_writes_nothing(run, tmp_path):
    folder, *_ = run
    out = tmp_path / "clean.jsonl"
    for share in (-0.1, 1.0):
        with pytest.raises(RunError, match="out of range"):
            clean_training_data(folder, out, share=share)
    source = folder / "train.jsonl"
    kept = source.read_text()
    lines = kept.splitlines(keepends=True)
    fewer, others = lines[:30], [line.replace("so t00", "so t01") for line in lines]
    for now in (fewer, others):
        source.write_text("".join(now))
        try:
            with pytest.raises(DataError, match="no longer those that were audited"):
                clean_training_data(folder, out)
        finally:
            source.write_text(kept)
    assert not out.exists()


def test_duplicates_differ_in_white_space_at_most():
    one, same, other = Example("1", "a  b", "c"), Example("2", "a b ", "c\n"), Example("3", "a b", "C")
    assert [example.id for example in without_duplicates([one, same, other])] == ["1", "3"]
    inside, after = (Example("1", "q", f"for i in x:\n    a()\n{indent}b()") for indent in ("    ", ""))
    assert len(without_duplicates([inside, after])) == 2
    tools = Conversation(tools=({"name": "add"},))
    assert len(without_duplicates([one, Example("2", "a b", "c", chat=tools)])) == 2


def test_a_row_that_json_cannot_hold_is_named(run, tmp_path):
    folder, *_ = run
    rows = pl.read_ndjson(folder / "train.jsonl").with_columns(day=pl.date(2026, 1, 1))
    kept = (folder / "train.jsonl").read_bytes()
    rows.write_parquet(folder / "train.jsonl.parquet")
    manifest = folder / "overmem" / "manifest.json"
    before = manifest.read_text()
    manifest.write_text(before.replace("train.jsonl", "train.jsonl.parquet"))
    try:
        with pytest.raises(DataError, match="cannot be written as JSON"):
            clean_training_data(folder, tmp_path / "clean.jsonl")
    finally:
        manifest.write_text(before)
    assert (folder / "train.jsonl").read_bytes() == kept


def call(*arguments):
    return CliRunner().invoke(app, list(map(str, arguments)))


def test_the_commands_list_write_and_clean(run, tmp_path):
    folder, *_ = run
    table, out = tmp_path / "rows.csv", tmp_path / "clean.jsonl"
    listed = call("data", "memorized", folder, "--csv", table, "--rows", "3")
    assert listed.exit_code == 0, listed.output
    assert "the highest 6 carry" in " ".join(listed.output.split())
    shown = [line.split() for line in listed.output.splitlines() if line.startswith("t00")]
    assert len(shown) == 3 and all(float(line[1]) == pytest.approx(2.1, abs=0.06) for line in shown)
    assert all("apples" in line and len(" ".join(line)) <= 80 for line in shown)
    lines = table.read_text().splitlines()
    assert lines[0] == "example_id,excess,nll_before,nll,n_tokens,verbatim,prompt,completion"
    assert len(lines) == N + 1 and lines[1].split(",")[0] in {f"t{i:04d}" for i in PLANTED}
    record = json.loads(call("data", "memorized", folder, "--json").output)
    assert record["schema"] == "overmem.memorized/1" and len(record["rows"]) == 10
    cleaned = call("data", "clean", folder, "--out", out)
    assert "7 memorized rows and 1 duplicates left out" in " ".join(cleaned.output.split())
    wrong = call("data", "clean", folder, "--out", out, "--share", "2")
    assert isinstance(wrong.exception, RunError)  # `overmem.cli.app.main` prints it and exits with 2
