"""Merges of full weights: computed by hand, bounded in memory, whole or not there.

Covers: overmem.merging, overmem.merging.card, overmem.merging.plan, overmem.merging.storage
"""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import overmem
from overmem.errors import MergeError, StorageError
from overmem.merging import plan_merge
from tests.conftest import make_pico
from tests.helpers.merging import MAKERS, assert_same, load, logits, save_model, saved_pair, weights_of


def test_the_package_does_not_hide_the_function():
    import overmem.merging as package

    assert overmem.merge is package.merge and callable(overmem.merge) and "merge" in overmem.__all__


# Full weights


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_checkpoint_with_itself_is_itself_bit_for_bit(tmp_path, tokenizer, maker, dtype):
    a, b = saved_pair(tmp_path, tokenizer, MAKERS[maker], dtype)
    for i, options in enumerate(({}, {"method": "wise", "alpha": 0.3}, {"method": "slerp", "alpha": 0.7})):
        merged = overmem.merge([a, a], tmp_path / f"same{i}", **options)
        assert_same(weights_of(merged), weights_of(a))
    assert_same(weights_of(overmem.merge([a, b], tmp_path / "first", weights=(1, 0))), weights_of(a))
    assert_same(weights_of(overmem.merge([a, b], tmp_path / "last", weights=(0, 1))), weights_of(b))


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_merged_weights_and_logits_are_those_computed_by_hand(tmp_path, tokenizer, maker, dtype):
    a, b = saved_pair(tmp_path, tokenizer, MAKERS[maker], dtype)
    merged = overmem.merge([a, b], tmp_path / "out", method="wise", alpha=0.25)
    left, right = weights_of(a), weights_of(b)
    by_hand = {k: (0.75 * left[k].double() + 0.25 * right[k].double()).to(dtype) for k in left}
    assert_same(weights_of(merged), by_hand)
    model = MAKERS[maker](tokenizer, 9)
    # strict=False: a tied head is not in the file.
    assert set(model.load_state_dict(by_hand, strict=False).missing_keys) <= {"lm_head.weight"}
    model.tie_weights()
    torch.testing.assert_close(logits(load(merged).float(), 64), logits(model, 64), rtol=1e-5, atol=1e-4)


def test_the_output_is_an_ordinary_folder_that_says_how_it_was_made(tmp_path, tokenizer):
    from transformers import AutoTokenizer

    a, b = saved_pair(tmp_path, tokenizer, make_pico)
    (b / "generation_config.json").write_text('{"max_new_tokens": 77}')
    out = overmem.merge([str(a), b], str(tmp_path / "deep" / "out"))
    assert out == tmp_path / "deep" / "out"
    names = {file.name for file in out.iterdir()}
    assert names == {
        "model.safetensors",
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "README.md",
        "merge.json",
    }
    assert json.loads((out / "generation_config.json").read_text())["max_new_tokens"] == 77
    assert AutoTokenizer.from_pretrained(out).get_vocab() == tokenizer.get_vocab()
    record = json.loads((out / "merge.json").read_text())
    assert record["schema"] == "overmem.merge/1" and record["overmem_version"] == overmem.__version__
    assert record["inputs"] == [{"path": str(a), "weight": 0.5}, {"path": str(b), "weight": 0.5}]
    card = (out / "README.md").read_text()
    assert "`pair`" in card and "checkpoint-2 | 0.5" in card and overmem.__version__ in card
    assert [f.name for f in out.parent.iterdir()] == ["out"]


def test_names_cannot_change_the_card(tmp_path, tokenizer):
    one, two = saved_pair(tmp_path, tokenizer, make_pico)
    named = two.rename(tmp_path / "b |`c`\n# <d>")
    card = (overmem.merge([one, named], tmp_path / "out") / "README.md").read_text()
    assert r"/b \|\`c\` \# &lt;d&gt; | 0.5 |" in card


@pytest.mark.parametrize("maker", ["tied", "untied"])
def test_shards_in_and_out(tmp_path, tokenizer, maker):
    whole = saved_pair(tmp_path / "whole", tokenizer, MAKERS[maker])
    sharded = saved_pair(tmp_path / "sharded", tokenizer, MAKERS[maker], max_shard_size="20KB")
    assert len(list(sharded[0].glob("*.safetensors"))) >= 3
    expected = weights_of(overmem.merge(whole, tmp_path / "one"))
    merged = overmem.merge([sharded[0], whole[1]], tmp_path / "many", max_shard_bytes=15_000)
    assert_same(weights_of(merged), expected)
    files = sorted(file.name for file in merged.glob("*.safetensors"))
    index = json.loads((merged / "model.safetensors.index.json").read_text())
    assert sorted(set(index["weight_map"].values())) == files and len(files) >= 3
    assert files[0] == f"model-00001-of-{len(files):05d}.safetensors"
    assert index["metadata"]["total_size"] == sum(t.nbytes for t in expected.values())
    biggest = max(t.nbytes for t in expected.values())
    assert all(sum(t.nbytes for t in load_file(merged / f).values()) <= max(15_000, biggest) for f in files)
    torch.testing.assert_close(logits(load(merged)), logits(load(tmp_path / "one")))
    assert overmem.open_run(tmp_path / "many").checkpoints[0].kind == "full"


