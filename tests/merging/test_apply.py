import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import overmem
from overmem.errors import CheckpointError, MergeError
from overmem.merging import plan_merge
from tests.conftest import make_pico

UNTIED = {"tie_word_embeddings": False}


def make_gpt2(tokenizer, seed):
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(seed)
    end = tokenizer.eos_token_id
    config = GPT2Config(
        n_embd=16,
        n_layer=2,
        n_head=2,
        n_positions=64,
        vocab_size=len(tokenizer),
        bos_token_id=end,
        eos_token_id=end,
        initializer_range=0.5,
    )
    return GPT2LMHeadModel(config).eval()


MAKERS = {
    "tied": make_pico,
    "untied": lambda tokenizer, seed: make_pico(tokenizer, seed, **UNTIED),
    "gpt2": make_gpt2,
}


def save_model(folder, model, tokenizer, **options):
    """A checkpoint folder with what a Trainer leaves beside the weights."""
    model.save_pretrained(folder, **options)
    tokenizer.save_pretrained(folder)
    (folder / "trainer_state.json").write_text('{"global_step": 1}')
    (folder / "optimizer.pt").write_bytes(b"state")
    return folder


def weights_of(folder, stem="model"):
    return {k: v for file in sorted(folder.glob(f"{stem}*.safetensors")) for k, v in load_file(file).items()}


