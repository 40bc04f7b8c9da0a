"""How much is computed at once: from the memory that is free, and less where it runs out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import psutil
import torch
from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size

from overmem.errors import CheckpointError

T = TypeVar("T")
SHARE = 0.5
"""Of the free memory that keys and values may take; the rest is for activations and other programs."""
MOST_ROWS = {"cpu": 128}
"""Answers written at once: above it a CPU's matrix products gain nothing (docs/experiments.md)."""
MOST_ROWS_ELSEWHERE = 512


def free_bytes(device: torch.device) -> int:
    """Memory that can still be had on a device."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    # MPS shares the machine's memory.
    return int(psutil.virtual_memory().available)


def cache_bytes(config: Any, dtype: torch.dtype) -> int:
    """Bytes of keys and values that one token takes in all layers."""
    text = config.get_text_config(decoder=True)
    heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
    size = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    return int(2 * text.num_hidden_layers * heads * size * dtype.itemsize)


def rows_at_once(model: Any, columns: int) -> int:
    """Answers to write at once on the model's device.

    Args:
        model: a causal LM.
        columns: tokens of the longest prompt and answer that the cache holds for a row.

    Returns:
        A power of two, at least 1, so that a little more or less free memory changes nothing.
    """
    weight = next(model.parameters())
    allowed = SHARE * free_bytes(weight.device) / max(1, cache_bytes(model.config, weight.dtype) * columns)
    most = MOST_ROWS.get(weight.device.type, MOST_ROWS_ELSEWHERE)
    return max(1, min(most, 1 << max(0, int(allowed).bit_length() - 1)))


def with_less(work: Callable[[int], T], size: int) -> T:
    """Do `work(size)`; where memory runs out, again with half the size, down to 1.

    Args:
        work: takes how much to do at once; it must leave nothing behind when it fails.
        size: to begin with, at least 1.

    Raises:
        CheckpointError: one at a time does not fit.
    """
    while True:
        try:
            return work(size)
        except RuntimeError as error:
            if not should_reduce_batch_size(error):
                raise
            if size == 1:
                raise CheckpointError(
                    "the device's memory does not hold one problem at a time",
                    got=str(error).splitlines()[0],
                    expected="a device with more memory",
                    next_step="free the device, or pass --dtype bfloat16 or a smaller --max-new-tokens",
                ) from None
        clear_device_cache(garbage_collection=True)
        size = max(1, size // 2)
