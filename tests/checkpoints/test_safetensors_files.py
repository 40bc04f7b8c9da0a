"""Weights that were saved inside a wrapper of torch.compile, FSDP or DDP are read, and merged."""

import pytest
import torch
from safetensors.torch import load_file, save_file

import overmem
from overmem.errors import CheckpointError
from overmem.models.loading import ModelHost
from tests.conftest import make_pico, save_checkpoint
from tests.helpers.adapters import foreign_checkpoint, logits

WRAPPED = {
    "module": lambda name: f"module.{name}",
    "compile": lambda name: f"_orig_mod.{name}",
    "both": lambda name: f"_orig_mod.module.{name}",
    "fsdp": lambda name: f"_fsdp_wrapped_module.{name}".replace(
        "layers.0.", "layers.0._fsdp_wrapped_module._checkpoint_wrapped_module."
    ),
}


def rename(file, wrap):
    save_file({wrap(name): value for name, value in load_file(file).items()}, file, metadata={"format": "pt"})


@pytest.mark.parametrize("kind", WRAPPED)
def test_a_wrapped_model_is_the_model(tmp_path, tokenizer, kind):
    model = make_pico(tokenizer, seed=1)
    for step in (1, 2):
        save_checkpoint(tmp_path / "run" / f"checkpoint-{step}", model, tokenizer, step)
        rename(tmp_path / "run" / f"checkpoint-{step}" / "model.safetensors", WRAPPED[kind])
    run = overmem.open_run(tmp_path / "run")
    host = ModelHost(run, device=torch.device("cpu"), dtype=torch.float32)
    expected = logits(model)
    torch.testing.assert_close(logits(host.load(run.checkpoints[0])), expected, atol=0, rtol=0)
    merged = overmem.merge([c.path for c in run.checkpoints], tmp_path / "merged")
    assert set(load_file(merged / "model.safetensors")) <= set(model.state_dict())
    whole = type(model).from_pretrained(merged, dtype=torch.float32)
    torch.testing.assert_close(logits(whole), expected, atol=1e-6, rtol=0)


def test_a_wrapped_adapter_is_the_adapter(tmp_path, tokenizer, base):
    expected = foreign_checkpoint(tmp_path / "run", base, 1, tokenizer, target_modules=["q_proj"])
    file = tmp_path / "run" / "checkpoint-1" / "adapter_model.safetensors"
    rename(file, lambda name: name.replace("base_model.model.", "base_model.model._orig_mod."))
    run = overmem.open_run(tmp_path / "run")
    host = ModelHost(run, device=torch.device("cpu"), dtype=torch.float32)
    torch.testing.assert_close(logits(host.load(run.checkpoints[0])), expected, atol=1e-6, rtol=0)


def test_a_merge_refuses_what_zero_3_left_empty(tmp_path, tokenizer):
    for step in (1, 2):
        save_checkpoint(tmp_path / f"checkpoint-{step}", make_pico(tokenizer, seed=step), tokenizer, step)
        file = tmp_path / f"checkpoint-{step}" / "model.safetensors"
        save_file({name: torch.empty(0) for name in load_file(file)}, file, metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"tensors without a value[\s\S]*stage3_gather"):
        overmem.merge([tmp_path / "checkpoint-1", tmp_path / "checkpoint-2"], tmp_path / "merged")
    assert not (tmp_path / "merged").exists()
