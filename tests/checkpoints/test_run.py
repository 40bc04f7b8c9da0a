"""Runs as folders, from headers of files: which checkpoints, in what order, and why others are left out.

Covers: overmem.checkpoints.reading
"""

import json
import math
import os
import struct

import pytest
from peft import LoraConfig

from overmem.checkpoints import open_run, stored_weights, weight_files
from overmem.checkpoints.reading import read_adapter_config
from overmem.errors import CheckpointError, RunError
from tests.helpers.safetensors_files import safetensors


def checkpoint(root, step, *, adapter=False, state=True):
    folder = root / f"checkpoint-{step}"
    safetensors(folder / ("adapter_model.safetensors" if adapter else "model.safetensors"))
    if adapter:
        (folder / "adapter_config.json").write_text("{}")
    if state:
        (folder / "trainer_state.json").write_text(json.dumps({"global_step": step, "epoch": step / 10}))
    return folder


def test_order_is_by_step_not_by_name(tmp_path):
    for step in (1000, 200, 30):
        checkpoint(tmp_path, step)
    run = open_run(tmp_path)
    assert [c.step for c in run.checkpoints] == [30, 200, 1000]
    assert run.checkpoints[0].epoch == 3.0


def test_step_comes_from_the_name_without_a_state(tmp_path):
    checkpoint(tmp_path, 7, state=False)
    assert open_run(tmp_path).checkpoints[0].step == 7


def test_adapters_and_a_root_model(tmp_path):
    checkpoint(tmp_path, 10, adapter=True)
    safetensors(tmp_path / "model.safetensors")
    run = open_run(tmp_path)
    assert [(c.name, c.kind) for c in run.checkpoints] == [("checkpoint-10", "adapter"), ("final", "full")]
    assert run.checkpoints[1].step == 11


def test_the_root_model_saved_at_the_last_step_is_not_counted_twice(tmp_path):
    checkpoint(tmp_path, 10)
    safetensors(tmp_path / "model.safetensors")
    (tmp_path / "trainer_state.json").write_text(json.dumps({"global_step": 10}))
    assert [c.name for c in open_run(tmp_path).checkpoints] == ["checkpoint-10"]


def test_a_model_alone_is_taken_for_trained(tmp_path):
    safetensors(tmp_path / "model.safetensors")
    assert [(c.name, c.step) for c in open_run(tmp_path).checkpoints] == [("final", 1)]


@pytest.mark.parametrize("best", [10, 20, 30])
@pytest.mark.parametrize("link", [False, True])
@pytest.mark.parametrize("state", [None, {"global_step": 40}])
def test_a_root_with_the_weights_of_a_checkpoint_is_that_checkpoint(tmp_path, best, link, state):
    for step in (10, 20, 30):
        safetensors(tmp_path / f"checkpoint-{step}" / "model.safetensors", fill=step)
    source = tmp_path / f"checkpoint-{best}" / "model.safetensors"
    root = tmp_path / "model.safetensors"
    (tmp_path / "config.json").write_text("{}")
    root.symlink_to(source) if link else root.write_bytes(source.read_bytes())
    if state is not None:
        (tmp_path / "trainer_state.json").write_text(json.dumps(state))
    run = open_run(tmp_path)
    assert [c.step for c in run.checkpoints] == [10, 20, 30]
    said = {"final": f"it holds the weights of checkpoint-{best}, which is measured"}
    assert run.skipped == ({} if best == 30 else said)


def test_a_root_with_other_weights_is_a_checkpoint_of_its_own(tmp_path, monkeypatch):
    safetensors(tmp_path / "checkpoint-10" / "model.safetensors")
    safetensors(tmp_path / "model.safetensors", fill=1)
    assert [c.step for c in open_run(tmp_path).checkpoints] == [10, 11]
    # Files of other sizes are not read for it.
    monkeypatch.setattr("filecmp.cmp", lambda *_, **__: pytest.fail("weights were read"))
    safetensors(tmp_path / "model.safetensors", n_bytes=16)
    assert [c.step for c in open_run(tmp_path).checkpoints] == [10, 11]


