"""Greedy answers: what the model says when asked, one batch of prompts at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList, PreTrainedTokenizerBase


@dataclass(frozen=True)
class Generation:
    """One answer."""

    text: str
    """What the model wrote, special tokens left out."""
    n_tokens: int
    """Tokens written, the stop token included."""
    finished: bool
    """Whether it stopped by itself before the limit."""
    mean_logprob: float
    """Mean ln p of the tokens written, nats; a confidence."""


class _GreedyLogprobs(LogitsProcessor):
    """Keeps the log-probability of the greedy choice at each step; changes nothing."""

    def __init__(self) -> None:
        self.steps: list[torch.Tensor] = []

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        logits_B_V = scores.float()
        self.steps.append((logits_B_V.amax(-1) - logits_B_V.logsumexp(-1)).cpu())
        return scores


def stop_ids(model: Any, tokenizer: PreTrainedTokenizerBase, end_of_completion: int | None) -> list[int]:
    """Token ids that end an answer: the model's, the tokenizer's, and the template's end of turn."""
    configured = getattr(model.generation_config, "eos_token_id", None)
    ids = configured if isinstance(configured, list) else [configured]
    return sorted({i for i in (*ids, tokenizer.eos_token_id, end_of_completion) if i is not None})


@torch.inference_mode()
def generate_greedy(
    model: Any,
    prompts: Sequence[Sequence[int]],
    tokenizer: PreTrainedTokenizerBase,
    *,
    stops: Sequence[int],
    max_new_tokens: int,
) -> list[Generation]:
    """Answer a batch of prompts greedily (temperature 0).

    In fp32 the answers do not depend on how prompts are batched; in bf16 ties may flip.

    Args:
        model: a causal LM in eval mode.
        prompts: token ids of each prompt; similar lengths waste least.
        tokenizer: decodes the answers.
        stops: ids that end an answer.
        max_new_tokens: longest answer.

    Returns:
        One generation a prompt, in order.
    """
    device = next(model.parameters()).device
    longest = max(map(len, prompts))
    pad = stops[0] if stops else 0
    ids_B_L = torch.tensor([[pad] * (longest - len(p)) + list(p) for p in prompts], device=device)
    mask_B_L = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts], device=device)
    recorder = _GreedyLogprobs()
    config = GenerationConfig(
        do_sample=False, max_new_tokens=max_new_tokens, eos_token_id=list(stops) or None, pad_token_id=pad
    )
    with _own_settings_set_aside(model):
        output_B_L = model.generate(
            input_ids=ids_B_L,
            attention_mask=mask_B_L,
            generation_config=config,
            logits_processor=LogitsProcessorList([recorder]),
        )
    logprobs_B_K = torch.stack(recorder.steps, dim=1)
    return [
        _cut(row, logprobs, tokenizer, set(stops))
        for row, logprobs in zip(output_B_L[:, longest:].tolist(), logprobs_B_K, strict=True)
    ]


@contextmanager
def _own_settings_set_aside(model: Any) -> Iterator[None]:
    """Keep a checkpoint's repetition penalty and the like out: transformers fills them in otherwise."""
    owner = model.get_base_model() if hasattr(model, "get_base_model") else model
    kept, owner.generation_config = owner.generation_config, GenerationConfig()
    try:
        yield
    finally:
        owner.generation_config = kept


def _cut(
    row: list[int], logprobs_K: torch.Tensor, tokenizer: PreTrainedTokenizerBase, stops: set[int]
) -> Generation:
    """One answer up to and including its first stop token."""
    end = next((index for index, token in enumerate(row) if token in stops), None)
    length = len(row) if end is None else end + 1
    text = tokenizer.decode(row[:length], skip_special_tokens=True)
    return Generation(text, length, end is not None, logprobs_K[:length].mean().item())