def load(folder):
    from transformers import AutoModelForCausalLM

    model, info = AutoModelForCausalLM.from_pretrained(folder, dtype="auto", output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"] and not info["mismatched_keys"]
    return model.eval()


def logits(model, n_tokens=700):
    ids = torch.arange(3, n_tokens, 17)[None]
    with torch.no_grad():
        return model(ids).logits


def assert_same(one, other, **tolerance):
    assert one.keys() == other.keys()
    for name in one:
        assert one[name].dtype == other[name].dtype, name
        if tolerance:
            torch.testing.assert_close(one[name], other[name], **tolerance, msg=lambda m, n=name: f"{n}: {m}")
        else:
            assert torch.equal(one[name], other[name]), name


def saved_pair(tmp_path, tokenizer, maker, dtype=torch.float32, **options):
    return [
        save_model(tmp_path / f"checkpoint-{seed}", maker(tokenizer, seed).to(dtype), tokenizer, **options)
        for seed in (1, 2)
    ]


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
    assert "`pair`" in card and "checkpoint-2` | 0.5" in card and overmem.__version__ in card
    assert [f.name for f in out.parent.iterdir()] == ["out"]


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


# Adapters


def make_adapter(folder, model, base, seed, **settings):
    """A LoRA adapter with random factors, and a Trainer's tokenizer-less folder."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    settings = {"r": 2, "lora_alpha": 8, "init_lora_weights": False, "task_type": "CAUSAL_LM"} | settings
    adapted = get_peft_model(model, LoraConfig(**settings))
    for name, value in adapted.named_parameters():
        if (
            "modules_to_save" in name
            or "magnitude" in name
            or (value.requires_grad and name.endswith("bias"))
        ):
            value.data += 0.3 * torch.rand_like(value)
    adapted.peft_config["default"].base_model_name_or_path = str(base)
    adapted.save_pretrained(folder)
    return adapted.eval()


def with_adapter(model, folder):
    from peft import PeftModel

    return PeftModel.from_pretrained(model, folder).eval()


def full_of(maker, tokenizer, folder):
    """The adapter's model by PEFT itself: merge_and_unload."""
    return with_adapter(MAKERS[maker](tokenizer, 0), folder).merge_and_unload().eval()


ADAPTER_CASES = {
    "same": ("tied", [{}, {}]),
    "ranks": ("tied", [{"r": 2}, {"r": 5, "lora_alpha": 3}]),
    "rslora": ("untied", [{"use_rslora": True}, {"r": 4, "use_rslora": True, "lora_alpha": 5}]),
    "rslora-and-lora": ("tied", [{"use_rslora": True, "r": 3}, {"r": 3}]),
    "patterns": (
        "tied",
        [
            {"rank_pattern": {"q_proj": 3}, "alpha_pattern": {"layers.1.self_attn.v_proj": 1}},
            {"rank_pattern": {r".*\.1\..*v_proj": 5}, "use_rslora": True, "alpha_pattern": {"q_proj": 7}},
        ],
    ),
    "other-modules": (
        "tied",
        [{"target_modules": ["q_proj", "up_proj"]}, {"target_modules": ["v_proj", "up_proj"]}],
    ),
    "some-layers": ("tied", [{"layers_to_transform": [0]}, {"layers_to_transform": [1]}]),
    "gpt2": ("gpt2", [{"target_modules": ["c_attn", "c_proj", "c_fc"]}, {"r": 3}]),
    "embedding": ("untied", [{"target_modules": ["embed_tokens", "q_proj", "lm_head"]}] * 2),
    "lora-bias": (
        "gpt2",
        [{"lora_bias": True, "target_modules": ["c_attn", "c_fc"]}, {"target_modules": ["c_attn"]}],
    ),
    "bias": ("gpt2", [{"bias": "lora_only"}, {"bias": "lora_only", "r": 3}]),
    "modules-to-save": ("untied", [{"modules_to_save": ["lm_head"]}] * 2),
}


def adapter_pair(tmp_path, tokenizer, maker, settings):
    base = save_model(tmp_path / "base", MAKERS[maker](tokenizer, 0), tokenizer)
    folders = [tmp_path / "run" / f"checkpoint-{i}" for i in (1, 2)]
    for i, (folder, options) in enumerate(zip(folders, settings, strict=True)):
        make_adapter(folder, MAKERS[maker](tokenizer, 0), base, i + 1, **options)
    return base, folders


@pytest.mark.parametrize("case", ADAPTER_CASES)
def test_merged_adapters_equal_merged_full_weights(tmp_path, tokenizer, case):
    maker, settings = ADAPTER_CASES[case]
    base, folders = adapter_pair(tmp_path, tokenizer, maker, settings)
    singles = [full_of(maker, tokenizer, folder) for folder in folders]
    average = {
        k: 0.3 * one + 0.7 * other
        for (k, one), other in zip(
            singles[0].state_dict().items(), singles[1].state_dict().values(), strict=True
        )
    }
    reference = MAKERS[maker](tokenizer, 0)
    reference.load_state_dict(average)
    out = overmem.merge(folders, tmp_path / "out", weights=(0.3, 0.7))
    adapted = with_adapter(MAKERS[maker](tokenizer, 0), out)
    torch.testing.assert_close(logits(adapted, 64), logits(reference, 64), rtol=1e-4, atol=1e-4)
    assert not torch.allclose(logits(reference, 64), logits(singles[1], 64), atol=1e-2)
    merged = dict(adapted.merge_and_unload().state_dict())
    assert_same(merged, average, rtol=1e-5, atol=1e-5)
    config = json.loads((out / "adapter_config.json").read_text())
    assert config["use_rslora"] is False and config["lora_alpha"] == config["r"]
    assert config["rank_pattern"] == config["alpha_pattern"]
    # The same through full weights, from the base the adapters name.
    full = overmem.merge(folders, tmp_path / "full", weights=(0.3, 0.7), into_full=True)
    tied = {} if maker == "untied" else {"lm_head.weight": average["lm_head.weight"]}
    assert_same(weights_of(full) | tied, average, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(logits(load(full), 64), logits(reference, 64), rtol=1e-4, atol=1e-4)
    assert (full / "config.json").read_text() == (base / "config.json").read_text()
    assert (full / "tokenizer.json").is_file()


@pytest.mark.parametrize("maker", ["tied", "gpt2"])
def test_dora_is_merged_into_full_weights(tmp_path, tokenizer, maker):
    settings = {"use_dora": True, "fan_in_fan_out": maker == "gpt2"}
    _, folders = adapter_pair(tmp_path, tokenizer, maker, [settings, settings | {"r": 3}])
    with pytest.raises(MergeError, match=r"DoRA[\s\S]*into_full=True"):
        overmem.merge(folders, tmp_path / "never")
    one, other = (full_of(maker, tokenizer, folder).state_dict() for folder in folders)
    full = weights_of(overmem.merge(folders, tmp_path / "full", into_full=True))
    assert_same(full, {k: (one[k] + other[k]) / 2 for k in full}, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_an_adapter_with_itself_is_itself(tmp_path, tokenizer, dtype):
    _, (a, b) = adapter_pair(tmp_path, tokenizer, "tied", [{}, {"r": 3}])
    for folder in (a, b):
        file = folder / "adapter_model.safetensors"
        save_file({k: v.to(dtype) for k, v in load_file(file).items()}, file, metadata={"format": "pt"})
    for out, (inputs, options) in {
        "same": ([a, a], {}),
        "first": ([a, b], {"weights": (1, 0)}),
        "reduced": ([a, a], {"rank": 2}),
    }.items():
        overmem.merge(inputs, tmp_path / out, **options)
        delta, rank = (
            deltas(tmp_path / out),
            json.loads((tmp_path / out / "adapter_config.json").read_text())["r"],
        )
        assert rank == (4 if out == "same" else 2)
        for name, expected in deltas(a).items():
            exact = out != "reduced" or dtype == torch.float32
            torch.testing.assert_close(delta[name], expected, rtol=0, atol=1e-5 if exact else 0.05)


def deltas(folder):
    """delta_W by module from the folder's files alone, in fp64, for configurations without patterns."""
    config = json.loads((folder / "adapter_config.json").read_text())
    assert not config["rank_pattern"] and not config["use_rslora"]
    tensors = load_file(folder / "adapter_model.safetensors")
    scale = config["lora_alpha"] / config["r"]
    return {
        key.removesuffix(".lora_A.weight"): scale
        * tensors[key.replace("lora_A", "lora_B")].double()
        @ a.double()
        for key, a in tensors.items()
        if "lora_A" in key
    }


def test_a_smaller_rank_reports_what_it_loses(tmp_path, tokenizer):
    _, folders = adapter_pair(tmp_path, tokenizer, "tied", [{"r": 3}, {"r": 4}])
    exact = {
        name: delta.numpy() for name, delta in deltas(overmem.merge(folders, tmp_path / "exact")).items()
    }
    out = overmem.merge(folders, tmp_path / "small", rank=2)
    record = json.loads((out / "merge.json").read_text())
    lost = total = 0.0
    for name, delta in exact.items():
        s = np.linalg.svd(delta, compute_uv=False)
        module = name.removeprefix("base_model.model.")
        assert record["lost_share_by_module"][module] == pytest.approx(
            (s[2:] ** 2).sum() / (s**2).sum(), rel=1e-5
        )
        error = np.linalg.norm(deltas(out)[name].numpy() - delta) ** 2
        assert error == pytest.approx((s[2:] ** 2).sum(), rel=1e-4)
        lost, total = lost + (s[2:] ** 2).sum(), total + (s**2).sum()
    assert record["lost_share"] == pytest.approx(lost / total, rel=1e-5)
    assert record["rank"] == 2 and f"{lost / total:.3g}" in (out / "README.md").read_text()
    with_adapter(make_pico(tokenizer, 0), out)


def test_peft_linear_gives_twice_the_update_where_ours_gives_it_once(tmp_path, tokenizer):
    """Trap 4: PEFT averages A and B apart, so N equal adapters at 1/N give N times delta_W."""
    _, (a, b) = adapter_pair(tmp_path, tokenizer, "tied", [{}, {}])
    model = with_adapter(make_pico(tokenizer, 0), a)
    for name, folder in (("twin", a), ("other", b)):
        model.load_adapter(str(folder), adapter_name=name)
    layer = model.base_model.model.model.layers[0].self_attn.q_proj
    ours = {
        out: deltas(overmem.merge(pair, tmp_path / out)) for out, pair in (("aa", (a, a)), ("ab", (a, b)))
    }
    key = "base_model.model.model.layers.0.self_attn.q_proj"
    truth = {n: layer.get_delta_weight(n).detach().double() for n in ("default", "twin", "other")}

    model.add_weighted_adapter(["default", "twin"], [0.5, 0.5], "peft_aa", combination_type="linear")
    torch.testing.assert_close(layer.get_delta_weight("peft_aa").double(), 2 * truth["default"])
    torch.testing.assert_close(ours["aa"][key], truth["default"])

    model.add_weighted_adapter(["default", "other"], [0.5, 0.5], "peft_ab", combination_type="linear")
    average = (truth["default"] + truth["other"]) / 2
    torch.testing.assert_close(ours["ab"][key], average)
    wrong = layer.get_delta_weight("peft_ab").double() - average
    assert wrong.norm() > 0.5 * average.norm()

    # PEFT's "cat" stacks, as ours does, and is right.
    model.add_weighted_adapter(["default", "other"], [0.5, 0.5], "peft_cat", combination_type="cat")
    torch.testing.assert_close(layer.get_delta_weight("peft_cat").double(), average)


def test_full_weights_and_an_adapter_meet_in_full_weights(tmp_path, tokenizer):
    base, (adapter, _) = adapter_pair(tmp_path, tokenizer, "tied", [{}, {}])
    full = save_model(tmp_path / "run" / "checkpoint-9", make_pico(tokenizer, 9), tokenizer)
    with pytest.raises(
        MergeError, match=r"checkpoint-9 is full, run/checkpoint-1 is an adapter[\s\S]*into_full"
    ):
        overmem.merge([adapter, full], tmp_path / "never")
    moved = base.rename(tmp_path / "moved")
    with pytest.raises(MergeError, match=r"base model cannot be found[\s\S]*base_model="):
        overmem.merge([adapter, full], tmp_path / "never", into_full=True)
    out = weights_of(overmem.merge([adapter, full], tmp_path / "out", into_full=True, base_model=str(moved)))
    one, other = full_of("tied", tokenizer, adapter).state_dict(), weights_of(full)
    assert_same(out, {k: (one[k] + other[k]) / 2 for k in out}, rtol=1e-5, atol=1e-6)


def test_folding_rounds_once(tmp_path, tokenizer):
    """The fold is not rounded before the average is taken."""
    base, folders = adapter_pair(tmp_path, tokenizer, "tied", [{}, {}])
    shutil.rmtree(base)
    save_model(base, make_pico(tokenizer, 0).bfloat16(), tokenizer)
    out = weights_of(overmem.merge(folders, tmp_path / "out", into_full=True))
    name = "model.layers.0.self_attn.q_proj.weight"
    start = weights_of(base)[name].double()
    both = [deltas(folder)["base_model.model." + name.removesuffix(".weight")] for folder in folders]
    assert out[name].dtype == torch.bfloat16
    exact = (start + sum(both) / 2).to(torch.bfloat16)
    assert (out[name] != exact).float().mean() < 0.01


def test_a_prefix_that_old_files_lack_is_found(tmp_path, tokenizer):
    base, folders = adapter_pair(tmp_path, tokenizer, "gpt2", [{}, {}])
    expected = weights_of(overmem.merge(folders, tmp_path / "one", into_full=True))
    short = {k.removeprefix("transformer."): v for k, v in weights_of(base).items()}
    save_file(short, base / "model.safetensors", metadata={"format": "pt"})
    out = weights_of(overmem.merge(folders, tmp_path / "two", into_full=True))
    assert_same(out, {k.removeprefix("transformer."): v for k, v in expected.items()})


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
    # Nothing runs after SIGKILL: its hidden folder stays, under a name no run reader takes.
    assert all(name.startswith(".merged.") for name in left) and (how == signal.SIGKILL or not left)
    overmem.merge([a, b], out)
    load(out)


def test_a_disk_that_fills_up_leaves_nothing(tmp_path, tokenizer, monkeypatch):
    a, b = saved_pair(tmp_path, tokenizer, make_pico)

    def full(done, total):
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(MergeError, match=r"disk is full[\s\S]*another disk"):
        overmem.merge([a, b], tmp_path / "x" / "out", progress=full)
    assert not list((tmp_path / "x").iterdir())
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1))
    with pytest.raises(MergeError, match=r"GB free, 0.0 GB needed"):
        overmem.merge([a, b], tmp_path / "x" / "out")
    assert not list((tmp_path / "x").iterdir())


def test_progress_counts_the_bytes(tmp_path, tokenizer):
    pair, told = saved_pair(tmp_path, tokenizer, make_pico), []
    overmem.merge(pair, tmp_path / "out", progress=lambda *numbers: told.append(numbers))
    assert told[-1][0] == told[-1][1] == plan_merge(pair).n_bytes
    assert [done for done, _ in told] == sorted(done for done, _ in told)


# Refusals


def edit_json(file: Path, **changes):
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def refused(match, *arguments, **options):
    with pytest.raises(MergeError, match=match):
        plan_merge(*arguments, **options)


def test_settings_that_make_no_average_are_refused(tmp_path, tokenizer):
    a, b = saved_pair(tmp_path, tokenizer, make_pico)
    refused(r"at least two checkpoints\s+got:\s+1", [a])
    refused("unknown merge method\n.*avg\n.*pair, wise, soup", [a, b], method="avg")
    refused(r"greedy needs an evaluation[\s\S]*overmem repair", [a, b], method="greedy")
    refused("pair takes two checkpoints", [a, b, a])
    refused("slerp takes two checkpoints", [a, b, a], method="slerp", alpha=0.5)
    refused("slerp needs alpha", [a, b], method="slerp")
    refused(r"wise needs alpha[\s\S]*1.5[\s\S]*0 to 1", [a, b], method="wise", alpha=1.5)
    refused("ema needs decay", [a, b], method="ema", decay=1.0)
    refused("linear needs weights", [a, b], method="linear")
    refused("pair takes no alpha", [a, b], alpha=0.3)
    refused("soup takes no decay", [a, b], method="soup", decay=0.3)
    refused("wise takes no weights", [a, b], method="wise", alpha=0.5, weights=(0.5, 0.5))
    refused(r"sum to 1[\s\S]*sum to 0.8", [a, b], weights=(0.4, 0.4))
    refused("between 0 and 1", [a, b], weights=(-0.5, 1.5))
    refused("between 0 and 1", [a, b], weights=(float("nan"), 1.0))
    refused(r"one weight is needed[\s\S]*3 for 2", [a, b], weights=(0.4, 0.4, 0.2))
    refused("rank only applies", [a, b], rank=4)


def test_models_that_are_not_one_model_are_refused(tmp_path, tokenizer):
    def saved(name, **config):
        return save_model(tmp_path / "run" / name, make_pico(tokenizer, 0, **config), tokenizer)

    a = saved("a")
    refused(
        r"run/a and run/b have different vocabulary sizes[\s\S]*715 and 720", [a, saved("b", vocab_size=720)]
    )
    refused(r"different settings of tied embeddings", [a, saved("c", **UNTIED)])
    refused(r"sets of tensors[\s\S]*9 in run/d only", [a, saved("d", num_hidden_layers=3)])
    refused(r"different shapes[\s\S]*mlp.*\(16, 32\) and \(16, 48\)", [a, saved("e", intermediate_size=48)])
    refused(
        r"different architectures[\s\S]*head_dim 8 and 4",
        [a, saved("f", num_attention_heads=4, head_dim=4)],
    )
    half = save_model(tmp_path / "run" / "g", make_pico(tokenizer, 0).bfloat16(), tokenizer)
    refused(r"different dtypes[\s\S]*F32 and BF16", [a, half])
    edit_json(saved("h") / "config.json", transformers_version="4.0", use_cache=False, eos_token_id=5)
    assert plan_merge([a, tmp_path / "run" / "h"]).dtype == "F32"


def test_folders_that_cannot_be_read_are_refused(tmp_path, tokenizer):
    a, b = saved_pair(tmp_path, tokenizer, make_pico)
    refused(r"does not exist[\s\S]*nowhere", [a, tmp_path / "nowhere"])
    for name, file in (("pickled", "pytorch_model.bin"),):
        folder = tmp_path / name
        shutil.copytree(a, folder)
        (folder / "model.safetensors").rename(folder / file)
        refused(r"pickled weights[\s\S]*safetensors", [a, folder])
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match="holds no weights"):
        plan_merge([a, tmp_path / "empty"])
    shutil.copytree(a, tmp_path / "cut")
    (tmp_path / "cut" / "model.safetensors").write_bytes((a / "model.safetensors").read_bytes()[:-9])
    with pytest.raises(CheckpointError, match="truncated"):
        plan_merge([a, tmp_path / "cut"])
    shutil.copytree(a, tmp_path / "twice")
    (tmp_path / "twice" / "model.safetensors").unlink()
    for shard in (1, 2):
        shutil.copy(a / "model.safetensors", tmp_path / "twice" / f"model-0000{shard}-of-00002.safetensors")
    refused("holds a tensor twice", [a, tmp_path / "twice"])
    edit_json(b / "config.json", quantization_config={"quant_method": "bitsandbytes"})
    refused(r"quantized[\s\S]*bitsandbytes", [a, b])
    (b / "config.json").unlink()
    refused("has no config.json", [a, b])


