"""Averages of adapters, against averages of full weights by PEFT itself."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import overmem
from overmem.errors import MergeError
from tests.conftest import make_pico
from tests.helpers.merging import (
    MAKERS,
    adapter_pair,
    assert_same,
    deltas,
    full_of,
    load,
    logits,
    weights_of,
    with_adapter,
)

ADAPTER_CASES = {
    "same": ("tied", [{}, {}]),
    "ranks": ("tied", [{"r": 2}, {"r": 5, "lora_alpha": 3}]),
    "rslora": ("untied", [{"use_rslora": True}, {"r": 4, "use_rslora": True, "lora_alpha": 5}]),
    "rslora-and-lora": ("tied", [{"use_rslora": True, "r": 3}, {"r": 3}]),
    "patterns": (
        "tied",
        [
            {"rank_pattern": {"q_proj": 3}, "alpha_pattern": {"layers.1.self_attn.v_proj": 1}},
            {"rank_pattern": {r".*\.1\..*v_proj": 5}, "use_rslora": True, "alpha_pattern": {"q_proj": 7}},
        ],
    ),
    "other-modules": (
        "tied",
        [{"target_modules": ["q_proj", "up_proj"]}, {"target_modules": ["v_proj", "up_proj"]}],
    ),
    "some-layers": ("tied", [{"layers_to_transform": [0]}, {"layers_to_transform": [1]}]),
    "gpt2": ("gpt2", [{"target_modules": ["c_attn", "c_proj", "c_fc"]}, {"r": 3}]),
    "embedding": ("untied", [{"target_modules": ["embed_tokens", "q_proj", "lm_head"]}] * 2),
    "lora-bias": (
        "gpt2",
        [{"lora_bias": True, "target_modules": ["c_attn", "c_fc"]}, {"target_modules": ["c_attn"]}],
    ),
    "bias": ("gpt2", [{"bias": "lora_only"}, {"bias": "lora_only", "r": 3}]),
    "modules-to-save": ("untied", [{"modules_to_save": ["lm_head"]}] * 2),
}


@pytest.mark.parametrize("case", ADAPTER_CASES)
def test_merged_adapters_equal_merged_full_weights(tmp_path, tokenizer, case):
    maker, settings = ADAPTER_CASES[case]
    base, folders = adapter_pair(tmp_path, tokenizer, maker, settings)
    singles = [full_of(maker, tokenizer, folder) for folder in folders]
    average = {
        k: 0.3 * one + 0.7 * other
        for (k, one), other in zip(
            singles[0].state_dict().items(), singles[1].state_dict().values(), strict=True
        )
    }
    reference = MAKERS[maker](tokenizer, 0)
    reference.load_state_dict(average)
    out = overmem.merge(folders, tmp_path / "out", weights=(0.3, 0.7))
    adapted = with_adapter(MAKERS[maker](tokenizer, 0), out)
    torch.testing.assert_close(logits(adapted, 64), logits(reference, 64), rtol=1e-4, atol=1e-4)
    assert not torch.allclose(logits(reference, 64), logits(singles[1], 64), atol=1e-2)
    merged = dict(adapted.merge_and_unload().state_dict())
    assert_same(merged, average, rtol=1e-5, atol=1e-5)
    config = json.loads((out / "adapter_config.json").read_text())
    assert config["use_rslora"] is False and config["lora_alpha"] == config["r"]
    assert config["rank_pattern"] == config["alpha_pattern"]
    # The same through full weights, from the base the adapters name.
    full = overmem.merge(folders, tmp_path / "full", weights=(0.3, 0.7), into_full=True)
    tied = {} if maker == "untied" else {"lm_head.weight": average["lm_head.weight"]}
    assert_same(weights_of(full) | tied, average, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(logits(load(full), 64), logits(reference, 64), rtol=1e-4, atol=1e-4)
    assert (full / "config.json").read_text() == (base / "config.json").read_text()
    assert (full / "tokenizer.json").is_file()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_an_adapter_with_itself_is_itself(tmp_path, tokenizer, dtype):
    _, (a, b) = adapter_pair(tmp_path, tokenizer, "tied", [{}, {"r": 3}])
    for folder in (a, b):
        file = folder / "adapter_model.safetensors"
        save_file({k: v.to(dtype) for k, v in load_file(file).items()}, file, metadata={"format": "pt"})
    for out, (inputs, options) in {
        "same": ([a, a], {}),
        "first": ([a, b], {"weights": (1, 0)}),
        "reduced": ([a, a], {"rank": 2}),
    }.items():
        overmem.merge(inputs, tmp_path / out, **options)
        delta, rank = (
            deltas(tmp_path / out),
            json.loads((tmp_path / out / "adapter_config.json").read_text())["r"],
        )
        assert rank == (4 if out == "same" else 2)
        for name, expected in deltas(a).items():
            exact = out != "reduced" or dtype == torch.float32
            torch.testing.assert_close(delta[name], expected, rtol=0, atol=1e-5 if exact else 0.05)


def test_a_smaller_rank_reports_what_it_loses(tmp_path, tokenizer):
    _, folders = adapter_pair(tmp_path, tokenizer, "tied", [{"r": 3}, {"r": 4}])
    exact = {
        name: delta.numpy() for name, delta in deltas(overmem.merge(folders, tmp_path / "exact")).items()
    }
    out = overmem.merge(folders, tmp_path / "small", rank=2)
    record = json.loads((out / "merge.json").read_text())
    lost = total = 0.0
    for name, delta in exact.items():
        s = np.linalg.svd(delta, compute_uv=False)
        module = name.removeprefix("base_model.model.")
        assert record["lost_share_by_module"][module] == pytest.approx(
            (s[2:] ** 2).sum() / (s**2).sum(), rel=1e-5
        )
        error = np.linalg.norm(deltas(out)[name].numpy() - delta) ** 2
        assert error == pytest.approx((s[2:] ** 2).sum(), rel=1e-4)
        lost, total = lost + (s[2:] ** 2).sum(), total + (s**2).sum()
    assert record["lost_share"] == pytest.approx(lost / total, rel=1e-5)
    assert record["rank"] == 2 and f"{lost / total:.3g}" in (out / "README.md").read_text()
    with_adapter(make_pico(tokenizer, 0), out)


def test_peft_linear_gives_twice_the_update_where_ours_gives_it_once(tmp_path, tokenizer):
    """Trap 4: PEFT averages A and B apart, so N equal adapters at 1/N give N times delta_W."""
    _, (a, b) = adapter_pair(tmp_path, tokenizer, "tied", [{}, {}])
    model = with_adapter(make_pico(tokenizer, 0), a)
    for name, folder in (("twin", a), ("other", b)):
        model.load_adapter(str(folder), adapter_name=name)
    layer = model.base_model.model.model.layers[0].self_attn.q_proj
    ours = {
        out: deltas(overmem.merge(pair, tmp_path / out)) for out, pair in (("aa", (a, a)), ("ab", (a, b)))
    }
    key = "base_model.model.model.layers.0.self_attn.q_proj"
    truth = {n: layer.get_delta_weight(n).detach().double() for n in ("default", "twin", "other")}

    model.add_weighted_adapter(["default", "twin"], [0.5, 0.5], "peft_aa", combination_type="linear")
    torch.testing.assert_close(layer.get_delta_weight("peft_aa").double(), 2 * truth["default"])
    torch.testing.assert_close(ours["aa"][key], truth["default"])

    model.add_weighted_adapter(["default", "other"], [0.5, 0.5], "peft_ab", combination_type="linear")
    average = (truth["default"] + truth["other"]) / 2
    torch.testing.assert_close(ours["ab"][key], average)
    wrong = layer.get_delta_weight("peft_ab").double() - average
    assert wrong.norm() > 0.5 * average.norm()

    # PEFT's "cat" stacks, as ours does, and is right.
    model.add_weighted_adapter(["default", "other"], [0.5, 0.5], "peft_cat", combination_type="cat")
    torch.testing.assert_close(layer.get_delta_weight("peft_cat").double(), average)


def test_a_diverged_adapter_is_refused(tmp_path, tokenizer):
    _, (a, b) = adapter_pair(tmp_path, tokenizer, "tied", [{}, {}])
    file = b / "adapter_model.safetensors"
    tensors = load_file(file)
    next(iter(tensors.values()))[0, 0] = float("nan")
    save_file(tensors, file)
    for options in ({}, {"into_full": True}, {"rank": 1}):
        with pytest.raises(MergeError, match="checkpoint-2 holds NaN"):
            overmem.merge([a, b], tmp_path / "never", **options)
    assert not (tmp_path / "never").exists()
