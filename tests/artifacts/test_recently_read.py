from pathlib import Path

import polars as pl

from overmem.artifacts import store as store_module
from overmem.artifacts.recently_read import RecentlyRead
from overmem.artifacts.store import Store

ROW = {"row_key": "k", "split": "val", "example_id": "1", "example_sha": "s", "n_tokens": 1, "nll_nats": 2.0}


def counted(monkeypatch):
    """The paths that are read from here on."""
    read = []
    real = store_module.read_rows_file
    monkeypatch.setattr(
        store_module, "read_rows_file", lambda path, *a: (read.append(path), real(path, *a))[1]
    )
    return read


def test_rows_are_read_once_while_their_files_are_the_same(tmp_path, monkeypatch):
    store = Store(tmp_path)
    store.append_rows("checkpoint-1", "likelihood", [ROW])
    read = counted(monkeypatch)
    first = store.read_rows("checkpoint-1", "likelihood", columns=["nll_nats"])
    assert Store(tmp_path).read_rows("checkpoint-1", "likelihood", columns=["nll_nats"]).equals(first)
    assert len(read) == 1
    store.read_rows("checkpoint-1", "likelihood")
    store.read_rows("checkpoint-1", "likelihood", row_key="other")
    assert len(read) == 3


def test_new_rows_and_rows_written_anew_are_seen(tmp_path):
    store = Store(tmp_path)

    def figures():
        return store.read_rows("checkpoint-1", "likelihood")["nll_nats"].to_list()

    assert figures() == []
    store.append_rows("checkpoint-1", "likelihood", [ROW])
    assert figures() == [2.0]
    store.append_rows("checkpoint-1", "likelihood", [ROW | {"example_id": "2", "nll_nats": 3.0}])
    assert figures() == [2.0, 3.0]
    store.compact_parts("checkpoint-1", "likelihood")
    store.update_rows("checkpoint-1", "likelihood", lambda row: row | {"nll_nats": row["nll_nats"] + 1})
    assert figures() == [3.0, 4.0]


def test_what_another_node_wrote_is_seen_where_looks_at_a_file_are_remembered(tmp_path, monkeypatch):
    """As NFS does for up to a minute, until a file is opened."""
    seen, look = {}, Path.stat
    monkeypatch.setattr(Path, "stat", lambda path, **how: seen.setdefault(path, look(path, **how)))
    store = Store(tmp_path)
    store.append_rows("checkpoint-1", "likelihood", [ROW])
    for figure in (2.0, 3.0):
        store.update_rows("checkpoint-1", "likelihood", lambda row, figure=figure: row | {"nll_nats": figure})
        store.compact_parts("checkpoint-1", "likelihood")
        assert store.read_rows("checkpoint-1", "likelihood")["nll_nats"].to_list() == [figure]


def test_a_reader_who_changes_its_table_changes_no_other(tmp_path):
    store = Store(tmp_path)
    store.append_rows("checkpoint-1", "likelihood", [ROW])
    table = store.read_rows("checkpoint-1", "likelihood")
    table[0, "nll_nats"] = 9.0
    table.drop_in_place("n_tokens")
    assert store.read_rows("checkpoint-1", "likelihood")["nll_nats"].to_list() == [2.0]
    assert "n_tokens" in store.read_rows("checkpoint-1", "likelihood").columns


def test_memory_is_bounded_and_large_tables_are_not_kept():
    thousand = pl.DataFrame({"a": range(1000)})
    read = []

    def get(cache, key, table=thousand):
        return cache.get(key, lambda: (read.append(key), table)[1])

    cache = RecentlyRead(int(thousand.estimated_size()) * 4)
    for key in (1, 2, 3, 4, 1, 5):
        get(cache, key)
    assert cache.bytes <= cache.most_bytes and read == [1, 2, 3, 4, 5]
    get(cache, 1)
    assert read[-1] == 5
    get(cache, 2)
    assert read[-1] == 2
    for _ in range(2):
        get(cache, 6, pl.DataFrame({"a": range(1001)}))
    assert read[-2:] == [6, 6]