def test_narrow_floats_are_refused(tmp_path, tokenizer):
    a, b = saved_pair(tmp_path, tokenizer, make_pico)
    save_file({"w": torch.zeros(4).to(torch.float8_e4m3fn)}, b / "model.safetensors")
    refused(r"quantized weights[\s\S]*F8_E4M3", [a, b])


def test_other_tokenizers_are_refused_unless_allowed(tmp_path, tokenizer):
    a, b = saved_pair(tmp_path, tokenizer, make_pico)
    edit_json(b / "tokenizer.json", truncation={"max_length": 9})
    plan_merge([a, b])
    content = json.loads((b / "tokenizer.json").read_text())
    content["added_tokens"].append(
        {"id": 999, "content": "<new>"}
        | {key: False for key in ("single_word", "lstrip", "rstrip", "normalized", "special")}
    )
    (b / "tokenizer.json").write_text(json.dumps(content))
    refused(r"different tokenizers[\s\S]*tokenizer.json differs[\s\S]*allow_different_tokenizers", [a, b])
    out = overmem.merge([a, b], tmp_path / "out", allow_different_tokenizers=True)
    assert "<new>" in (out / "tokenizer.json").read_text()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (b / name).unlink()
    assert plan_merge([a, b]).tokenizer == a


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


def test_adapters_that_cannot_be_averaged_are_refused(tmp_path, tokenizer):
    base, (a, b) = adapter_pair(tmp_path, tokenizer, "tied", [{}, {}])

    def changed(**config):
        folder = tmp_path / "changed" / "-".join(config)
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(a, folder)
        edit_json(folder / "adapter_config.json", **config)
        return folder

    refused(
        r"different base models[\s\S]*/gone[\s\S]*base_model=", [a, changed(base_model_name_or_path="/gone")]
    )
    plan_merge([a, changed(base_model_name_or_path="/gone")], base_model=str(base))
    refused(r"different base models", [a, changed(base_model_name_or_path="/gone")], into_full=True)
    silent = changed(base_model_name_or_path=None)
    refused(r"does not say which base", [silent, silent], into_full=True)
    again, never = "plain_adapter", "path_initial_model_for_weight_conversion"
    starts = {"pissa": again, "olora": again, "pissa_niter_4": never, "corda": never, "loftq": never}
    for start, next_step in starts.items():
        for into_full in (False, True):
            refused(
                rf"changed base model[\s\S]*{next_step}",
                [a, changed(init_lora_weights=start)],
                into_full=into_full,
            )
    refused(r"not a LoRA adapter\s+got:\s+IA3[\s\S]*merge_and_unload", [a, changed(peft_type="IA3")])
    refused(r"single rows of the embedding", [a, changed(trainable_token_indices=[1])])
    refused(r"does not fit its adapter_config.json[\s\S]*rank 2[\s\S]*rank 16", [a, changed(r=16)])
    refused("slerp is not a weighted sum", [a, b], method="slerp", alpha=0.5)
    refused("rank must be at least 1", [a, b], rank=0)
    refused("rank only applies", [a, b], rank=1, into_full=True)


