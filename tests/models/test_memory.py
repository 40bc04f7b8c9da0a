import pytest
import torch

from overmem.errors import CheckpointError
from overmem.models import memory


def test_less_is_done_at_once_until_it_fits():
    tried = []

    def work(size):
        tried.append(size)
        if size > 3:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")
        return size

    assert memory.halve_until_it_fits(work, 25) == 3
    assert tried == [25, 12, 6, 3]


def test_other_errors_are_not_taken_for_a_lack_of_memory():
    def work(size):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1"):
        memory.halve_until_it_fits(work, 4)


def test_one_that_does_not_fit_is_one_clear_message():
    def work(size):
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 9 bytes")

    with pytest.raises(CheckpointError, match="does not hold one problem"):
        memory.halve_until_it_fits(work, 4)


def test_rows_follow_from_free_memory_in_powers_of_two(monkeypatch):
    from transformers import LlamaConfig

    config = LlamaConfig(hidden_size=64, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2)
    assert memory.kv_sizes(config) == (3, 2, 16)
    # 2 (keys, values) x 3 layers x 2 heads x 16 numbers of 4 bytes, 100 columns, and half as many more.
    row = 768 * 100 * 1.5
    where = torch.float32, torch.device("cpu")
    for free, rows in ((0, 1), (row * 2 * 5, 4), (1e15, memory.MOST_ROWS["cpu"])):
        monkeypatch.setattr(memory, "free_bytes", lambda device, free=free: free)
        assert memory.rows_at_once(config, *where, 100) == rows
    assert memory.rows_at_once(config, *where, 100, batch_tokens=799) == 7
    assert memory.rows_at_once(config, *where, 100, batch_tokens=10) == 1