def test_a_sharded_root_is_compared_shard_by_shard(tmp_path):
    names = [f"model-0000{n}-of-00002.safetensors" for n in (1, 2)]
    for folder in (tmp_path, tmp_path / "checkpoint-1"):
        for fill, name in enumerate(names):
            safetensors(folder / name, fill=fill)
        index = {"weight_map": dict(zip("ab", names, strict=True))}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert [c.name for c in open_run(tmp_path).checkpoints] == ["checkpoint-1"]
    safetensors(tmp_path / names[1], fill=9)
    assert [c.name for c in open_run(tmp_path).checkpoints] == ["checkpoint-1", "final"]


@pytest.mark.parametrize(
    ("at_root", "same"),
    [
        ({"r": 8, "target_modules": ["q", "v"]}, True),
        ({"target_modules": ["v", "q"], "r": 8}, True),
        ({"r": 8, "lora_alpha": 32, "target_modules": ["q", "v"]}, False),
    ],
)
def test_adapters_are_the_same_with_their_settings_only(tmp_path, at_root, same):
    folder = checkpoint(tmp_path, 10, adapter=True)
    (folder / "adapter_config.json").write_text('{"r": 8, "target_modules": ["q", "v"]}')
    safetensors(tmp_path / "adapter_model.safetensors")
    (tmp_path / "adapter_config.json").write_text(json.dumps(at_root))
    assert len(open_run(tmp_path).checkpoints) == (1 if same else 2)


