"""Emulated bf16 trains ten times slower, so that only hardware that has it may get it."""

import pytest
import torch

from overmem.training.loading import has_bf16, torch_dtype


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


def test_weights_are_bf16_only_where_that_is_fast(hardware):
    hardware("cpu", capabilities=["avx2"])
    assert torch_dtype("auto") is torch.float32 and torch_dtype("bfloat16") is torch.bfloat16
    hardware("cpu", capabilities=["amx_bf16"])
    assert torch_dtype("auto") is torch.bfloat16
