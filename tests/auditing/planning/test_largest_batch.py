"""The memory that `overmem plan` tells for scoring, against what torch is counted to allocate."""

import pytest
import torch

from overmem.auditing.planning.cost import Shape, memory_of
from overmem.auditing.planning.largest_batch import scoring_batch
from overmem.models import batches
from overmem.models.likelihood.scoring import score_all
from tests.conftest import make_pico
from tests.helpers.allocations import peak_allocated_bytes
from tests.models.likelihood.test_lm_head import texts


@pytest.mark.parametrize("length", [40, 400])
def test_the_peak_of_scoring_is_what_torch_allocates(length, tokenizer, monkeypatch):
    monkeypatch.setitem(batches.CACHED_TOKENS, "cpu", 64)
    monkeypatch.setattr(batches, "WIDE_LOGITS", 200_000)
    monkeypatch.setitem(batches.CACHED_LOGITS, "cpu", 40_000)
    model = make_pico(tokenizer, seed=1, vocab_size=5000, max_position_embeddings=1024)
    shape = Shape(
        parameters=sum(p.numel() for p in model.parameters()), cache_token_bytes=2 * 2 * 16 * 4,
        hidden=16, intermediate=32, vocabulary=5000, dtype_bytes=torch.float32.itemsize,
        weight_bytes=4 * sum(p.numel() for p in model.parameters()),
    )  # fmt: skip
    (item,) = texts(5000, length)
    score_all(model, [item])
    batch = scoring_batch("cpu", shape, 1, length, length - 5)
    memory = memory_of(shape, [batch])
    counted = peak_allocated_bytes(lambda: score_all(model, [item]))
    assert memory.total - memory.weights == pytest.approx(counted, rel=0.3)
    assert (memory.cache > 0) == (length > 64) and batch.logits <= 40
