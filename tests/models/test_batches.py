import math

from hypothesis import given
from hypothesis import strategies as st

from overmem.models.batches import (
    CHUNK,
    FEWEST_READ,
    WIDE_LOGITS,
    head_at_once,
    plan_batches,
    plan_chunks,
    read_at_once,
)


@given(st.lists(st.integers(1, 500), max_size=60), st.integers(1, 1000), st.integers(1, 8))
def test_every_index_once_within_budget(lengths, budget, max_rows):
    batches = plan_batches(lengths, budget, max_rows)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        padded = len(batch) * max(lengths[index] for index in batch)
        assert len(batch) <= max_rows
        assert padded <= budget or len(batch) == 1


def test_sorting_keeps_padding_small():
    lengths = [100, 1] * 20
    padded = sum(len(b) * max(lengths[i] for i in b) for b in plan_batches(lengths, 400))
    assert padded <= 1.1 * sum(lengths)


@given(st.lists(st.integers(1, 500), max_size=900), st.integers(1, 300))
def test_chunks_hold_every_prompt_once_longest_first(lengths, answers):
    chunks = plan_chunks(lengths, answers)
    flat = [index for chunk in chunks for index in chunk]
    assert sorted(flat) == list(range(len(lengths)))
    assert [lengths[i] for i in flat] == sorted(lengths, reverse=True)
    assert all(len(chunk) == 1 or len(chunk) * answers <= CHUNK for chunk in chunks)
    # As few as that allows: a chunk written beside few others is slow.
    assert len(chunks) == math.ceil(len(lengths) / max(1, CHUNK // answers))


def test_what_is_read_at_once_holds_as_much_attention_at_any_length():
    assert read_at_once("cpu", 1, 500, 1) >= 500 and read_at_once("cuda", 1, 8000, 1) == 8000
    assert read_at_once("cpu", 1, 32_000, 1) == 250 and read_at_once("cuda", 1, 32_000, 1) == 2000
    assert read_at_once("cpu", 1, 32_000, 32) == FEWEST_READ, "of every head, and still not token by token"
    assert read_at_once("cpu", 4, 1000, 1) == 256


def test_the_head_makes_as_many_logits_at_any_vocabulary():
    for vocabulary in (1000, 152_000, 10**9):
        assert head_at_once(1, vocabulary) * vocabulary <= max(WIDE_LOGITS, vocabulary)
    assert head_at_once(2, 152_000) == WIDE_LOGITS // 304_000 and head_at_once(1, None) >= 1