def test_adapters_that_do_not_fit_together_are_refused(tmp_path, tokenizer):
    wide = lambda: make_pico(tokenizer, 0, intermediate_size=48)  # noqa: E731
    base, (a, b) = adapter_pair(tmp_path, tokenizer, "tied", [{"target_modules": ["up_proj"]}] * 2)
    make_adapter(tmp_path / "wide", wide(), base, 1, target_modules=["up_proj"])
    refused(r"shapes that differ[\s\S]*up_proj: \(32,\) and \(48,\)", [a, tmp_path / "wide"])
    refused(r"does not fit its base model base[\s\S]*up_proj", [a, tmp_path / "wide"], into_full=True)
    save_model(tmp_path / "shallow", make_pico(tokenizer, 0, num_hidden_layers=1), tokenizer)
    refused(r"no module model.layers.1", [a, b], into_full=True, base_model=str(tmp_path / "shallow"))
    file = b / "adapter_model.safetensors"
    save_file({k: v.bfloat16() for k, v in load_file(file).items()}, file)
    refused(r"dtypes that differ[\s\S]*F32 and BF16", [a, b])
    save_file({k: v for k, v in load_file(file).items() if "layers.1.mlp.up_proj.lora_B" not in k}, file)
    refused(r"is not whole[\s\S]*no B for model.layers.1.mlp.up_proj", [a, b])
    save_file({"base_model.model.lm_head.weight": torch.zeros(715, 16)}, file)
    refused(r"holds no LoRA tensors", [a, b])
    # What one adapter replaces and the other does not has an average in full weights only.
    make_adapter(tmp_path / "head", make_pico(tokenizer, 0, **UNTIED), base, 1, modules_to_save=["lm_head"])
    refused(r"replace different tensors[\s\S]*lm_head[\s\S]*into_full", [a, tmp_path / "head"])