@pytest.mark.parametrize(
    "index", [[], {}, {"weight_map": {"a": None}}, {"weight_map": {"a": {}}}, {"weight_map": []}]
)
def test_an_index_of_another_shape_is_skipped_and_named(tmp_path, index):
    checkpoint(tmp_path, 1)
    folder = checkpoint(tmp_path, 2)
    (folder / "model.safetensors").rename(folder / "model-00001-of-00001.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    run = open_run(tmp_path)
    assert [c.name for c in run.checkpoints] == ["checkpoint-1"]
    assert "is not a shard index" in run.skipped["checkpoint-2"]


def test_shards_through_their_index(tmp_path):
    folder = tmp_path / "checkpoint-1"
    for n in (1, 2):
        safetensors(folder / f"model-0000{n}-of-00002.safetensors")
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    checkpoint(tmp_path, 2)
    assert len(open_run(tmp_path).checkpoints) == 2
    (folder / "model-00002-of-00002.safetensors").unlink()
    assert "lacks 1 of 2 shards" in open_run(tmp_path).skipped["checkpoint-1"]


def test_a_whole_file_counts_before_an_index_that_an_earlier_save_left(tmp_path):
    folder = checkpoint(tmp_path, 1)
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert weight_files(folder) == [folder / "model.safetensors"]
    for n in (1, 2):
        safetensors(folder / f"model-0000{n}-of-00002.safetensors")
    assert weight_files(folder) == [folder / "model.safetensors"]


@pytest.mark.parametrize("cut", [4, 20, -4])
def test_a_truncated_file_is_skipped_and_named(tmp_path, cut):
    checkpoint(tmp_path, 1)
    file = checkpoint(tmp_path, 2) / "model.safetensors"
    file.write_bytes(file.read_bytes()[:cut])
    run = open_run(tmp_path)
    assert [c.name for c in run.checkpoints] == ["checkpoint-1"]
    assert "copy the checkpoint again" in run.skipped["checkpoint-2"]


def test_pickled_weights_need_a_flag(tmp_path):
    folder = tmp_path / "checkpoint-5"
    folder.mkdir()
    (folder / "pytorch_model.bin").write_bytes(b"x")
    (folder / "config.json").write_text("{}")
    with pytest.raises(RunError, match="--allow-pickle"):
        open_run(tmp_path)
    assert open_run(tmp_path, allow_pickle=True).checkpoints[0].name == "checkpoint-5"


def test_an_optimizer_alone_is_no_checkpoint(tmp_path):
    folder = tmp_path / "checkpoint-5"
    folder.mkdir()
    (folder / "optimizer.pt").write_bytes(b"x")
    with pytest.raises(RunError, match="holds no weights"):
        open_run(tmp_path)


def test_no_checkpoints_says_what_is_there(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(RunError, match=r"notes\.txt"):
        open_run(tmp_path)
    with pytest.raises(RunError, match="does not exist"):
        open_run(tmp_path / "nowhere")


def test_folders_that_are_no_step_are_left_out(tmp_path):
    for name in ("checkpoint-10", "checkpoint-10-merged", "checkpoint-best"):
        safetensors(tmp_path / name / "model.safetensors")
    run = open_run(tmp_path)
    assert [c.name for c in run.checkpoints] == ["checkpoint-10"]
    assert set(run.skipped) == {"checkpoint-10-merged", "checkpoint-best"}


@pytest.mark.parametrize("value", [10**400, 1e300, float("nan"), "x", [], {}, True, -3])
def test_a_step_or_an_epoch_that_is_no_number_is_not_taken(tmp_path, value):
    checkpoint(tmp_path, 7)
    state = {"global_step": value, "epoch": value}
    (tmp_path / "checkpoint-7" / "trainer_state.json").write_text(json.dumps(state))
    found = open_run(tmp_path).checkpoints[0]
    assert found.step == 7 and found.epoch in (None, value)


@pytest.mark.parametrize(
    "header",
    [
        b"[" * 100_000,
        b"[]",
        b'{"w": 3}',
        b'{"w": {"dtype": "F32", "shape": [2], "data_offsets": ["a", 8]}}',
        b'{"w": {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]}}',
        b'{"w": {"dtype": 7, "shape": [2], "data_offsets": [0, 8]}}',
        b'{"\xe9": {}}',
    ],
)
def test_a_header_that_says_nothing_is_skipped_and_named(tmp_path, header):
    checkpoint(tmp_path, 1)
    folder = checkpoint(tmp_path, 2)
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(8))
    assert "not a whole safetensors file" in open_run(tmp_path).skipped["checkpoint-2"]


def test_an_index_names_no_file_outside_its_folder(tmp_path):
    checkpoint(tmp_path, 1)
    folder = checkpoint(tmp_path, 2)
    (folder / "model.safetensors").rename(folder / "model-00001-of-00001.safetensors")
    index = {"weight_map": {"w": "../checkpoint-1/model.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert "is not a shard index" in open_run(tmp_path).skipped["checkpoint-2"]


@pytest.mark.parametrize(
    "setting",
    [
        {"r": "x"},
        {"r": 0},
        {"r": 10**400},
        {"r": None},
        {"lora_alpha": math.nan},
        {"rank_pattern": []},
        {"rank_pattern": {"q": "x"}},
        {"alpha_pattern": {"q": None}},
        {"bias": 1},
    ],
)
def test_an_adapter_whose_settings_are_none_is_skipped_and_named(tmp_path, setting):
    checkpoint(tmp_path, 1, adapter=True)
    (checkpoint(tmp_path, 2, adapter=True) / "adapter_config.json").write_text(
        json.dumps({"peft_type": "LORA", **setting})
    )
    assert next(iter(setting)) in open_run(tmp_path).skipped["checkpoint-2"]


def test_a_lora_that_does_not_say_its_size_has_the_size_that_peft_gives_it(tmp_path):
    (tmp_path / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    read, theirs = read_adapter_config(tmp_path), LoraConfig.from_pretrained(tmp_path)
    assert (read["r"], read["lora_alpha"]) == (theirs.r, theirs.lora_alpha)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names")
@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_a_pipe_in_place_of_weights_is_refused_and_not_waited_for(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(CheckpointError, match=f"{name} is a folder, a pipe or a device"):
        stored_weights(tmp_path)
