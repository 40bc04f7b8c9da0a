"""Merging: every row once, in order, from files of any number, in parts of any size."""

from __future__ import annotations

import random

import polars as pl
import pytest

from overmem.artifacts import merge_files
from overmem.artifacts.merge_files import merged, names_of
from overmem.artifacts.store import Store
from overmem.artifacts.tables import SCHEMAS, read_rows_file, write_rows_file


def rows_of(ids, key="k"):
    rng = random.Random(0)
    lists = {name: [0.5] * 40 for name in ("logprob", "entropy", "top1_logprob", "mu", "sigma")}
    return [
        {
            "row_key": key,
            "split": rng.choice(["val", "train"]),
            "example_id": f"p{i:03d}",
            "example_sha": "s",
            "n_tokens": 40,
            "nll_nats": float(i),
            "is_top1": [True] * 40,
            **lists,
        }
        for i in ids
    ]


@pytest.mark.parametrize("most_bytes", [1, 3_000, 1 << 30])
def test_parts_of_any_size_are_all_rows_in_order_and_each_once(tmp_path, monkeypatch, most_bytes):
    store = Store(tmp_path)
    order = random.Random(1).sample(range(60), 60)
    rows = rows_of(range(60))
    for start in range(0, 60, 7):
        store.append_rows("c", "likelihood", [rows[i] for i in order[start : start + 7]])
    other = rows_of([order[0], order[9]])
    store.append_rows(
        "c",
        "likelihood",
        [row | {"nll_nats": -1.0, "split": rows[int(row["nll_nats"])]["split"]} for row in other],
    )
    files = sorted((tmp_path / "c" / "likelihood.parts").glob("*.parquet"))
    expected = store.read_rows("c", "likelihood").sort("row_key", "split", "example_id")
    monkeypatch.setattr(merge_files, "MOST_BYTES", most_bytes)
    parts = list(merged(files, "likelihood", names_of(files, "likelihood")))
    assert pl.concat(parts).equals(expected) and len(expected) == 60
    assert (len(parts) > 30, len(parts) == 1) == (most_bytes == 1, most_bytes == 1 << 30)
    store.compact_parts("c", "likelihood")
    assert store.read_rows("c", "likelihood").equals(expected)


def test_a_part_reads_no_file_without_its_rows(tmp_path, monkeypatch):
    for number in range(4):
        table = pl.DataFrame(rows_of(range(3 * number, 3 * number + 3)), schema=SCHEMAS["likelihood"])
        write_rows_file(
            [table.with_columns(split=pl.lit("val"))], tmp_path / f"{number}.parquet", "likelihood"
        )
    files = sorted(tmp_path.glob("*.parquet"))
    names = names_of(files, "likelihood")
    monkeypatch.setattr(merge_files, "MOST_BYTES", 3 * int(names["bytes"].max()))
    read = []
    monkeypatch.setattr(merge_files, "read_rows_file", lambda *a: (read.append(a), read_rows_file(*a))[1])
    assert sum(map(len, merged(files, "likelihood", names))) == 12
    assert len(read) <= 8 and all(1 <= len(ids) <= 3 for *_, ids in read)


def test_rows_dropped_and_taken_over_are_those_of_their_settings(tmp_path):
    store, other = Store(tmp_path / "a"), Store(tmp_path / "b")
    store.append_rows("c", "likelihood", [*rows_of([2, 1]), *rows_of([1], "old")])
    other.append_rows("c", "likelihood", [row | {"nll_nats": 9.0} for row in rows_of([3, 2])])
    store.drop_rows("c", "likelihood", "old")
    store.copy_missing_rows(other, "c")
    found = store.read_rows("c", "likelihood").sort("example_id")
    assert found.select("row_key", "nll_nats").rows() == [("k", 1.0), ("k", 2.0), ("k", 9.0)]
    store.drop_rows("c", "likelihood", "k")
    assert len(store.read_rows("c", "likelihood")) == 0
    before = (tmp_path / "b" / "c" / "likelihood.parts").stat().st_mtime_ns
    other.copy_missing_rows(store, "c")
    assert (tmp_path / "b" / "c" / "likelihood.parts").stat().st_mtime_ns == before


def test_a_written_file_lies_in_groups_that_are_read_apart(tmp_path, monkeypatch):
    import pyarrow.parquet

    monkeypatch.setattr("overmem.artifacts.parquet.GROUP_BYTES", 4_000)
    table = pl.DataFrame(rows_of(range(50)), schema=SCHEMAS["likelihood"])
    write_rows_file([table[:20], table[20:]], tmp_path / "r.parquet", "likelihood")
    file = pyarrow.parquet.ParquetFile(tmp_path / "r.parquet")
    assert file.num_row_groups > 8 and file.metadata.num_rows == 50
    assert read_rows_file(tmp_path / "r.parquet", "likelihood", list(SCHEMAS["likelihood"])).equals(table)
