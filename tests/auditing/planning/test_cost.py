"""What audit work costs, against counts made by hand and a model that is really built."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overmem.auditing.planning.cost import (
    Batch,
    Peaks,
    Shape,
    Tokens,
    least_seconds,
    makespan,
    memory_of,
    tokens_of,
)

LLAMA = Shape(
    # Llama 3.1 8B: its own count of parameters; 128 KiB of bf16 keys and values a token.
    parameters=8_030_261_248,
    cache_token_bytes=2 * 32 * 8 * 128 * 2,
    hidden=4096,
    intermediate=14336,
    vocabulary=128_256,
    dtype_bytes=2,
    weight_bytes=2 * 8_030_261_248,
)


def test_tokens_of_each_kind_of_work():
    shape = {"prompt": 10, "completion": 7, "samples": 4, "ratio": 2.0}
    assert tokens_of("score", **shape) == Tokens(17, 0)
    assert tokens_of("greedy", **shape) == Tokens(10, 14)
    assert tokens_of("sample", **shape) == Tokens(10, 56)
    # Half of the reference is given, and no more than the other half is compared.
    assert tokens_of("continue", **shape) == Tokens(13, 4)
    assert tokens_of("continue", prompt=1, completion=100, samples=1, ratio=1.0) == Tokens(51, 32)


def test_an_8b_model_by_hand():
    assert LLAMA.weight_bytes == pytest.approx(16.06e9, rel=1e-3)
    assert LLAMA.cache_token_bytes == 128 * 1024
    writing = Batch(rows=16, tokens=8192, read=4096, logits=16)
    scoring = Batch(rows=16, tokens=0, read=8192, logits=4096)
    held = memory_of(LLAMA, [writing])
    assert held.cache == 2**30 and held.total > held.weights + held.cache
    # 4,096 positions of 128,256 logits outweigh the cache.
    assert memory_of(LLAMA, [writing, scoring]).logits == pytest.approx(4096 * 128_256 * 2, rel=0.02)
    assert memory_of(LLAMA, []).total == LLAMA.weight_bytes
    # In pieces: what is worked on is held five times in fp32, and the mask of 1,000 tokens before 32,000.
    pieces = Batch(rows=1, tokens=32_000, read=1000, logits=124, worked=124, pairs=32_000_000)
    held = memory_of(LLAMA, [pieces])
    assert held.logits == 124 * 128_256 * (2 + 5 * 4) and held.cache == 32_000 * 128 * 1024
    assert held.activations == 1000 * (3 * 14336 + 4 * 4096) * 2 + 32_000_000 * (2 + 4)


def test_the_floor_of_a_gpu():
    peaks = Peaks(flops=1e15, bandwidth=3.35e12)
    assert least_seconds(Tokens(1000, 0), LLAMA, peaks, 1, 0) == pytest.approx(
        2 * 8.03e9 * 1000 / 1e15, rel=1e-3
    )
    # One answer alone: 16 GB of weights read for every token.
    assert least_seconds(Tokens(0, 100), LLAMA, peaks, 1, 0) == pytest.approx(
        100 * 16.06e9 / 3.35e12, rel=1e-3
    )
    # Many at once share that reading, until operations bound them.
    many = least_seconds(Tokens(0, 1e6), LLAMA, peaks, 100_000, 0)
    assert many == pytest.approx(2 * 8.03e9 * 1e6 / 1e15, rel=1e-3)


@given(st.lists(st.floats(0.1, 100), min_size=1, max_size=6), st.integers(1, 4))
def test_sharing_among_devices_is_near_the_best_there_is(seconds, devices):
    found = makespan(seconds, devices)
    best = min(
        max(
            sum(s for s, at in zip(seconds, places, strict=True) if at == device) for device in range(devices)
        )
        for places in itertools.product(range(devices), repeat=len(seconds))
    )
    # Graham's bound for the longest first.
    assert best <= found + 1e-9 and found <= best * (4 / 3 - 1 / (3 * devices)) + 1e-9


def test_a_checkpoint_is_not_divided():
    assert makespan([5.0, 1.0, 1.0], 8) == 5.0
    assert makespan([], 3) == 0.0
