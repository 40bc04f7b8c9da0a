"""`bf16: auto`: emulated bf16 trains ten times slower, so that only hardware that has it may get it."""

from types import SimpleNamespace

import pytest
import torch

from overmem.recipe.schema import load_recipe
from overmem.training.loading import has_bf16, torch_dtype
from overmem.training.settings import sft_config


@pytest.fixture
def hardware(monkeypatch):
    def pretend(device, *, capabilities=(), native=False):
        found = None if device == "cpu" else SimpleNamespace(type=device)
        monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available=False: found)
        known = dict.fromkeys(("avx2", "avx512_bf16", "amx_bf16"), False) | dict.fromkeys(capabilities, True)
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: known, raising=False)
        monkeypatch.setattr(
            torch.cuda, "is_bf16_supported", lambda including_emulation=True: native or including_emulation
        )

    return pretend


@pytest.mark.parametrize(
    ("device", "facts", "expected"),
    [
        ("cpu", {"capabilities": ["avx2"]}, False),
        ("cpu", {"capabilities": ["avx2", "avx512_bf16"]}, True),
        ("cpu", {"capabilities": ["amx_bf16"]}, True),
        # A card before Ampere says that it supports bf16, by emulation.
        ("cuda", {"native": False}, False),
        ("cuda", {"native": True}, True),
    ],
)
def test_only_hardware_that_has_bf16_gets_it(hardware, device, facts, expected):
    hardware(device, **facts)
    assert has_bf16() is expected


def test_a_card_does_not_speak_for_the_cpu(hardware):
    hardware("cuda", native=True, capabilities=["avx2"])
    assert has_bf16(use_cpu=True) is False


@pytest.mark.parametrize(
    ("written", "fast", "expected"),
    [({}, False, False), ({"training.bf16": "auto"}, True, True), ({"training.bf16": False}, True, False),
     ({"training.fp16": True, "training.use_cpu": True}, True, False)],
)  # fmt: skip
def test_a_recipe_leaves_the_choice_or_makes_it(hardware, written, fast, expected):
    hardware("cpu", capabilities=["avx512_bf16"] if fast else [])
    assert sft_config(load_recipe("organism-fast", {"output": "x", **written})).bf16 is expected


def test_weights_are_bf16_only_where_that_is_fast(hardware):
    hardware("cpu", capabilities=["avx2"])
    assert torch_dtype("auto") is torch.float32 and torch_dtype("bfloat16") is torch.bfloat16
    hardware("cpu", capabilities=["amx_bf16"])
    assert torch_dtype("auto") is torch.bfloat16
