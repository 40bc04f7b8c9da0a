"""How much is computed at once: from the memory that is free, and less where it runs out."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

import psutil
import torch
from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size

from overmem.errors import CheckpointError, OvermemError
from overmem.models.placement import input_device
from overmem.models.pretrained import run_model

T = TypeVar("T")
SHARE = 0.5
"""Of the free memory that keys and values may take; the rest is for activations and other programs."""
SLACK = 1.5
"""Columns of the cache over the longest row, where rows join: each time it is full, it is moved."""
MOST_ROWS = {"cpu": 128}
"""Answers written at once: above it a CPU's matrix products gain nothing (lab/2026-11.md)."""
MOST_ROWS_ON_ACCELERATOR = 512
M_MMAP_THRESHOLD = -3
"""Of glibc's mallopt: blocks of so many bytes are mapped, and unmapped when they are freed."""
CACHES = ("cache", "past_key_values", "cache_params", "state")
"""What models call the cache in their outputs."""


def free_bytes(device: torch.device) -> int:
    """Memory that can still be had on a device."""
    module = torch.get_device_module(device)
    if hasattr(module, "mem_get_info"):
        return int(module.mem_get_info(device)[0])
    # MPS shares the machine's memory.
    return int(psutil.virtual_memory().available)


@cache
def give_back_large_blocks() -> None:
    """From here on, have a CPU's freed memory back at once, which costs some 5% of time (lab/2026-11.md).

    By default glibc keeps freed blocks of up to 32 MiB, and cannot use them again between small results that
    stay: in bf16 at 32,000 tokens those were two thirds of what was taken. Other C libraries are left alone.
    """
    try:
        set_option = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    set_option(M_MMAP_THRESHOLD, 1 << 20)


@dataclass(frozen=True)
class CacheSize:
    """Bytes that a model keeps of each answer while it is written."""

    token_bytes: int
    """Of each token: keys and values."""
    row_bytes: int = 0
    """Of each answer, however long it is: recurrent states."""


@torch.inference_mode()
def cache_size(model: Any) -> CacheSize:
    """What the cache that a model makes by itself holds, after few tokens and after a few more.

    Args:
        model: a language model; on the `meta` device nothing is computed.

    Returns:
        Nothing where the model makes no cache, or fails on so short a text.
    """
    device = input_device(model)
    held = []
    for length in (2, 6):
        ids = torch.ones(1, length, dtype=torch.long, device=device)
        try:
            out = run_model(model, input_ids=ids, use_cache=True)
        except OvermemError:
            return CacheSize(0)
        cache = next((c for c in (getattr(out, name, None) for name in CACHES) if c is not None), None)
        held.append(sum(tensor.numel() * tensor.element_size() for tensor in _tensors(cache, {})))
    token = (held[1] - held[0]) // 4
    return CacheSize(token, held[0] - 2 * token)


def _tensors(found: Any, seen: dict[int, Any]) -> Iterator[torch.Tensor]:
    """Every tensor in a cache, of whatever class it is; a part that is seen twice counts once."""
    if id(found) in seen:
        return
    seen[id(found)] = found
    if isinstance(found, torch.Tensor):
        yield found
        return
    parts: Iterable[Any] = ()
    if isinstance(found, Mapping):
        parts = found.values()
    elif isinstance(found, list | tuple):
        parts = found
    elif hasattr(found, "__dict__") and not isinstance(found, torch.nn.Module | type):
        parts = vars(found).values()
    for part in parts:
        yield from _tensors(part, seen)


def rows_at_once(
    size: CacheSize, devices: Sequence[torch.device], columns: int, batch_tokens: int | None = None
) -> int:
    """Answers to write at once.

    Args:
        size: of the model's cache.
        devices: on which it is; the fullest must hold it, since nobody says how it is shared out.
        columns: tokens of the longest prompt with its answer.
        batch_tokens: most tokens in all; None asks the free memory.

    Returns:
        At least 1; where the memory is asked, a power of two, so that a little more or less of it changes
        nothing.
    """
    if batch_tokens is not None:
        return max(1, batch_tokens // columns)
    row_bytes = size.token_bytes * SLACK * columns + size.row_bytes
    most = MOST_ROWS.get(devices[0].type, MOST_ROWS_ON_ACCELERATOR)
    allowed = int(min(most, SHARE * min(map(free_bytes, devices)) / max(row_bytes, 1)))
    return max(1, 1 << max(0, allowed.bit_length() - 1))


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
                    "the device has too little memory for one problem at a time",
                    got=str(error).splitlines()[0],
                    expected="a device with more memory",
                    next_step="free the device, or pass --dtype bfloat16, --quantize 4bit, --device-map auto "
                    "or a smaller --max-new-tokens",
                ) from None
        clear_device_cache(garbage_collection=True)
        size = max(1, size // 2)