def test_tokens_added_before_the_adapter_was_trained(tmp_path, tokenizer):
    save_model(tmp_path / "base", make_pico(tokenizer, 0, **UNTIED), tokenizer)
    grown = lambda: make_pico(tokenizer, 0, **UNTIED, vocab_size=720)  # noqa: E731
    make_adapter(tmp_path / "a", grown(), tmp_path / "base", 1, modules_to_save=["lm_head", "embed_tokens"])
    # PEFT writes an embedding that it finds resized three times.
    assert sum("lm_head" in key for key in load_file(tmp_path / "a/adapter_model.safetensors")) == 3
    refused(
        r"tokens that its base model lacks[\s\S]*720 rows, the base model's 715[\s\S]*resize_token",
        [tmp_path / "a"] * 2,
        into_full=True,
    )
    save_model(tmp_path / "resized", grown(), tokenizer)
    resized = {"into_full": True, "base_model": str(tmp_path / "resized")}
    merged = load(overmem.merge([tmp_path / "a"] * 2, tmp_path / "out", **resized))
    adapted = with_adapter(load(tmp_path / "resized"), tmp_path / "a")
    ids = torch.arange(700, 720)[None]
    torch.testing.assert_close(merged(ids).logits, adapted(ids).logits, rtol=1e-4, atol=1e-4)


