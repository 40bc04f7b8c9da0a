"""The class is chosen by the weights: what is loaded predicts what transformers and PEFT predict alone.

Covers: overmem.models.adapter_loading
"""

import json
from pathlib import Path

import pytest
import torch
import transformers
from benchmarks.pico_models import pico_config, randomize
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file

import overmem
from overmem.errors import CheckpointError
from overmem.models.loading import ModelHost
from overmem.models.model_class import check_head
from tests.conftest import make_pico, save_checkpoint
from tests.helpers.adapters import IDS

FAMILIES = [
    ("qwen3_5", "Qwen3_5ForConditionalGeneration"),
    ("qwen3_5", "Qwen3_5ForCausalLM"),
    ("gemma3", "Gemma3ForConditionalGeneration"),
    ("gemma4", "Gemma4ForCausalLM"),
    ("gemma4", "Gemma4ForConditionalGeneration"),
    ("llava", "LlavaForConditionalGeneration"),
    ("mllama", "MllamaForCausalLM"),
]


def build(kind, name, tokenizer, folder):
    cls = getattr(transformers, name)
    config = pico_config(kind, len(tokenizer), tokenizer.eos_token_id)
    torch.manual_seed(0)
    model = randomize(cls(config if type(config) is cls.config_class else config.get_text_config()))
    save_checkpoint(folder, model, tokenizer, 0)
    return cls


def logits(model):
    with torch.no_grad():
        return model.eval()(input_ids=IDS).logits


def load(run, name=None):
    opened = overmem.open_run(run)
    host = ModelHost(opened, device=torch.device("cpu"), dtype=torch.float32)
    return host.load(opened.checkpoints[0])


@pytest.mark.parametrize(("kind", "name"), FAMILIES)
def test_full_weights_and_adapters_of_both_forms_of_a_family_are_loaded(tmp_path, tokenizer, kind, name):
    cls = build(kind, name, tokenizer, tmp_path / "full" / "checkpoint-1")
    base = tmp_path / "full" / "checkpoint-1"
    alone = cls.from_pretrained(base, dtype=torch.float32)
    torch.testing.assert_close(logits(load(tmp_path / "full")), logits(alone), atol=2e-5, rtol=0)
    targets = ["q_proj", "v_proj", "down_proj"]
    adapted = get_peft_model(alone, LoraConfig(r=2, task_type="CAUSAL_LM", target_modules=targets))
    with torch.no_grad():
        for key, value in adapted.named_parameters():
            if "lora_B" in key:
                value.normal_(0, 0.3)
    save_checkpoint(tmp_path / "lora" / "checkpoint-1", adapted, tokenizer, 1)
    expected = logits(
        PeftModel.from_pretrained(cls.from_pretrained(base), tmp_path / "lora" / "checkpoint-1")
    )
    assert (expected - logits(cls.from_pretrained(base))).abs().max() > 0.1
    torch.testing.assert_close(logits(load(tmp_path / "lora")), expected, atol=2e-5, rtol=0)


def test_an_adapter_decides_the_class_where_the_base_fits_two(tmp_path, tokenizer):
    """Qwen3.5's language model reads the file of the whole one; TRL's adapters have the names of either."""
    base = tmp_path / "base"
    build("qwen3_5", "Qwen3_5ForConditionalGeneration", tokenizer, base)
    for name in ("Qwen3_5ForCausalLM", "Qwen3_5ForConditionalGeneration"):
        cls, run = getattr(transformers, name), tmp_path / name
        config = transformers.AutoConfig.from_pretrained(base)
        own = config if type(config) is cls.config_class else config.get_text_config()
        adapted = get_peft_model(
            cls.from_pretrained(base, config=own),
            LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False),
        )
        save_checkpoint(run / "checkpoint-1", adapted, tokenizer, 1)
        found = load(run)
        assert type(found.get_base_model()) is cls
        torch.testing.assert_close(logits(found), logits(adapted), atol=2e-5, rtol=0)


@pytest.mark.parametrize("tied", [False, True])
def test_a_model_that_scores_texts_is_refused_by_name(tmp_path, tokenizer, tied):
    folder = tmp_path / "checkpoint-1"
    config = make_pico(tokenizer, seed=0, tie_word_embeddings=tied, num_labels=1).config
    save_checkpoint(folder, transformers.LlamaForSequenceClassification(config), tokenizer, 1)
    with pytest.raises(
        CheckpointError, match=r"no language model: it puts texts into classes[\s\S]*got: +LlamaFor"
    ):
        load(tmp_path)
    written = json.loads((folder / "config.json").read_text()) | {"architectures": ["LlamaForCausalLM"]}
    (folder / "config.json").write_text(json.dumps(written))
    with pytest.raises(CheckpointError, match=r"no language model: its head scores[\s\S]*got: +score.weight"):
        load(tmp_path)


@pytest.mark.parametrize(
    "name", ["LlamaModel", "T5ForConditionalGeneration", "BertForMaskedLM", "OwnRewardModel"]
)
def test_other_models_are_refused_by_their_class(tmp_path, tokenizer, name):
    folder = tmp_path / "checkpoint-1"
    save_checkpoint(folder, make_pico(tokenizer, seed=0), tokenizer, 1)
    written = json.loads((folder / "config.json").read_text()) | {"architectures": [name]}
    (folder / "config.json").write_text(json.dumps(written))
    with pytest.raises(CheckpointError, match=rf"no language model: [\s\S]*got: +{name}"):
        load(tmp_path)


def test_an_adapter_over_a_reward_model_is_refused(tmp_path, base, tokenizer):
    config = LoraConfig(r=2, task_type="SEQ_CLS")
    model = transformers.AutoModelForSequenceClassification.from_pretrained(base, num_labels=1)
    save_checkpoint(tmp_path / "run" / "checkpoint-1", get_peft_model(model, config), tokenizer, 1)
    with pytest.raises(CheckpointError, match=r"no language model[\s\S]*got: +task_type SEQ_CLS"):
        load(tmp_path / "run")
    folder = tmp_path / "run" / "checkpoint-1"
    written = json.loads((folder / "adapter_config.json").read_text()) | {"task_type": None}
    (folder / "adapter_config.json").write_text(json.dumps(written))
    with pytest.raises(CheckpointError, match="score"):
        load(tmp_path / "run")


def test_a_value_head_beside_the_language_model_is_let_be(tmp_path, tokenizer):
    """TRL saves one with the policy of PPO."""
    folder = tmp_path / "checkpoint-1"
    model = make_pico(tokenizer, seed=0)
    save_checkpoint(folder, model, tokenizer, 1)
    file = folder / "model.safetensors"
    save_file(
        load_file(file) | {"v_head.summary.weight": torch.zeros(1, 16)}, file, metadata={"format": "pt"}
    )
    torch.testing.assert_close(logits(load(tmp_path)), logits(model), atol=2e-5, rtol=0)
    check_head(["v_head.summary.weight", "mtp.layers.0.score_norm"], "x")


def test_a_reading_that_meets_no_class_says_so(tmp_path: Path):
    transformers.ViTConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=2).save_pretrained(
        tmp_path
    )
    from overmem.models.pretrained import read_model

    with pytest.raises(CheckpointError, match="no class that writes text for ViTConfig"):
        read_model(tmp_path, trust_remote_code=False)
