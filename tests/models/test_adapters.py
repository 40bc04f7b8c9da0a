"""Adapters: their scale, and the base model they belong to.

Covers: overmem.models.adapted_base
"""

import gc
import weakref

import pytest
import torch

import overmem
from overmem.errors import CheckpointError
from overmem.models.adapters import scaling
from overmem.models.loading import ModelHost
from overmem.records import Checkpoint
from tests.conftest import make_pico, save_checkpoint
from tests.helpers.adapters import check_there_and_back, foreign_checkpoint, logits, on_disk


def test_scaling_follows_patterns_and_rslora():
    config = {
        "r": 4,
        "lora_alpha": 8,
        "rank_pattern": {"layers.1.mlp.up_proj": 16},
        "alpha_pattern": {r".*\.up_proj": 2, "^model.layers.0.q_proj": 6},
    }
    assert scaling(config, "model.layers.0.v_proj") == (4, 2.0)
    assert scaling(config, "model.layers.0.q_proj") == (4, 1.5)
    assert scaling(config, "model.layers.1.mlp.up_proj") == (16, 0.125)
    assert scaling(config | {"use_rslora": True}, "model.layers.1.mlp.up_proj") == (16, 0.5)


def test_unconverted_adapters_are_measured_over_the_base_they_were_trained_over(tmp_path, base, tokenizer):
    run = tmp_path / "run"
    targets = ["q_proj", "down_proj"]
    expected = {
        1: foreign_checkpoint(run, base, 1, tokenizer, init_lora_weights="pissa"),
        2: foreign_checkpoint(run, base, 2, tokenizer),
        3: foreign_checkpoint(run, base, 3, tokenizer, init_lora_weights="olora", use_rslora=True),
        4: foreign_checkpoint(run, base, 4, tokenizer, init_lora_weights="pissa", target_modules=targets),
        5: foreign_checkpoint(run, base, 5, tokenizer, init_lora_weights="pissa", use_dora=True),
    }
    before = {name: value.clone() for name, value in on_disk(base).named_parameters()}
    opened = overmem.open_run(run)
    host = ModelHost(opened, device=torch.device("cpu"), dtype=torch.float32)
    # There and back: what one leaves behind would show in another.
    for checkpoint in (*opened.checkpoints, *reversed(opened.checkpoints)):
        found = logits(host.load(checkpoint))
        torch.testing.assert_close(found, expected[checkpoint.step], atol=5e-5, rtol=0)
    held = {name.replace(".base_layer", ""): v for name, v in host.adapted._base.named_parameters()}
    assert all(torch.equal(held[name], value) for name, value in before.items() if name in held)


def test_biases_that_an_adapter_has_changed_are_not_left_to_the_next(tmp_path, tokenizer):
    base, run = tmp_path / "base", tmp_path / "run"
    model = make_pico(tokenizer, seed=0, initializer_range=0.2, attention_bias=True, mlp_bias=True)
    save_checkpoint(base, model, tokenizer, 0)
    kinds = ("none", "all", "all", "none", "lora_only", "all", "none")
    check_there_and_back(
        run,
        {step: foreign_checkpoint(run, base, step, tokenizer, bias=kind) for step, kind in enumerate(kinds)},
    )


@pytest.mark.parametrize("tied", [False, True])
def test_adapters_with_tokens_of_their_own_are_measured_with_them(tmp_path, tokenizer, val_file, tied):
    base, run = tmp_path / "base", tmp_path / "run"
    model = make_pico(tokenizer, seed=0, initializer_range=0.2, tie_word_embeddings=tied)
    save_checkpoint(base, model, tokenizer, 0)
    size = len(tokenizer)
    whole = {"modules_to_save": ["embed_tokens", "lm_head"]}
    expected = {
        1: foreign_checkpoint(run, base, 1, tokenizer, rows=size + 3, **whole),
        2: foreign_checkpoint(run, base, 2, tokenizer, rows=size + 3, **whole),
        3: foreign_checkpoint(run, base, 3, tokenizer, rows=size + 5, **whole),
        4: foreign_checkpoint(run, base, 4, tokenizer),
        5: foreign_checkpoint(run, base, 5, tokenizer, rows=size + 5),
        6: foreign_checkpoint(run, base, 6, tokenizer, rows=size + 5),
        7: foreign_checkpoint(run, base, 7, tokenizer, **whole),
        8: foreign_checkpoint(run, base, 8, tokenizer),
    }
    assert expected[1].shape[-1] == size + 3
    check_there_and_back(run, expected)
    audit = overmem.audit(run, val=str(val_file), axes=("likelihood",), limit=2)
    assert not audit.skipped


