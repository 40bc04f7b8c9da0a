"""Quantized pico models and adapters on them, as transformers and PEFT alone make and read them."""

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from tests.conftest import make_pico, save_checkpoint

WIDE = {"hidden_size": 64, "intermediate_size": 128, "initializer_range": 0.3}
"""The least that bitsandbytes packs on a CPU: blocks of 64 weights."""


def settings(bits):
    """As QLoRA quantizes: NF4 with its scales quantized too."""
    return BitsAndBytesConfig(
        load_in_4bit=bits == "4bit", load_in_8bit=bits == "8bit", bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=torch.float32,
    )  # fmt: skip


def plain(folder, bits=None, adapter=None):
    """A model as transformers and PEFT load it, by themselves and afresh."""
    quantized = {} if bits is None else {"quantization_config": settings(bits)}
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **quantized)
    return (model if adapter is None else PeftModel.from_pretrained(model, adapter)).eval()


def save_quantized(folder, source, bits, tokenizer, step=0):
    """A model whose file holds packed weights."""
    save_checkpoint(folder, plain(source, bits), tokenizer, step)


def make_models(root, tokenizer):
    """A model in floats, and the same in 4 and 8 bits: folders by name."""
    save_checkpoint(root / "floats", make_pico(tokenizer, seed=0, **WIDE), tokenizer, 0)
    for bits in ("4bit", "8bit"):
        save_quantized(root / bits, root / "floats", bits, tokenizer)
    return {name: root / name for name in ("floats", "4bit", "8bit")}


def save_adapters(run, base, tokenizer, steps=(1, 2), **lora):
    """Checkpoints of a LoRA fine-tune, random as they are."""
    for step in steps:
        torch.manual_seed(step)
        config = LoraConfig(**{"r": 4, "target_modules": ["q_proj", "v_proj", "down_proj"]} | lora)
        model = get_peft_model(plain(base), config)
        with torch.no_grad():
            for name, value in model.named_parameters():
                if "lora_" in name:
                    value += 0.1 * torch.randn_like(value)
        save_checkpoint(run / f"checkpoint-{step}", model, tokenizer, step)