def test_tied_embeddings_are_neither_invented_nor_dropped(tmp_path, tokenizer):
    for maker, has_head in (("tied", False), ("untied", True)):
        pair = saved_pair(tmp_path / maker, tokenizer, MAKERS[maker])
        out = overmem.merge(pair, tmp_path / maker / "out")
        assert ("lm_head.weight" in weights_of(out)) is has_head
        model = load(out)
        assert (model.lm_head.weight is model.model.embed_tokens.weight) is not has_head


def test_mixed_dtypes_and_whole_numbers_are_kept(tmp_path, tokenizer):
    a, b = saved_pair(tmp_path, tokenizer, make_pico, torch.bfloat16)
    for i, folder in enumerate((a, b)):
        tensors = weights_of(folder) | {
            "odd": torch.full((3,), float(i), dtype=torch.bfloat16),
            "scale": torch.tensor(float(i)),
            "mask": torch.tensor([True, False]),
            "steps": torch.tensor(7),
            "none": torch.empty(0, 3),
        }
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    assert plan_merge([a, b]).dtype == "mixed"
    out = weights_of(overmem.merge([a, b], tmp_path / "out"))
    assert out["scale"].item() == 0.5 and out["scale"].dtype == torch.float32
    assert out["odd"].tolist() == [0.5] * 3 and out["odd"].dtype == torch.bfloat16
    assert out["steps"].item() == 7 and out["mask"].tolist() == [True, False] and out["none"].shape == (0, 3)
    save_file(weights_of(b) | {"steps": torch.tensor(8)}, b / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(MergeError, match=r"whole numbers differs[\s\S]*steps"):
        overmem.merge([a, b], tmp_path / "never")
    assert not (tmp_path / "never").exists()


def test_soup_ema_and_slerp_over_checkpoints(tmp_path, tokenizer):
    folders = [
        save_model(tmp_path / f"checkpoint-{seed}", make_pico(tokenizer, seed), tokenizer)
        for seed in (1, 2, 3)
    ]
    parts = [weights_of(folder) for folder in folders]
    cases = {
        "soup": ({}, (1 / 3, 1 / 3, 1 / 3)),
        "ema": ({"decay": 0.5}, (0.25, 0.25, 0.5)),
        "linear": ({"weights": [0.2, 0.3, 0.5]}, (0.2, 0.3, 0.5)),
    }
    for method, (options, weights) in cases.items():
        out = weights_of(overmem.merge(folders, tmp_path / method, method=method, **options))
        by_hand = {k: sum(w * p[k] for w, p in zip(weights, parts, strict=True)) for k in out}
        assert_same(out, by_hand, rtol=1e-6, atol=1e-6)
    sphere = overmem.merge(folders[:2], tmp_path / "slerp", method="slerp", alpha=0.5)
    name = "model.layers.0.mlp.up_proj.weight"
    x, y = parts[0][name], parts[1][name]
    half = float(torch.acos((x * y).sum() / x.norm() / y.norm())) / 2
    expected = (x + y) * (np.sin(half) / np.sin(2 * half))
    torch.testing.assert_close(weights_of(sphere)[name], expected.float(), rtol=1e-5, atol=1e-5)
    # The five norms are all ones in both.
    assert json.loads((sphere / "merge.json").read_text())["slerp_linear_tensors"] == 5


# Bounds and interruptions

MEASURE = """
import os, sys, threading, time
from overmem.merging import merge, plan_merge
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
plan_merge(sys.argv[1:3])
before, seen, done = resident(), [], threading.Event()
def watch():
    while not done.wait(0.002):
        seen.append(resident())
thread = threading.Thread(target=watch)
thread.start()
merge(sys.argv[1:3], sys.argv[3], max_shard_bytes=30_000_000, progress=lambda *_: seen.append(resident()))
done.set()
thread.join()
print(max(seen) - before)
"""


def test_memory_stays_within_a_few_segments(tmp_path, tokenizer):
    """Two models of 100 MB in tensors of 12 MB: the peak grows by less than 50 MB."""
    for seed in (1, 2):
        folder = save_model(tmp_path / str(seed), make_pico(tokenizer, seed), tokenizer)
        tensors = {f"w{i}": torch.randn(1500, 4096).bfloat16() for i in range(8)}
        for i, name in enumerate(tensors):
            save_file({name: tensors[name]}, folder / f"model-0000{i + 2}-of-00009.safetensors")
        tied = weights_of(folder)
        (folder / "model.safetensors").rename(folder / "model-00001-of-00009.safetensors")
        where = {name: "model-00001-of-00009.safetensors" for name in tied if name not in tensors}
        where |= {f"w{i}": f"model-0000{i + 2}-of-00009.safetensors" for i in range(8)}
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": where}))
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path / "1"), str(tmp_path / "2"), str(tmp_path / "out")],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert float(done.stdout) < 50, done.stdout
    assert len(list((tmp_path / "out").glob("*.safetensors"))) > 3


