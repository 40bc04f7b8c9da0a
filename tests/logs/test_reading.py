"""Every format by the one door.

What each format is read as is tested beside its reader, in tests/logs/formats.
"""

import bz2
import gzip
import json
import lzma
import os

import pytest

from overmem.errors import RunError
from overmem.logs.reading import read_histories
from tests.helpers.written_logs import WRITTEN, make_database


@pytest.mark.parametrize(
    ("name", "kind", "runs"),
    [
        ("hf.json", "trainer_state", 1),
        ("llamafactory", "trainer_log", 1),
        ("llamafactory/trainer_log.jsonl", "trainer_log", 1),
        ("notebook.ipynb", "notebook", 3),
        ("events.out.tfevents.1795986438.vm.19124.0", "tensorboard", 1),
        ("run-u14vof0r.wandb", "wandb", 1),
        ("mlruns", "mlflow", 1),
        ("console.txt", "console", 1),
    ],
)
def test_what_a_tool_wrote_is_known_by_its_path(name, kind, runs):
    found = read_histories(WRITTEN / name)
    assert [history.kind for history in found] == [kind] * runs
    assert all(history.rows and history.source.startswith(str(WRITTEN)) for history in found)


@pytest.mark.parametrize("kind", ["mlflow", "trackio"])
def test_databases_are_told_apart_by_their_tables(tmp_path, kind):
    for path in (make_database(f"{kind}.sql", tmp_path / f"{kind}.db"), tmp_path):
        assert [history.kind for history in read_histories(path)] == [kind]


def test_the_trainers_own_log_counts_before_what_lies_beside_it(tmp_path):
    (tmp_path / "trainer_state.json").write_text((WRITTEN / "hf.json").read_text())
    (tmp_path / "trainer_log.jsonl").write_text(json.dumps({"current_steps": 1, "loss": 2.0}))
    assert [history.kind for history in read_histories(tmp_path)] == ["trainer_state"]


def test_a_folder_whose_log_has_to_be_named_says_so(tmp_path):
    (tmp_path / "train.log").write_bytes((WRITTEN / "console.txt").read_bytes())
    with pytest.raises(RunError, match=r"next: +name the log itself: .*train\.log"):
        read_histories(tmp_path)


@pytest.mark.parametrize("name", ["a.bin", "train.jsonl", "notes.md", "a.log", "a.txt"])
def test_what_is_no_log_is_one_clear_error(tmp_path, name):
    (tmp_path / name).write_bytes(bytes(range(256)))
    for path in (tmp_path / name, tmp_path):
        with pytest.raises(RunError, match="no training log is here that can be read"):
            read_histories(path)


def test_a_folder_of_several_runs_names_them(tmp_path):
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "trainer_state.json").write_text('{"log_history": []}')
    with pytest.raises(RunError) as caught:
        read_histories(tmp_path)
    assert f"{tmp_path}/first, {tmp_path}/second" in caught.value.next_step


@pytest.mark.parametrize(
    ("pack", "tool"), [(gzip.compress, "gunzip -k"), (bz2.compress, "bunzip2 -k"), (lzma.compress, "xz -dk")]
)
def test_a_compressed_log_says_how_to_unpack_it(tmp_path, pack, tool):
    (tmp_path / "train.log").write_bytes(pack(b"{'loss': 1.0, 'epoch': 0.5}"))
    with pytest.raises(RunError) as caught:
        read_histories(tmp_path / "train.log")
    assert caught.value.next_step.endswith(f": {tool} {tmp_path}/train.log")


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "train.log")
    with pytest.raises(RunError, match="no training log is here that can be read"):
        read_histories(tmp_path / "train.log")


def test_what_a_reader_did_not_foresee_is_one_message(tmp_path, monkeypatch):
    def fail(path):
        raise OverflowError("cannot convert float infinity to integer")

    monkeypatch.setattr("overmem.logs.formats.console.read", fail)
    log = tmp_path / "train.log"
    log.write_bytes((WRITTEN / "console.txt").read_bytes())
    with pytest.raises(RunError, match=r"cannot be read as a training log[\s\S]*infinity"):
        read_histories(log)
