"""Adapters merged into the weights of their base model."""

import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

import overmem
from overmem.errors import MergeError
from tests.conftest import make_pico
from tests.helpers.adapters import foreign_checkpoint, logits
from tests.helpers.merging import (
    UNTIED,
    adapter_pair,
    assert_same,
    deltas,
    full_of,
    load,
    make_adapter,
    refused,
    save_model,
    weights_of,
    with_adapter,
)
from tests.helpers.quantized import make_models, plain, save_adapters


@pytest.mark.parametrize("maker", ["tied", "gpt2"])
def test_dora_is_merged_into_full_weights(tmp_path, tokenizer, maker):
    settings = {"use_dora": True, "fan_in_fan_out": maker == "gpt2"}
    _, folders = adapter_pair(tmp_path, tokenizer, maker, [settings, settings | {"r": 3}])
    with pytest.raises(MergeError, match=r"DoRA[\s\S]*into_full=True"):
        overmem.merge(folders, tmp_path / "never")
    one, other = (full_of(maker, tokenizer, folder).state_dict() for folder in folders)
    full = weights_of(overmem.merge(folders, tmp_path / "full", into_full=True))
    assert_same(full, {k: (one[k] + other[k]) / 2 for k in full}, rtol=1e-4, atol=1e-5)


def test_full_weights_and_an_adapter_meet_in_full_weights(tmp_path, tokenizer):
    base, (adapter, _) = adapter_pair(tmp_path, tokenizer, "tied", [{}, {}])
    full = save_model(tmp_path / "run" / "checkpoint-9", make_pico(tokenizer, 9), tokenizer)
    with pytest.raises(
        MergeError, match=r"checkpoint-9 is full, run/checkpoint-1 is an adapter[\s\S]*into_full"
    ):
        overmem.merge([adapter, full], tmp_path / "never")
    moved = base.rename(tmp_path / "moved")
    with pytest.raises(MergeError, match=r"base model .* cannot be found[\s\S]*base_model="):
        overmem.merge([adapter, full], tmp_path / "never", into_full=True)
    out = weights_of(overmem.merge([adapter, full], tmp_path / "out", into_full=True, base_model=str(moved)))
    one, other = full_of("tied", tokenizer, adapter).state_dict(), weights_of(full)
    assert_same(out, {k: (one[k] + other[k]) / 2 for k in out}, rtol=1e-5, atol=1e-6)


def test_folding_rounds_once(tmp_path, tokenizer):
    """The fold is not rounded before the average is taken."""
    base, folders = adapter_pair(tmp_path, tokenizer, "tied", [{}, {}])
    shutil.rmtree(base)
    save_model(base, make_pico(tokenizer, 0).bfloat16(), tokenizer)
    out = weights_of(overmem.merge(folders, tmp_path / "out", into_full=True))
    name = "model.layers.0.self_attn.q_proj.weight"
    start = weights_of(base)[name].double()
    both = [deltas(folder)["base_model.model." + name.removesuffix(".weight")] for folder in folders]
    assert out[name].dtype == torch.bfloat16
    exact = (start + sum(both) / 2).to(torch.bfloat16)
    assert (out[name] != exact).float().mean() < 0.01


def test_a_prefix_that_old_files_lack_is_found(tmp_path, tokenizer):
    base, folders = adapter_pair(tmp_path, tokenizer, "gpt2", [{}, {}])
    expected = weights_of(overmem.merge(folders, tmp_path / "one", into_full=True))
    short = {k.removeprefix("transformer."): v for k, v in weights_of(base).items()}
    save_file(short, base / "model.safetensors", metadata={"format": "pt"})
    out = weights_of(overmem.merge(folders, tmp_path / "two", into_full=True))
    assert_same(out, {k.removeprefix("transformer."): v for k, v in expected.items()})


