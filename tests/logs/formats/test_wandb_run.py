import json
import struct
import zlib

import pytest

from overmem.errors import RunError
from overmem.logs.formats import wandb_run
from tests.helpers.written_logs import WRITTEN, differences, protobuf_count, protobuf_field, truth

RUN = WRITTEN / "run-u14vof0r.wandb"


def write_run(path, calls):
    """A run as older versions wrote it: values as JSON, W&B's own step, records over the edges of blocks."""
    data = bytearray(b":W&B" + struct.pack("<HB", 0xBEE1, 0))
    for step, call in enumerate(calls):
        items = [
            protobuf_field(
                1, protobuf_field(1, key.encode()) + protobuf_field(16, json.dumps(value).encode())
            )
            for key, value in call.items()
        ]
        record = protobuf_field(2, b"".join(items) + protobuf_field(2, b"\x08" + protobuf_count(step)))
        first = True
        while record or first:
            left = 32768 - len(data) % 32768
            if left < 7:
                data += bytes(left)
                continue
            piece, record = record[: left - 7], record[left - 7 :]
            kind = (1 if not record else 2) if first else (4 if not record else 3)
            crc = zlib.crc32(piece, zlib.crc32(bytes([kind])))
            data += struct.pack("<IHB", crc, len(piece), kind) + piece
            first = False
    path.write_bytes(data)


def test_the_rows_are_those_that_the_trainer_logged():
    (history,) = wandb_run.read(RUN)
    *logged, end = truth("hf_wandb")
    assert "train_runtime" in end  # a summary of the run for W&B, and no row of its history
    assert differences(history.rows, logged) == []
    assert history.planned_epochs == 3 and history.settings["per_device_train_batch_size"] == 4


@pytest.mark.parametrize("value", ["1, 2", "1]", ""])
def test_a_value_that_is_no_json_costs_its_own_call_alone(tmp_path, monkeypatch, value):
    """Also where it would be two in the list that the values of a call are parsed as."""
    monkeypatch.setattr(json, "dumps", str)
    write_run(tmp_path / "run-a.wandb", [{"loss": 2.0}, {"loss": value, "grad_norm": 1.0}, {"loss": 1.0}])
    (history,) = wandb_run.read(tmp_path / "run-a.wandb")
    assert [row["loss"] for row in history.rows] == [2.0, 1.0]
    assert history.notes == ("A record of run-a.wandb cannot be read and was left out.",)


def test_records_longer_than_a_block_are_put_together(tmp_path):
    write_run(
        tmp_path / "run-a.wandb",
        [
            {"train/loss": 1 / (step + 1), "train/global_step": step * 5, "note": "x" * 50_000}
            for step in range(5)
        ],
    )
    (history,) = wandb_run.read(tmp_path / "run-a.wandb")
    assert [(row["step"], row["loss"]) for row in history.rows] == [(5 * n, 1 / (n + 1)) for n in range(5)]


def test_a_block_without_room_for_a_record_is_filled_up(tmp_path):
    file = tmp_path / "run-a.wandb"
    calls = [{"loss": 2.0, "note": "x" * 20_000}, {"loss": 1.0}]
    write_run(file, calls[:1])
    calls[0]["note"] += "x" * (32768 - 3 - file.stat().st_size)
    write_run(file, calls)
    assert file.read_bytes()[32765:32768] == bytes(3)
    assert [row["loss"] for row in wandb_run.read(file)[0].rows] == [2.0, 1.0]


def test_without_a_step_of_the_trainer_it_is_that_of_the_call(tmp_path):
    write_run(tmp_path / "run-a.wandb", [{"loss": 2.0}, {"loss": 1.0, "_runtime": 3}])
    (history,) = wandb_run.read(tmp_path / "run-a.wandb")
    assert [dict(row) for row in history.rows] == [{"step": 0, "loss": 2.0}, {"step": 1, "loss": 1.0}]


def test_a_folder_holds_several_runs_and_the_link_to_the_last_counts_once(tmp_path):
    for name in ("a", "b"):
        folder = tmp_path / "wandb" / f"offline-run-2026_{name}"
        folder.mkdir(parents=True)
        write_run(folder / f"run-{name}.wandb", [{"loss": 2.0}, {"loss": 1.0}])
    (tmp_path / "wandb" / "latest-run").symlink_to("offline-run-2026_b")
    bad = tmp_path / "wandb" / "offline-run-2026_c"
    bad.mkdir()
    (bad / "run-c.wandb").write_bytes(b"")
    for path in (tmp_path, tmp_path / "wandb"):
        assert wandb_run.recognizes(path)
        found = wandb_run.read(path)
        assert [one.source.rpartition("/")[2] for one in found] == ["run-a.wandb", "run-b.wandb"]
        assert "run-c.wandb is no run of W&B" in found[0].notes[0]


def test_what_was_cut_off_is_read_up_to_there_and_said(tmp_path):
    file = tmp_path / RUN.name
    file.write_bytes(RUN.read_bytes()[:8000])
    (history,) = wandb_run.read(file)
    assert 0 < len(history.rows) < 12 and "is cut off at byte" in history.notes[-1]


def test_a_damaged_record_ends_the_reading_and_is_said(tmp_path):
    data = bytearray(RUN.read_bytes())
    data[9000] ^= 1
    file = tmp_path / RUN.name
    file.write_bytes(data)
    (history,) = wandb_run.read(file)
    assert 0 < len(history.rows) < 12 and "is damaged at byte" in history.notes[-1]


@pytest.mark.parametrize("data", [b"", b"hello", bytes(100)])
def test_a_foreign_file_is_one_clear_error(tmp_path, data):
    (tmp_path / "run-a.wandb").write_bytes(data)
    with pytest.raises(RunError, match="is no run of W&B"):
        wandb_run.read(tmp_path)


def test_a_run_without_a_loss_is_no_log(tmp_path):
    write_run(tmp_path / "run-a.wandb", [{"images": 2}])
    with pytest.raises(RunError, match="holds no log of a training"):
        wandb_run.read(tmp_path)
