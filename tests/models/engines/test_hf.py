"""The model in memory as an engine."""

import pytest
import torch

from overmem.errors import CheckpointError
from overmem.models.decoding.attention import shared_tokens
from overmem.models.decoding.generation import generate
from overmem.models.engines import hf


def test_where_memory_runs_out_fewer_are_written_at_once_and_none_is_lost(
    model, prompts, tokenizer, monkeypatch
):
    asked = []

    def small_device(*args, rows, **kwargs):
        asked.append(rows)
        if rows > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GiB")
        return generate(*args, rows=rows, **kwargs)

    monkeypatch.setattr(hf, "generate", small_device)
    settings = {"stops": [tokenizer.eos_token_id], "max_new_tokens": 8}
    own = max(map(len, prompts)) - shared_tokens(model, prompts)
    engine = hf.HfEngine(batch_tokens=8 * (own + 8))
    answers = engine.generate(model, prompts, tokenizer, **settings)
    assert asked == [8, 4, 2]
    expected = generate(model, prompts, tokenizer, **settings)
    assert [a[0].tokens for a in answers] == [a[0].tokens for a in expected]
    engine.generate(model, prompts, tokenizer, **settings)
    assert asked[3:] == [2], "what did not fit once is not tried again"
    monkeypatch.setattr(hf, "generate", lambda *args, **kwargs: small_device(rows=3))
    with pytest.raises(CheckpointError, match="too little memory for one problem"):
        engine.generate(model, prompts, tokenizer, **settings)
