"""Hardware that is not there."""

from types import SimpleNamespace

import pytest
import torch


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