def test_a_change_to_one_of_two_tied_weights_is_refused(tmp_path, tokenizer):
    for name, settings in {
        "lora": {"target_modules": ["embed_tokens", "q_proj"]},
        "saved": {"modules_to_save": ["embed_tokens"]},
    }.items():
        base, folders = adapter_pair(tmp_path / name, tokenizer, "tied", [settings] * 2)
        refused(r"one of two tied weights[\s\S]*embed_tokens", folders, into_full=True)
        # As an adapter it is exact: the head keeps the base's weights.
        out = overmem.merge(folders, tmp_path / name / "out")
        adapted, parts = with_adapter(load(base), out), [with_adapter(load(base), f) for f in folders]
        rows = [model.get_input_embeddings()(torch.tensor([3, 5])) for model in (adapted, *parts)]
        torch.testing.assert_close(rows[0], (rows[1] + rows[2]) / 2, rtol=1e-4, atol=1e-5)


def test_a_diverged_adapter_is_refused(tmp_path, tokenizer):
    _, (a, b) = adapter_pair(tmp_path, tokenizer, "tied", [{}, {}])
    file = b / "adapter_model.safetensors"
    tensors = load_file(file)
    next(iter(tensors.values()))[0, 0] = float("nan")
    save_file(tensors, file)
    for options in ({}, {"into_full": True}, {"rank": 1}):
        with pytest.raises(MergeError, match="checkpoint-2 holds NaN"):
            overmem.merge([a, b], tmp_path / "never", **options)
    assert not (tmp_path / "never").exists()


