"""Adapters that PEFT trains, and what they make of fixed tokens."""

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

import overmem
from overmem.models.loading import ModelHost
from tests.conftest import save_checkpoint

IDS = torch.arange(5, 45).reshape(2, 20)


def logits(model):
    with torch.no_grad():
        return model.eval()(input_ids=IDS).logits


def on_disk(base):
    return AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)


def foreign_checkpoint(run, base, step, tokenizer, rows=None, **settings):
    """A checkpoint as TRL leaves it, of a model with so many tokens, and its logits in training."""
    torch.manual_seed(step)
    config = LoraConfig(**{"r": 3, "lora_alpha": 5, "task_type": "CAUSAL_LM"} | settings)
    start = on_disk(base)
    if rows is not None:
        start.resize_token_embeddings(rows, mean_resizing=False)
    model = get_peft_model(start, config)
    with torch.no_grad():
        for value in model.parameters():
            if value.requires_grad:
                value += 0.1 * torch.randn_like(value)
    save_checkpoint(run / f"checkpoint-{step}", model, tokenizer, step)
    return logits(model)


def check_there_and_back(run, expected):
    """What one checkpoint leaves behind would show in another."""
    opened = overmem.open_run(run)
    host = ModelHost(opened, device=torch.device("cpu"), dtype=torch.float32)
    for checkpoint in (*opened.checkpoints, *reversed(opened.checkpoints)):
        found = logits(host.load(checkpoint))
        torch.testing.assert_close(found, expected[checkpoint.step], atol=5e-5, rtol=0)
