"""Checkpoints and adapters to be merged, and what tests read from a folder of weights."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from overmem.errors import MergeError
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


def adapter_pair(tmp_path, tokenizer, maker, settings):
    base = save_model(tmp_path / "base", MAKERS[maker](tokenizer, 0), tokenizer)
    folders = [tmp_path / "run" / f"checkpoint-{i}" for i in (1, 2)]
    for i, (folder, options) in enumerate(zip(folders, settings, strict=True)):
        make_adapter(folder, MAKERS[maker](tokenizer, 0), base, i + 1, **options)
    return base, folders


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


def edit_json(file: Path, **changes):
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def refused(match, *arguments, **options):
    with pytest.raises(MergeError, match=match):
        plan_merge(*arguments, **options)


def noise(*shape, seed=0, dtype=torch.float32):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)
