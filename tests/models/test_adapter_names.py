"""Adapters of one form of a family on the other: measured is what they predicted in training."""

import json
import re
import shutil

import pytest
import torch
import transformers
from benchmarks.pico_models import pico_config, randomize
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file

from overmem.errors import CheckpointError
from overmem.models.adapter_names import find_moves
from tests.conftest import save_checkpoint
from tests.helpers.adapters import logits
from tests.models.test_base_models import host_of

INSIDE, ALONE, OLD = "model.language_model.", "model.", "language_model.model."
CASES = [
    ("gemma3", "Gemma3ForConditionalGeneration", INSIDE, OLD),  # PEFT renames
    ("gemma4", "Gemma4ForConditionalGeneration", INSIDE, OLD),
    ("gemma4", "Gemma4ForConditionalGeneration", INSIDE, ALONE),
    ("gemma3", "Gemma3ForCausalLM", ALONE, INSIDE),
    ("qwen3_5", "Qwen3_5ForConditionalGeneration", INSIDE, ALONE),  # another class fits
]


@pytest.fixture
def saved(tmp_path, tokenizer):
    """Make a base model and an adapter on it, with its modules under other names."""

    def make(kind, name, own, other):
        cls = getattr(transformers, name)
        config = pico_config(kind, len(tokenizer), tokenizer.eos_token_id)
        torch.manual_seed(0)
        base = randomize(cls(config if type(config) is cls.config_class else config.get_text_config()))
        save_checkpoint(tmp_path / "base", base, tokenizer, 0)
        settings = {"rank_pattern": {"v_proj": 3}, "alpha_pattern": {"down_proj": 5}, "use_rslora": True}
        inside = rf"{re.escape(own)}.*\.(q_proj|v_proj|down_proj)"
        model = get_peft_model(
            base, LoraConfig(r=2, target_modules=inside, init_lora_weights=False, **settings)
        )
        folder = tmp_path / "run" / "checkpoint-1"
        save_checkpoint(folder, model, tokenizer, 1)
        file, written = folder / "adapter_model.safetensors", folder / "adapter_config.json"
        old, new = f"base_model.model.{own}", f"base_model.model.{other}"
        save_file({key.replace(old, new): value for key, value in load_file(file).items()}, file)
        found = json.loads(written.read_text()) | {
            "base_model_name_or_path": str(tmp_path / "base"),
            "target_modules": ["q_proj", "v_proj", "down_proj"],
            "auto_mapping": None,
        }
        written.write_text(json.dumps(found))
        return tmp_path / "run", logits(model)

    return make


@pytest.mark.parametrize(("kind", "name", "own", "other"), CASES)
def test_modules_under_another_beginning_are_found(saved, kind, name, own, other, caplog):
    run, expected = saved(kind, name, own, other)
    host, checkpoint = host_of(run)
    for _ in range(2):
        torch.testing.assert_close(logits(host.load(checkpoint)), expected, atol=2e-5, rtol=0)
    moved = (own, other) in {(INSIDE, ALONE), (ALONE, INSIDE), (INSIDE, OLD)} and kind == "gemma4"
    said = [record.getMessage() for record in caplog.records if record.name == "overmem.models"]
    assert not moved or (len(said) == 1 and "other names" in said[0])


def test_an_adapter_of_another_model_is_still_refused(saved):
    run, _ = saved("gemma3", "Gemma3ForCausalLM", ALONE, "transformer.h.")
    file = run / "checkpoint-1" / "adapter_model.safetensors"
    tensors = {key: torch.zeros(value.shape[0], 7) for key, value in load_file(file).items()}
    save_file(tensors, file)
    host, checkpoint = host_of(run)
    with pytest.raises(CheckpointError, match=r"does not fit its base model|cannot be loaded"):
        host.load(checkpoint)


def test_a_beginning_that_is_not_the_only_one_moves_nothing():
    layer = torch.nn.Linear(4, 2)
    one, two = {"a.layers.0.q": layer}, {"a.layers.0.q": layer, "b.layers.0.q": layer}
    shapes = {"model.layers.0.q": (2, 4)}
    assert find_moves(shapes, one) == {"model.layers.0.q": "a.layers.0.q"}
    assert find_moves(shapes, two) is None
    assert find_moves({"model.layers.0.q": (3, 4)}, one) is None
    assert find_moves(shapes | {"model.layers.1.q": (2, 4)}, one) is None


def test_experts_that_transformers_4_saved_one_by_one_are_loaded_as_peft_converts_them(tmp_path, tokenizer):
    """The sums are made by hand, in the base model's file, which still has its experts one by one."""
    base, folder = tmp_path / "base", tmp_path / "run" / "checkpoint-1"
    config = pico_config("mixtral", len(tokenizer), tokenizer.eos_token_id)
    torch.manual_seed(0)
    save_checkpoint(base, randomize(transformers.MixtralForCausalLM(config)), tokenizer, 0)
    tensors = load_file(base / "model.safetensors")
    chosen = [
        name for name in tensors if re.search(r"block_sparse_moe\.(gate|experts\.\d+\.w[123])\.weight", name)
    ]
    assert chosen
    adapter, summed = {}, dict(tensors)
    for name in chosen:
        outputs, inputs = tensors[name].shape
        a, b = 0.3 * torch.randn(2, inputs), 0.3 * torch.randn(outputs, 2)
        module = f"base_model.model.{name.removesuffix('.weight')}"
        adapter |= {f"{module}.lora_A.weight": a, f"{module}.lora_B.weight": b}
        summed[name] = tensors[name] + 1.5 * b @ a
    folder.mkdir(parents=True)
    save_file(adapter, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    written = {"peft_type": "LORA", "r": 2, "lora_alpha": 3, "base_model_name_or_path": str(base)}
    written |= {
        "target_modules": ["w1", "w2", "w3", "gate"],
        "task_type": "CAUSAL_LM",
        "peft_version": "0.13.0",
    }
    (folder / "adapter_config.json").write_text(json.dumps(written))
    expected = shutil.copytree(base, tmp_path / "expected")
    save_file(summed, expected / "model.safetensors", metadata={"format": "pt"})
    by_hand = logits(transformers.AutoModelForCausalLM.from_pretrained(expected))
    assert (by_hand - logits(transformers.AutoModelForCausalLM.from_pretrained(base))).abs().max() > 0.1
    host, checkpoint = host_of(tmp_path / "run")
    torch.testing.assert_close(logits(host.load(checkpoint)), by_hand, atol=5e-5, rtol=0)
