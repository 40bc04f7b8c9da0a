"""How much is computed at once: from the memory that is free, and less where it runs out."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import psutil
import torch
from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size

from overmem.errors import CheckpointError

T = TypeVar("T")
SHARE = 0.5
"""Of the free memory that keys and values may take; the rest is for activations and other programs."""
SLACK = 1.5
"""Columns of the cache over the longest row, where rows join: each time it is full, it is moved."""
MOST_ROWS = {"cpu": 128}
"""Answers written at once: above it a CPU's matrix products gain nothing (lab/2026-11.md)."""
MOST_ROWS_ON_ACCELERATOR = 512


def free_bytes(device: torch.device) -> int:
    """Memory that can still be had on a device."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    # MPS shares the machine's memory.
    return int(psutil.virtual_memory().available)


def kv_sizes(config: Any) -> tuple[int, int, int]:
    """Layers, key-value heads and head size of a causal LM."""
    text = config.get_text_config(decoder=True)
    heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
    size = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    return text.num_hidden_layers, heads, size


def rows_at_once(
    config: Any, dtype: torch.dtype, device: torch.device, columns: int, batch_tokens: int | None = None
) -> int:
    """Answers to write at once.

    Args:
        config: of the model.
        dtype: of its weights.
        device: on which it is.
        columns: tokens of the longest prompt with its answer.
        batch_tokens: most tokens in all; None asks the free memory.

    Returns:
        At least 1; where the memory is asked, a power of two, so that a little more or less of it changes
        nothing.
    """
    if batch_tokens is not None:
        return max(1, batch_tokens // columns)
    row_bytes = 2 * math.prod(kv_sizes(config)) * dtype.itemsize * SLACK * columns
    allowed = int(SHARE * free_bytes(device) / row_bytes)
    most = MOST_ROWS.get(device.type, MOST_ROWS_ON_ACCELERATOR)
    return max(1, min(most, 1 << max(0, allowed.bit_length() - 1)))


def halve_until_it_fits(work: Callable[[int], T], size: int) -> T:
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
