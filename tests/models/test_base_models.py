"""A base model that is itself an adapter, and one at a revision: measured is what PEFT loads by hand."""

import json

import pytest
import torch
from huggingface_hub import constants
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

import overmem
from overmem.auditing.measured_weights import MeasuredWeights
from overmem.errors import CheckpointError, RunError
from overmem.models.base_models import chain_of, split_revision
from overmem.models.loading import ModelHost
from tests.conftest import make_pico, save_checkpoint
from tests.helpers.adapters import logits, on_disk


def adapter(model, folder, tokenizer, names, seed):
    """A trained adapter, saved with a base model's name of its own."""
    torch.manual_seed(seed)
    adapted = get_peft_model(model, LoraConfig(r=2, lora_alpha=4, task_type="CAUSAL_LM"))
    with torch.no_grad():
        for name, value in adapted.named_parameters():
            if "lora_B" in name:
                value.normal_(0, 0.3)
    save_checkpoint(folder, adapted, tokenizer, seed)
    edit(folder, base_model_name_or_path=str(names))
    return logits(adapted)


def edit(folder, **changes):
    file = folder / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def host_of(run, **options):
    opened = overmem.open_run(run)
    return ModelHost(opened, device=torch.device("cpu"), dtype=torch.float32, **options), opened.checkpoints[
        0
    ]


@pytest.fixture
def preferences(tmp_path, base, tokenizer):
    """DPO after SFT: its run, the SFT adapter, and the logits in training."""
    sft, run = tmp_path / "sft", tmp_path / "dpo"
    adapter(on_disk(base), sft, tokenizer, base, 1)
    instructed = PeftModel.from_pretrained(on_disk(base), sft).merge_and_unload()
    expected = adapter(instructed, run / "checkpoint-2", tokenizer, sft, 2)
    return run, sft, expected


def test_an_adapter_on_an_adapter_is_measured_on_it(preferences, base):
    run, sft, expected = preferences
    host, checkpoint = host_of(run)
    torch.testing.assert_close(logits(host.load(checkpoint)), expected, atol=2e-5, rtol=0)
    dropped = PeftModel.from_pretrained(on_disk(base), checkpoint.path)
    assert (logits(dropped) - expected).abs().max() > 0.1, "what is measured without the lower one"
    assert chain_of(str(sft)) == [str(sft), str(base)]
    host, checkpoint = host_of(run, base_model=str(sft))
    torch.testing.assert_close(logits(host.load(checkpoint)), expected, atol=2e-5, rtol=0)


def test_the_base_model_of_an_audit_is_the_lower_adapter_and_its_weights_count(
    preferences, base, val_file, tokenizer
):
    run, sft, _ = preferences
    done = overmem.audit(run, val=str(val_file), axes=("likelihood",), limit=2)
    assert not done.skipped
    whole = PeftModel.from_pretrained(on_disk(base), sft).merge_and_unload()
    host, checkpoint = host_of(run)
    from overmem.records import Checkpoint

    below = Checkpoint(name="base", step=0, path=sft, kind="full")
    torch.testing.assert_close(logits(host.load(below)), logits(whole), atol=2e-5, rtol=0)
    before = [MeasuredWeights(host.base_of).fingerprint(c) for c in (checkpoint, below)]
    save_checkpoint(base, make_pico(tokenizer, seed=9), tokenizer, 0)
    after = [MeasuredWeights(host.base_of).fingerprint(c) for c in (checkpoint, below)]
    assert all(one != other for one, other in zip(before, after, strict=True))


def test_adapters_that_name_each_other_are_refused(preferences):
    run, sft, _ = preferences
    edit(sft, base_model_name_or_path=str(run / "checkpoint-2"))
    host, checkpoint = host_of(run)
    with pytest.raises(RunError, match=r"name each other[\s\S]*got: "):
        host.load(checkpoint)


def test_pickled_weights_of_a_lower_adapter_need_consent_as_any_others(preferences):
    run, sft, expected = preferences
    torch.save(load_file(sft / "adapter_model.safetensors"), sft / "adapter_model.bin")
    (sft / "adapter_model.safetensors").unlink()
    host, checkpoint = host_of(run)
    with pytest.raises(CheckpointError, match=r"sft holds pickled weights[\s\S]*--allow-pickle"):
        host.load(checkpoint)
    host, checkpoint = host_of(run, allow_pickle=True)
    torch.testing.assert_close(logits(host.load(checkpoint)), expected, atol=2e-5, rtol=0)


def test_whole_weights_beside_a_lower_adapter_are_refused(preferences, base):
    run, sft, _ = preferences
    for name in ("config.json", "model.safetensors"):
        (sft / name).write_bytes((base / name).read_bytes())
    host, checkpoint = host_of(run)
    with pytest.raises(RunError, match=r"holds a whole model and an adapter[\s\S]*--base-model"):
        host.load(checkpoint)


def test_the_revision_that_an_adapter_was_trained_on_is_taken(tmp_path, tokenizer, monkeypatch):
    hub = tmp_path / "hub"
    folder = hub / "models--some--model"
    for at, (revision, commit) in enumerate((("main", "a" * 40), ("v2", "b" * 40))):
        model = make_pico(tokenizer, seed=at, initializer_range=0.2)
        save_checkpoint(folder / "snapshots" / commit, model, tokenizer, 0)
        (folder / "refs").mkdir(exist_ok=True)
        (folder / "refs" / revision).write_text(commit)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(hub))
    for name in (
        "huggingface_hub.file_download",
        "huggingface_hub._snapshot_download",
        "transformers.utils.hub",
    ):
        module = __import__(name, fromlist=["_"])
        for constant in ("HF_HUB_CACHE", "TRANSFORMERS_CACHE", "PYTORCH_TRANSFORMERS_CACHE"):
            if hasattr(module, constant):
                monkeypatch.setattr(module, constant, str(hub))
    run = tmp_path / "run"
    second = AutoModelForCausalLM.from_pretrained(folder / "snapshots" / ("b" * 40))
    expected = adapter(second, run / "checkpoint-1", tokenizer, "some/model", 1)
    edit(run / "checkpoint-1", revision="v2")
    host, checkpoint = host_of(run)
    assert host.base_of(checkpoint) == "some/model@v2"
    torch.testing.assert_close(logits(host.load(checkpoint)), expected, atol=2e-5, rtol=0)
    edit(run / "checkpoint-1", revision=None)
    host, checkpoint = host_of(run)
    assert (logits(host.load(checkpoint)) - expected).abs().max() > 0.1
    host, checkpoint = host_of(run, base_model="some/model@v2")
    torch.testing.assert_close(logits(host.load(checkpoint)), expected, atol=2e-5, rtol=0)
    assert split_revision(str(tmp_path)) == (str(tmp_path), None)


def test_a_lower_adapter_that_does_not_fit_is_named(preferences):
    run, sft, _ = preferences
    file = sft / "adapter_model.safetensors"
    tensors = load_file(file)
    save_file({name.replace("layers.1", "layers.7"): value for name, value in tensors.items()}, file)
    host, checkpoint = host_of(run)
    with pytest.raises(overmem.errors.CheckpointError, match=r"sft does not fit its base model"):
        host.load(checkpoint)
