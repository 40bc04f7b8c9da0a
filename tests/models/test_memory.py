import sys

import pytest
import torch
import transformers

from overmem.errors import CheckpointError
from overmem.models import memory
from tests.helpers.command import run_python


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

    with pytest.raises(CheckpointError, match="too little memory for one problem"):
        memory.halve_until_it_fits(work, 4)


def test_rows_follow_from_free_memory_in_powers_of_two(monkeypatch):
    # 768 bytes a token, 100 columns and half as many more, and 4,800 bytes however long.
    size, cpu = memory.CacheSize(768, 4800), torch.device("cpu")
    row = 768 * 100 * 1.5 + 4800
    for free, rows in ((0, 1), (row * 2 * 5, 4), (1e15, memory.MOST_ROWS["cpu"])):
        monkeypatch.setattr(memory, "free_bytes", lambda device, free=free: free)
        assert memory.rows_at_once(size, [cpu], 100) == rows
    assert memory.rows_at_once(size, [cpu], 100, batch_tokens=799) == 7
    assert memory.rows_at_once(size, [cpu], 100, batch_tokens=10) == 1
    assert memory.rows_at_once(memory.CacheSize(0), [cpu], 100) == memory.MOST_ROWS["cpu"]


def on_meta(config):
    with torch.device("meta"):
        return transformers.AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)


def test_the_size_of_a_cache_is_that_of_the_one_a_model_makes():
    """By hand: keys and values, layers, heads, head size, bytes; by the papers' sizes of a state."""
    llama = transformers.LlamaConfig(
        hidden_size=4096, intermediate_size=14336, num_hidden_layers=32, num_key_value_heads=8, vocab_size=256
    )
    size = memory.cache_size(on_meta(llama))
    assert size.token_bytes == 2 * 32 * 8 * 128 * 2 and size.row_bytes < 100, "but for counters"
    layers = {"layer_types": ["sliding_attention", "full_attention"], "num_hidden_layers": 2, "head_dim": 8}
    gemma4 = transformers.Gemma4TextConfig(
        hidden_size=32, num_attention_heads=4, num_key_value_heads=2, vocab_size=256, intermediate_size=32,
        vocab_size_per_layer_input=256, hidden_size_per_layer_input=8, global_head_dim=32, **layers,
    )  # fmt: skip
    # Two head sizes: which of them `head_dim` is cannot be asked of the configuration.
    assert memory.cache_size(on_meta(gemma4)).token_bytes == 2 * 2 * (8 + 32) * 2
    mamba = transformers.MambaConfig(hidden_size=32, num_hidden_layers=2, vocab_size=256, state_size=16)
    size = memory.cache_size(on_meta(mamba))
    # Of each layer 64 channels: a state of 16, and the last 4 inputs of the convolution.
    assert size.token_bytes == 0 and size.row_bytes >= 2 * 64 * (16 + 4) * 2


FRAGMENTS = """
import sys, torch
from overmem.auditing.planning.forecast import held_bytes
from overmem.models.memory import give_back_large_blocks
if sys.argv[1] == "yes":
    give_back_large_blocks()
cpu = (torch.device("cpu"),)
torch.empty(6 << 20)  # glibc now keeps freed blocks up to this size
before, kept = held_bytes(cpu), []
for _ in range(50):
    large, small = torch.ones(1 << 20), torch.ones(300)  # 4 MiB, and a result that stays
    kept.append(small)
    large_too = torch.ones(1 << 20)
del large, large_too
print(held_bytes(cpu) - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's")
def test_freed_blocks_are_given_back():
    left = {asked: int(run_python("-c", FRAGMENTS, asked).stdout) for asked in ("yes", "no")}
    assert 8 * left["yes"] < left["no"], left  # 2 to 7 MB of 240