def test_single_tokens_that_an_adapter_has_changed_are_not_asked_of_the_next(tmp_path, base, tokenizer):
    """PEFT leaves their module on the embeddings, and then looks for it in every adapter's file."""
    run, kinds = tmp_path / "run", (None, [4, 7], [4, 7], None, [5])
    expected = {
        step: foreign_checkpoint(run, base, step, tokenizer, trainable_token_indices=kind)
        for step, kind in enumerate(kinds)
    }
    check_there_and_back(run, expected)


@pytest.mark.parametrize("bad", [1, 2])
def test_an_adapter_that_does_not_fit_leaves_nothing_to_the_next(tmp_path, tokenizer, bad):
    run = tmp_path / "run"
    for name, width in (("base", 32), ("wide", 48)):
        model = make_pico(
            tokenizer, seed=0, initializer_range=0.2, attention_bias=True, intermediate_size=width
        )
        save_checkpoint(tmp_path / name, model, tokenizer, 0)
    expected = {}
    for step in (1, 2, 3):
        # By the time the misfit is noticed, the bad one's biases are in the base model.
        name, bias = ("wide", "all") if step == bad else ("base", "none")
        targets = ["q_proj", "down_proj"]
        expected[step] = foreign_checkpoint(
            run, tmp_path / name, step, tokenizer, target_modules=targets, bias=bias
        )
    opened = overmem.open_run(run)
    host = ModelHost(
        opened, device=torch.device("cpu"), dtype=torch.float32, base_model=str(tmp_path / "base")
    )
    for checkpoint in opened.checkpoints:
        if checkpoint.step == bad:
            with pytest.raises(
                CheckpointError, match=r"got: +size mismatch for base_model\S+down_proj\S+lora_A"
            ):
                host.load(checkpoint)
            continue
        found = logits(host.load(checkpoint))
        torch.testing.assert_close(found, expected[checkpoint.step], atol=5e-5, rtol=0)


def test_no_two_models_are_in_memory_at_once(tmp_path, base, tokenizer, monkeypatch):
    run, wide = tmp_path / "run", tmp_path / "wide"
    save_checkpoint(wide, make_pico(tokenizer, seed=0, intermediate_size=48), tokenizer, 0)
    for step, settings in enumerate([{}, {"rows": len(tokenizer) + 3}, {}]):
        foreign_checkpoint(run, base, step, tokenizer, **settings)
    foreign_checkpoint(run, wide, 3, tokenizer, target_modules=["down_proj"])
    opened = overmem.open_run(run)
    host = ModelHost(opened, device=torch.device("cpu"), dtype=torch.float32, base_model=str(base))
    loaded, alive = [], []
    from_pretrained = ModelHost._from_pretrained

    def spy(self, name, **said):
        alive.append([model() is not None for model in loaded])
        model = from_pretrained(self, name, **said)
        loaded.append(weakref.ref(model))
        return model

    monkeypatch.setattr(ModelHost, "_from_pretrained", spy)
    # Memory is to be free at once, not when the next collection happens to come.
    gc.collect()
    gc.disable()
    try:
        for checkpoint in opened.checkpoints[:3]:
            host.load(checkpoint)
        with pytest.raises(CheckpointError) as kept:
            host.load(opened.checkpoints[3])
        host.load(opened.checkpoints[0])
        host.load(Checkpoint(name="base", step=0, path=base, kind="full"))
        host.load(opened.checkpoints[0])
        host.base_model = None
        host.load(opened.checkpoints[3])
    finally:
        gc.enable()
    assert kept is not None
    assert len(loaded) == 7
    assert not any(any(before) for before in alive), alive


def test_a_tensor_that_all_layers_share_is_there_when_it_was_loaded_once(tmp_path, base, tokenizer):
    """VB-LoRA's vector bank; one that is not in the file at all is missed."""
    from peft import PeftModel, VBLoRAConfig, get_peft_model
    from safetensors.torch import load_file, save_file

    model = get_peft_model(
        on_disk(base),
        VBLoRAConfig(r=2, vector_length=4, num_vectors=5, target_modules=["q_proj", "down_proj"]),
    )
    with torch.no_grad():
        for name, value in model.named_parameters():
            if "vblora" in name:
                value.normal_(0, 1)
    folder = tmp_path / "run" / "checkpoint-1"
    save_checkpoint(folder, model, tokenizer, 1)
    opened = overmem.open_run(tmp_path / "run")
    host = ModelHost(opened, device=torch.device("cpu"), dtype=torch.float32)
    expected = logits(PeftModel.from_pretrained(on_disk(base), folder))
    torch.testing.assert_close(logits(host.load(opened.checkpoints[0])), expected, atol=2e-5, rtol=0)
    file = folder / "adapter_model.safetensors"
    save_file({key: value for key, value in load_file(file).items() if "bank" not in key}, file)
    with pytest.raises(CheckpointError, match="vector_bank"):
        host.load(opened.checkpoints[0])
