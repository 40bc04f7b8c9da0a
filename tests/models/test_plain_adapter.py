"""Adapters of methods that change the base, made plain."""

import json

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

import overmem
from overmem.errors import CheckpointError, RunError
from overmem.models.plain_adapter import plain_adapter
from tests.helpers.adapters import foreign_checkpoint, logits, on_disk


def test_what_cannot_be_made_again_is_skipped_with_the_reason(tmp_path, base, tokenizer, val_file):
    run = tmp_path / "run"
    foreign_checkpoint(run, base, 1, tokenizer)
    foreign_checkpoint(run, base, 2, tokenizer, init_lora_weights="pissa_niter_4")
    audit = overmem.audit(run, val=str(val_file), axes=("likelihood",), limit=2)
    assert "random numbers" in audit.manifest.skipped["checkpoint-2"]
    with pytest.raises(CheckpointError, match="plain already"):
        plain_adapter(run / "checkpoint-1", tmp_path / "never")
    with pytest.raises(CheckpointError, match="random numbers"):
        plain_adapter(run / "checkpoint-2", tmp_path / "never")
    with pytest.raises(CheckpointError, match=r"adapter_config\.json"):
        plain_adapter(run, tmp_path / "never")
    assert not (tmp_path / "never").exists()


def test_made_plain_they_merge(tmp_path, base, tokenizer):
    run = tmp_path / "run"
    for step, init in ((1, "pissa"), (2, "olora")):
        foreign_checkpoint(run, base, step, tokenizer, init_lora_weights=init)
        overmem.plain_adapter(run / f"checkpoint-{step}", tmp_path / f"plain-{step}")
    full = [
        PeftModel.from_pretrained(on_disk(base), run / f"checkpoint-{step}").merge_and_unload().state_dict()
        for step in (1, 2)
    ]
    plain = [tmp_path / "plain-1", tmp_path / "plain-2"]
    assert json.loads((plain[0] / "trainer_state.json").read_text())["global_step"] == 1
    with pytest.raises(CheckpointError, match="in use"):
        plain_adapter(run / "checkpoint-1", plain[0])
    with pytest.raises(RunError, match="--base-model"):
        plain_adapter(run / "checkpoint-1", tmp_path / "never", base_model="/gone")
    merged = AutoModelForCausalLM.from_pretrained(overmem.merge(plain, tmp_path / "full", into_full=True))
    for name, value in merged.state_dict().items():
        torch.testing.assert_close(value, (full[0][name] + full[1][name]) / 2, atol=1e-5, rtol=0)
    adapted = PeftModel.from_pretrained(on_disk(base), overmem.merge(plain, tmp_path / "adapter"))
    torch.testing.assert_close(logits(adapted), logits(merged), atol=5e-5, rtol=0)
