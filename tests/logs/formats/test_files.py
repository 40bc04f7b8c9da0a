import os
import sqlite3

import pytest

from overmem.errors import RunError
from overmem.logs.formats.files import files_below, has_table_with, open_sqlite, read_log_text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_text_is_read_in_the_encoding_of_its_mark(tmp_path, encoding):
    (tmp_path / "a.log").write_text("loss é, printed", encoding=encoding)
    assert read_log_text(tmp_path / "a.log") == "loss é, printed"


def test_bytes_that_are_no_text_are_replaced(tmp_path):
    (tmp_path / "a.log").write_bytes(b"loss \xff")
    assert read_log_text(tmp_path / "a.log") == "loss \ufffd"


def test_a_pipe_a_folder_and_what_is_too_large_are_refused(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, tmp_path / "gone"):
        with pytest.raises(RunError):
            read_log_text(path)
    monkeypatch.setattr("overmem.logs.formats.files.MOST_BYTES", 10)
    (tmp_path / "large").write_text("x" * 11)
    with pytest.raises(RunError, match="too large"):
        read_log_text(tmp_path / "large")


def test_files_are_found_to_a_depth_and_not_through_links(tmp_path):
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    for folder in (tmp_path, tmp_path / "a", deep):
        (folder / "x.events").touch()
    (tmp_path / "link").symlink_to(deep)
    found = list(files_below(tmp_path, "events", 1))
    assert found == [tmp_path / "x.events", tmp_path / "a" / "x.events"]


def test_a_database_that_another_process_writes_is_read_and_not_written_to(tmp_path):
    path = tmp_path / "a.db"
    writer = sqlite3.connect(path)
    writer.execute("pragma journal_mode = wal")
    writer.execute("create table metrics (step, value)")
    writer.execute("insert into metrics values (1, 2.5)")
    writer.commit()
    with open_sqlite(path) as connection:
        assert connection.execute("select * from metrics").fetchall() == [(1, 2.5)]
        with pytest.raises(sqlite3.OperationalError):
            connection.execute("delete from metrics")
    writer.close()
    assert has_table_with(path, "metrics", {"step"}) and not has_table_with(path, "metrics", {"key"})
    assert not has_table_with(path, "runs", {"step"})


def test_what_is_no_database_is_one_clear_error(tmp_path):
    (tmp_path / "a.db").write_bytes(b"SQLite format 3\0" + b"x" * 5000)
    assert not has_table_with(tmp_path / "a.db", "metrics", {"step"})
    with pytest.raises(RunError, match="cannot be read as a SQLite database"), open_sqlite(tmp_path / "a.db"):
        pass
