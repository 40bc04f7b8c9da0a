"""Which precision a fine-tune uses where its recipe leaves the choice (`training.bf16`, `model.dtype: auto`).

Bf16 is the usual choice and the faster one, but only on hardware that has it: a CPU without it emulates
every product and was measured ten times slower than in fp32.
"""

from __future__ import annotations

import torch

AUTO = "auto"


def has_bf16(*, use_cpu: bool = False) -> bool:
    """Whether the device that training takes computes in bf16 natively.

    Args:
        use_cpu: train on the CPU even where there is an accelerator.
    """
    accelerator = None if use_cpu else torch.accelerator.current_accelerator(check_available=True)
    if accelerator is None:
        known: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
        # x86 with AVX-512 or AMX, and ARM; an older torch that cannot say gets fp32.
        return any(known.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    if accelerator.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return True


def torch_dtype(name: str) -> torch.dtype:
    """The dtype of a recipe's weights; `auto` is bf16 where the hardware has it, else fp32."""
    if name == AUTO:
        return torch.bfloat16 if has_bf16() else torch.float32
    return getattr(torch, name)  # type: ignore[no-any-return]