SLOW = """
import sys, time
from overmem.merging import merge
def slow(done, total):
    print(done, flush=True)
    time.sleep(0.05)
merge(sys.argv[1:3], sys.argv[3], progress=slow)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_merge_that_is_stopped_leaves_no_output(tmp_path, tokenizer, how):
    a, b = saved_pair(tmp_path, tokenizer, make_pico)
    out = tmp_path / "outputs" / "merged"
    child = subprocess.Popen(
        [sys.executable, "-c", SLOW, str(a), str(b), str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    child.stdout.readline()
    time.sleep(0.1)
    child.send_signal(how)
    child.communicate()
    assert child.returncode != 0 and not out.exists()
    left = [path.name for path in out.parent.iterdir()]
    # Nothing runs after SIGKILL: its hidden folder stays, under a name no run reader takes, until the next.
    assert all(name.startswith(".merged.") for name in left) and len(left) == (how == signal.SIGKILL)
    overmem.merge([a, b], out)
    load(out)
    assert [path.name for path in out.parent.iterdir()] == ["merged"]
    assert not list(out.glob(".*"))


def test_a_merge_does_not_clear_what_a_living_one_makes(tmp_path, tokenizer):
    a, b = saved_pair(tmp_path, tokenizer, make_pico)
    out = tmp_path / "outputs" / "merged"
    child = subprocess.Popen(
        [sys.executable, "-c", SLOW.replace("0.05", "30"), str(a), str(b), str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    child.stdout.readline()
    overmem.merge([a, b], out)
    assert len(list(out.parent.glob(".merged.*.tmp/model.safetensors"))) == 1
    child.kill()
    child.communicate()


def test_a_disk_that_fills_up_leaves_nothing(tmp_path, tokenizer, monkeypatch):
    a, b = saved_pair(tmp_path, tokenizer, make_pico)

    def full(done, total):
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(StorageError, match=r"disk is full[\s\S]*another disk"):
        overmem.merge([a, b], tmp_path / "x" / "out", progress=full)
    assert not list((tmp_path / "x").iterdir())
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1))
    with pytest.raises(StorageError, match=r"GB free, 0.0 GB needed"):
        overmem.merge([a, b], tmp_path / "x" / "out")
    assert not list((tmp_path / "x").iterdir())


def test_progress_counts_the_bytes(tmp_path, tokenizer):
    pair, told = saved_pair(tmp_path, tokenizer, make_pico), []
    overmem.merge(pair, tmp_path / "out", progress=lambda *numbers: told.append(numbers))
    assert told[-1][0] == told[-1][1] == plan_merge(pair).n_bytes
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_diverged_weights_are_named_and_nothing_is_written(tmp_path, tokenizer):
    a, b = saved_pair(tmp_path, tokenizer, make_pico)
    for value in (float("nan"), float("inf")):
        tensors = weights_of(b)
        tensors["model.norm.weight"][3] = value
        save_file(tensors, b / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(MergeError, match=r"checkpoint-2 holds NaN or infinite[\s\S]*model.norm.weight"):
            overmem.merge([a, b], tmp_path / "never")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-1", "checkpoint-2"]


def test_an_output_folder_that_exists_is_refused(tmp_path, tokenizer):
    a, b = saved_pair(tmp_path, tokenizer, make_pico)
    before = (a / "model.safetensors").read_bytes()
    for out in (a, tmp_path):
        with pytest.raises(MergeError, match="the output folder exists"):
            overmem.merge([a, b], out)
    assert (a / "model.safetensors").read_bytes() == before
    with pytest.raises(MergeError, match="max_shard_bytes"):
        overmem.merge([a, b], tmp_path / "out", max_shard_bytes=0)
