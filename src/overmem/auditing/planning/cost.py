"""What audit work costs, from counts alone: tokens, memory, and the least time that a device's peaks allow.

Pure: no model, no files. Memory is a sum of what is known to be held at once; allocators and libraries take
more. Times from peaks are floors, which no real kernel reaches.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from overmem.artifacts.jobs import JobKind
from overmem.auditing.jobs.compute_rows import RECALL_TOKENS

FP32_COPIES = 5
"""Of the logits that are worked on at once: themselves, their logarithms, probabilities and products."""


@dataclass(frozen=True)
class Tokens:
    """Tokens of some work."""

    read: float = 0.0
    """Put through the model at once: prompts, and references that are scored."""
    written: float = 0.0
    """Generated one after another."""

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(self.read + other.read, self.written + other.written)

    def __mul__(self, share: float) -> Tokens:
        return Tokens(self.read * share, self.written * share)


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Sizes of a causal LM that decide its costs."""

    parameters: int
    """Tied weights counted once; of an adapter and its base together."""
    weight_bytes: int
    """Of the parameters, in the precision in which they are held."""
    cache_token_bytes: int
    """Keys and values of one token in all layers."""
    cache_row_bytes: int = 0
    """What is kept of one answer however long it is: recurrent states."""
    hidden: int
    intermediate: int
    vocabulary: int
    dtype_bytes: int
    reads_in_pieces: bool = True
    """Whether long texts are read in pieces when they are scored."""
    pair_scores: int = 1
    """Attention scores held of each pair of tokens: one of each head, or one entry of a mask."""

    @property
    def activation_bytes(self) -> int:
        """Of one token inside one layer: gate, up and their product, and some copies of the hidden state."""
        return (3 * self.intermediate + 4 * self.hidden) * self.dtype_bytes


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes held at once at the worst moment, beside the libraries."""

    weights: int
    cache: int
    """Keys and values while answers are written, or long texts read in pieces."""
    logits: int
    activations: int

    @property
    def total(self) -> int:
        """In all."""
        return self.weights + self.cache + self.logits + self.activations


@dataclass(frozen=True, kw_only=True)
class Batch:
    """The largest batch of a kind of work."""

    rows: int
    tokens: int
    """Tokens of all rows when the longest is done, padding included."""
    read: int
    """Tokens that go through the model at once."""
    logits: int
    """Positions whose logits are held at once."""
    worked: int = 0
    """Of them, those that are worked on at once in fp32."""
    pairs: int = 0
    """Pairs of tokens between which attention goes at once."""


@dataclass(frozen=True, kw_only=True)
class Peaks:
    """What a device can do at most."""

    flops: float
    """Operations a second in the dtype of the audit."""
    bandwidth: float
    """Bytes a second from its memory."""


def tokens_of(kind: JobKind, prompt: int, completion: int, *, samples: int, ratio: float) -> Tokens:
    """Tokens of one problem.

    Args:
        kind: of work.
        prompt: tokens of the problem.
        completion: tokens of its reference.
        samples: answers to it, where answers are sampled.
        ratio: length of an answer over that of its reference.
    """
    if kind == "score":
        return Tokens(prompt + completion)
    if kind == "continue":
        half = completion // 2
        return Tokens(prompt + half, min(RECALL_TOKENS, completion - half))
    if kind in ("greedy", "sample"):
        return Tokens(prompt, completion * ratio * (samples if kind == "sample" else 1))
    return Tokens()


def memory_of(shape: Shape, batches: Iterable[Batch]) -> Memory:
    """The memory of the costliest of some batches.

    Args:
        shape: of the model.
        batches: the largest of each kind of work; one that writes nothing and reads every text at
            once holds no cache (`tokens` 0).
    """
    held = [
        Memory(
            weights=shape.weight_bytes,
            cache=batch.tokens * shape.cache_token_bytes
            + (batch.rows * shape.cache_row_bytes if batch.tokens else 0),
            logits=batch.logits * shape.vocabulary * shape.dtype_bytes
            + FP32_COPIES * batch.worked * shape.vocabulary * 4,
            # Attention scores or its mask, as they are and once more in fp32.
            activations=batch.read * shape.activation_bytes
            + batch.pairs * shape.pair_scores * (shape.dtype_bytes + 4),
        )
        for batch in batches
    ]
    empty = Memory(weights=shape.weight_bytes, cache=0, logits=0, activations=0)
    return max(held, key=lambda memory: memory.total, default=empty)


def least_seconds(tokens: Tokens, shape: Shape, peaks: Peaks, rows: float, context: float) -> float:
    """The least time that some work takes on a device whose peaks are known.

    Two operations a parameter and token; and for every token written, the weights and the cache read from
    memory once for all rows of a batch.

    Args:
        tokens: of the work.
        shape: of the model.
        peaks: of the device.
        rows: answers that are written at once.
        context: tokens of one row, on average.
    """
    reading = 2 * shape.parameters * tokens.read / peaks.flops
    if tokens.written == 0:
        return reading
    steps = tokens.written / max(rows, 1.0)
    of_memory = (
        shape.weight_bytes + rows * (context * shape.cache_token_bytes + shape.cache_row_bytes)
    ) / peaks.bandwidth
    of_operations = 2 * shape.parameters * rows / peaks.flops
    return reading + steps * max(of_memory, of_operations)


def makespan(seconds: Sequence[float], devices: int) -> float:
    """When the last device is done, the longest items first; an item is not divided.

    Args:
        seconds: of each item.
        devices: that share them.
    """
    if devices < 1:
        return math.inf
    busy = [0.0] * devices
    for item in sorted(seconds, reverse=True):
        heapq.heapreplace(busy, busy[0] + item)
    return max(busy)