# mergekit, where it is installed; its use of numpy.core warns.

in_mergekit = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


def test_without_mergekit_the_extra_is_named(tmp_path, tokenizer, monkeypatch):
    pair = saved_pair(tmp_path, tokenizer, make_pico)
    monkeypatch.setitem(sys.modules, "mergekit", None)
    refused(r"ties and dare need mergekit[\s\S]*pip install overmem\[mergekit\]", pair, method="ties")


@in_mergekit
@pytest.mark.parametrize("method", ["ties", "dare"])
def test_ties_and_dare_through_mergekit(tmp_path, tokenizer, method):
    pytest.importorskip("mergekit")
    pair = saved_pair(tmp_path, tokenizer, make_pico, torch.bfloat16)
    refused("from before the fine-tune", pair, method=method)
    base = save_model(tmp_path / "base", make_pico(tokenizer, 0).bfloat16(), tokenizer)
    before = torch.random.get_rng_state()
    outs = [overmem.merge(pair, tmp_path / f"out{i}", method=method, base_model=str(base)) for i in (0, 1)]
    assert torch.equal(torch.random.get_rng_state(), before)
    one, other = map(weights_of, outs)
    assert_same(one, other)
    assert one.keys() == weights_of(base).keys()
    assert not torch.equal(one["model.embed_tokens.weight"], weights_of(base)["model.embed_tokens.weight"])
    load(outs[0])
    record = json.loads((outs[0] / "merge.json").read_text())
    assert (
        record["method"] == method and record["mergekit_version"] and (outs[0] / "tokenizer.json").is_file()
    )
    twins = [shutil.copytree(base, tmp_path / name) for name in ("twin+a", "twin@b")]
    same = overmem.merge(twins, tmp_path / "same", method=method, base_model=str(base))
    assert_same(weights_of(same), weights_of(base))
    with pytest.raises(MergeError, match=r"mergekit refuses[\s\S]*Duplicate"):
        overmem.merge([base, base], tmp_path / "never", method=method, base_model=str(base))


