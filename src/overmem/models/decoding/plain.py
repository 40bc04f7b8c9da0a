"""Answers by transformers alone, where our decoding does not suit a model: `generate`, or without a cache."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from accelerate.utils.memory import should_reduce_batch_size
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList

from overmem.boundary import library_call
from overmem.models.decoding.rows import Row, Writing, write_tokens
from overmem.models.placement import input_device
from overmem.models.preserving_state import generation_config_restored
from overmem.models.pretrained import run_model, unwrap_adapter


class _Chooses(LogitsProcessor):
    """Leaves the token that each row takes as the only one possible."""

    def __init__(self, rows: Sequence[Row], writing: Writing) -> None:
        self.rows, self.writing = rows, writing

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        token_R = write_tokens(self.rows, scores, self.writing)
        return torch.full_like(scores, -torch.inf).scatter_(1, token_R[:, None].to(scores.device), 0.0)


def write_by_generate(
    model: Any, prompts: Sequence[Sequence[int]], rows: Sequence[Row], writing: Writing, most: int
) -> None:
    """Write rows by `generate`, so many at once, shorter prompts padded on the left.

    Args:
        model: a language model in eval mode.
        prompts: token ids of each.
        rows: what is to be written, in the order in which it is.
        writing: how.
        most: rows at once; 1 pads nothing.

    Raises:
        CheckpointError: the model's own code fails.
    """
    for start in range(0, len(rows), most):
        _generate(model, prompts, rows[start : start + most], writing)


def _generate(model: Any, prompts: Sequence[Sequence[int]], rows: Sequence[Row], writing: Writing) -> None:
    base, device = unwrap_adapter(model), input_device(model)
    asked = [prompts[row.prompt] for row in rows]
    longest = max(map(len, asked))
    ids = torch.tensor([[0] * (longest - len(p)) + list(p) for p in asked], device=device)
    mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in asked], device=device)
    settings = GenerationConfig(
        do_sample=False,
        max_new_tokens=max(len(row.forced or ()) for row in rows)
        or writing.max_new_tokens - min(row.in_prompt for row in rows),
        eos_token_id=sorted(writing.stops) or None,
        pad_token_id=0,
        bos_token_id=None,
    )
    boundary = library_call("the model fails while it answers", passes=should_reduce_batch_size)
    with generation_config_restored(model), boundary:
        # What stays unsaid here would be taken from the model's own settings, such as a penalty.
        base.generation_config = settings
        base.generate(
            input_ids=ids,
            attention_mask=mask,
            generation_config=settings,
            logits_processor=LogitsProcessorList([_Chooses(rows, writing)]),
        )


def write_without_cache(
    model: Any, prompts: Sequence[Sequence[int]], rows: Sequence[Row], writing: Writing
) -> None:
    """Write rows one by one, each read again from its beginning for every token; see `write_by_generate`."""
    device = input_device(model)
    for row in rows:
        while not row.done:
            ids = torch.tensor([[*prompts[row.prompt], *row.tokens[row.in_prompt :]]], device=device)
            write_tokens([row], run_model(model, input_ids=ids, use_cache=False).logits[:, -1], writing)
