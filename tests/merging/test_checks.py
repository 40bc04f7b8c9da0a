"""What is no one model is refused, and named, before anything is written.

Covers: overmem.merging.adapters, overmem.merging.sources
"""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

import overmem
from overmem.errors import CheckpointError
from overmem.merging import plan_merge
from tests.conftest import make_pico
from tests.helpers.merging import (
    UNTIED,
    adapter_pair,
    edit_json,
    make_adapter,
    refused,
    save_model,
    saved_pair,
)


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
    with pytest.raises(CheckpointError, match=r"has no config\.json"):
        plan_merge([a, b])


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
    adapted = "base_model.model.model.layers.0.mlp.up_proj.lora_"
    save_file({f"{adapted}A.weight": torch.zeros(()), f"{adapted}B.weight": torch.zeros(4, 4, 1, 1)}, file)
    refused(r"a convolution[\s\S]*shapes \[\] and \[4, 4, 1, 1\] for", [a, b])
    save_file({"base_model.model.lm_head.weight": torch.zeros(715, 16)}, file)
    refused(r"holds no LoRA tensors", [a, b])
    # What one adapter replaces and the other does not has an average in full weights only.
    make_adapter(tmp_path / "head", make_pico(tokenizer, 0, **UNTIED), base, 1, modules_to_save=["lm_head"])
    refused(r"replace different tensors[\s\S]*lm_head[\s\S]*into_full", [a, tmp_path / "head"])
