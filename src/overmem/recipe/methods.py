"""The ways to fine-tune by name: what each sets in PEFT's `LoraConfig`, and which settings contradict it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

Method = Literal["full", "lora", "rslora", "dora", "pissa", "olora", "lora_plus"]

PRESETS: dict[str, dict[str, Any]] = {
    "lora": {},
    "rslora": {"use_rslora": True},
    "dora": {"use_dora": True},
    "pissa": {"init_lora_weights": "pissa"},
    "olora": {"init_lora_weights": "olora"},
    "lora_plus": {},
}
"""What a method adds to LoRA (arXiv 2106.09685): rsLoRA 2312.03732, DoRA 2402.09353, PiSSA 2404.02948,
OLoRA 2406.01775. LoRA+ (2402.12354) differs in the optimizer alone."""
LORA_PLUS_RATIO = 16.0
"""Learning rate of B over that of A, the paper's choice."""
UNSUPPORTED_STARTS = ("corda", "lora_ga", "loftq", "eva")
"""Values of `init_lora_weights` that need data or a quantized model before training."""


def lora_fields(method: Method, lora: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of `LoraConfig` for a method, with what the recipe says under `lora`.

    Raises:
        ValueError: the recipe contradicts its method, or asks for a start that needs more than the model.
    """
    start = str(lora.get("init_lora_weights", True)).lower()
    if start.startswith(UNSUPPORTED_STARTS):
        raise ValueError(f"lora.init_lora_weights: {start} needs data or a quantized model before training")
    fields = {**PRESETS[method]}
    for key, value in lora.items():
        if key in fields and not _agrees(fields[key], value):
            raise ValueError(
                f"lora.{key}: {value!r} contradicts `method: {method}`, which sets {fields[key]!r}; "
                f"leave it out, or write `method: {_method_of(key, value)}`"
            )
        fields[key] = value
    return fields


def _agrees(preset: Any, value: Any) -> bool:
    """PiSSA's fast SVD, `pissa_niter_16`, is PiSSA."""
    return bool(value == preset) or (preset == "pissa" and str(value).startswith("pissa_niter_"))


def _method_of(key: str, value: Any) -> str:
    return next((name for name, fields in PRESETS.items() if fields.get(key) == value), "lora")