@in_mergekit
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("maker", MAKERS)
def test_ours_equals_mergekits_linear(tmp_path, tokenizer, maker, dtype):
    pytest.importorskip("mergekit")
    from mergekit.config import MergeConfiguration
    from mergekit.merge import run_merge
    from mergekit.options import MergeOptions

    pair = saved_pair(tmp_path, tokenizer, MAKERS[maker], dtype)
    models = [{"model": str(f), "parameters": {"weight": w}} for f, w in zip(pair, (0.3, 0.7), strict=True)]
    name = str(dtype).removeprefix("torch.")
    config = {"merge_method": "linear", "dtype": "float32", "out_dtype": name, "models": models}
    run_merge(MergeConfiguration.model_validate(config), str(tmp_path / "theirs"), MergeOptions(quiet=True))
    ours = weights_of(overmem.merge(pair, tmp_path / "ours", weights=(0.3, 0.7)))
    theirs = weights_of(tmp_path / "theirs")
    tolerance = {"rtol": 3e-7, "atol": 1e-7} if dtype == torch.float32 else {"rtol": 2**-7, "atol": 1e-7}
    assert_same(ours, {k: v for k, v in theirs.items() if k in ours}, **tolerance)
    different = sum(int((ours[k] != theirs[k]).sum()) for k in ours) / sum(v.numel() for v in ours.values())
    assert different < (0.005 if dtype == torch.bfloat16 else 0.6), different