def test_tokens_added_before_the_adapter_was_trained(tmp_path, tokenizer):
    save_model(tmp_path / "base", make_pico(tokenizer, 0, **UNTIED), tokenizer)
    grown = lambda: make_pico(tokenizer, 0, **UNTIED, vocab_size=720)  # noqa: E731
    make_adapter(tmp_path / "a", grown(), tmp_path / "base", 1, modules_to_save=["lm_head", "embed_tokens"])
    # PEFT writes an embedding that it finds resized three times.
    assert sum("lm_head" in key for key in load_file(tmp_path / "a/adapter_model.safetensors")) == 3
    refused(
        r"tokens that its base model lacks[\s\S]*720 rows, the base model's 715[\s\S]*resize_token",
        [tmp_path / "a"] * 2,
        into_full=True,
    )
    save_model(tmp_path / "resized", grown(), tokenizer)
    resized = {"into_full": True, "base_model": str(tmp_path / "resized")}
    merged = load(overmem.merge([tmp_path / "a"] * 2, tmp_path / "out", **resized))
    adapted = with_adapter(load(tmp_path / "resized"), tmp_path / "a")
    ids = torch.arange(700, 720)[None]
    torch.testing.assert_close(merged(ids).logits, adapted(ids).logits, rtol=1e-4, atol=1e-4)


def test_a_change_to_one_of_two_tied_weights_is_refused(tmp_path, tokenizer):
    for name, settings in {
        "lora": {"target_modules": ["embed_tokens", "q_proj"]},
        "saved": {"modules_to_save": ["embed_tokens"]},
    }.items():
        base, folders = adapter_pair(tmp_path / name, tokenizer, "tied", [settings] * 2)
        refused(r"one of two tied weights[\s\S]*embed_tokens", folders, into_full=True)
        # As an adapter it is exact: the head keeps the base's weights.
        out = overmem.merge(folders, tmp_path / name / "out")
        adapted, parts = with_adapter(load(base), out), [with_adapter(load(base), f) for f in folders]
        rows = [model.get_input_embeddings()(torch.tensor([3, 5])) for model in (adapted, *parts)]
        torch.testing.assert_close(rows[0], (rows[1] + rows[2]) / 2, rtol=1e-4, atol=1e-5)


def test_a_base_model_that_is_an_adapter_is_refused(tmp_path, base, tokenizer):
    foreign_checkpoint(tmp_path, base, 1, tokenizer)
    below = tmp_path / "checkpoint-1"
    foreign_checkpoint(tmp_path / "run", base, 2, tokenizer)
    twice = [tmp_path / "run" / "checkpoint-2"] * 2
    with pytest.raises(MergeError, match=r"checkpoint-1 is itself an adapter[\s\S]*merge_and_unload"):
        overmem.merge(twice, tmp_path / "out", into_full=True, base_model=str(below))


def test_packed_weights_take_no_adapter_and_adapters_are_merged_without_them(tmp_path, tokenizer):
    models = make_models(tmp_path / "models", tokenizer)
    save_adapters(tmp_path / "run", models["8bit"], tokenizer)
    folders = [tmp_path / "run" / f"checkpoint-{step}" for step in (1, 2)]
    said = r"8bit holds quantized weights[\s\S]*bitsandbytes[\s\S]*from before quantization: base_model="
    with pytest.raises(MergeError, match=said):
        overmem.merge(folders, tmp_path / "never", into_full=True)
    assert not (tmp_path / "never").exists()
    full = overmem.merge(folders, tmp_path / "full", into_full=True, base_model=str(models["floats"]))
    assert weights_of(full).keys() == weights_of(models["floats"]).keys()
    # Two adapters side by side, each with half of its scale, are their mean.
    both = plain(models["8bit"], adapter=folders[0])
    both.load_adapter(folders[1], adapter_name="other")
    both.base_model.set_adapter(["default", "other"])
    for module in both.modules():
        if isinstance(getattr(module, "scaling", None), dict):
            module.scaling = {name: scale / 2 for name, scale in module.scaling.items()}
    merged = plain(models["8bit"], adapter=overmem.merge(folders, tmp_path / "merged"))
    torch.testing.assert_close(logits(merged), logits(both.eval()), atol=2e-5, rtol=0)
