"""Averages of adapters that change fused experts: PEFT's own updates are averaged, each expert for itself."""

import json

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, MixtralConfig, MixtralForCausalLM

import overmem
from overmem.errors import MergeError
from tests.conftest import save_checkpoint

# PEFT says so of names of parameters, and takes them all the same.
pytestmark = pytest.mark.filterwarnings("ignore:The following .*_pattern keys did not match:RuntimeWarning")
EXPERTS = ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]
SETTINGS = {
    "parameters": {"target_modules": ["q_proj"], "target_parameters": EXPERTS},
    "all-linear": {"target_modules": "all-linear"},
    "patterns": {
        "target_modules": ["q_proj"],
        "target_parameters": [*EXPERTS, "mlp.gate.weight"],
        "rank_pattern": {".*down_proj": 3},
        "alpha_pattern": {".*gate_up_proj": 7},
    },
}


@pytest.fixture
def base(tmp_path, tokenizer):
    torch.manual_seed(0)
    config = MixtralConfig(
        hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2, num_local_experts=3,
        num_key_value_heads=2, vocab_size=len(tokenizer), eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None, initializer_range=0.3,
    )  # fmt: skip
    save_checkpoint(tmp_path / "base", MixtralForCausalLM(config), tokenizer, 0)
    return tmp_path / "base"


def adapter(base, folder, seed, tokenizer, **settings):
    torch.manual_seed(seed)
    config = LoraConfig(**{"r": 2, "lora_alpha": 5, "task_type": "CAUSAL_LM", **settings})
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), config)
    with torch.no_grad():
        for name, value in model.named_parameters():
            if "lora_" in name:
                value.normal_(0, 0.3)
    save_checkpoint(folder, model, tokenizer, seed)
    return folder


def updates(base, folder):
    """What an adapter adds to each weight, by PEFT."""
    before = dict(AutoModelForCausalLM.from_pretrained(base).named_parameters())
    loaded = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), folder)
    after = dict(loaded.merge_and_unload().named_parameters())
    return {name: (after[name] - value).detach() for name, value in before.items()}


@pytest.mark.parametrize("name", SETTINGS)
def test_the_average_is_that_of_the_updates(tmp_path, base, tokenizer, name):
    folders = [adapter(base, tmp_path / f"c{at}", at, tokenizer, **SETTINGS[name]) for at in (1, 2)]
    merged = overmem.merge(folders, tmp_path / "merged", weights=[0.25, 0.75])
    one, other, found = (updates(base, folder) for folder in (*folders, merged))
    changed = [key for key in one if one[key].abs().max() > 0.01]
    assert {key.rpartition(".")[2] for key in changed} >= {"gate_up_proj", "down_proj"}
    for key in one:
        torch.testing.assert_close(found[key], 0.25 * one[key] + 0.75 * other[key], atol=1e-5, rtol=1e-4)


def test_a_smaller_rank_is_the_best_of_each_expert(tmp_path, base, tokenizer):
    folders = [adapter(base, tmp_path / f"c{at}", at, tokenizer, **SETTINGS["parameters"]) for at in (1, 2)]
    merged = overmem.merge(folders, tmp_path / "merged", rank=2)
    one, other, found = (updates(base, folder) for folder in (*folders, merged))
    key = "model.layers.1.mlp.experts.down_proj"
    for expert in range(3):
        u, s, v = torch.linalg.svd((one[key][expert] + other[key][expert]) / 2)
        best = u[:, :2] * s[:2] @ v[:2]
        torch.testing.assert_close(found[key][expert], best, atol=1e-5, rtol=1e-4)


def test_what_cannot_be_averaged_is_refused(tmp_path, base, tokenizer):
    one = adapter(base, tmp_path / "c1", 1, tokenizer, **SETTINGS["parameters"])
    other = adapter(
        base, tmp_path / "c2", 2, tokenizer, target_modules=["q_proj"], target_parameters=EXPERTS[:1]
    )
    with pytest.raises(MergeError, match=r"change different parameters[\s\S]*target_parameters"):
        overmem.merge([one, other], tmp_path / "out")
    with pytest.raises(MergeError, match=r"bare parameters[\s\S]*without into_full"):
        overmem.merge([one, one], tmp_path / "out", into_full=True)
    with pytest.raises(MergeError, match=r"configuration of gone cannot be read[\s\S]*base_model="):
        overmem.merge([one, one], tmp_path / "out", base_model=str(tmp_path / "gone"))


def test_a_configuration_that_names_no_parameters_is_refused(tmp_path, base, tokenizer):
    one = adapter(base, tmp_path / "c1", 1, tokenizer, **SETTINGS["parameters"])
    path = one / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"target_parameters": 7}))
    with pytest.raises(MergeError, match="names no parameters under `target_parameters`"):
        overmem.merge([one, one], tmp_path / "out")
