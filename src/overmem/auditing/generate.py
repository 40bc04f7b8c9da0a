"""Answers: what the model writes when asked, greedily or k times at a temperature.

One decoding loop serves both. A batch of prompts is prefilled once, whatever the number of samples;
rows that have finished leave the batch. Every sample has its own random numbers, made from the seed,
the example and the sample's number, so that neither order nor batch shape changes an answer.

Shape suffixes: B prompts, S samples a prompt, R = B * S rows, L prompt length, T new tokens, V vocabulary.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import DynamicCache, PreTrainedTokenizerBase

DROP_SHARE = 0.125
"""Finished rows are taken out of the batch once they are this share of it; each time copies the cache."""


@dataclass(frozen=True)
class Generation:
    """One answer."""

    text: str
    """What the model wrote, special tokens left out."""
    tokens: tuple[int, ...]
    """Its token ids, the stop token included."""
    finished: bool
    """Whether it stopped by itself before the limit."""
    mean_logprob: float
    """Mean ln p of the tokens written, at temperature 1, nats; a confidence."""

    @property
    def n_tokens(self) -> int:
        """How many tokens were written."""
        return len(self.tokens)


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """k answers to each prompt, drawn from the model's whole distribution at a temperature."""

    samples: int
    """Answers to each prompt, at least 1."""
    temperature: float
    """Above 0; 1 is the model's own distribution."""
    seed: int = 0

    def uniforms(self, example_ids: Sequence[str], length: int) -> torch.Tensor:
        """Random numbers in [0, 1) of shape (R, T), the same for an example wherever it is batched."""
        rows = [
            np.random.Generator(np.random.Philox(key=_key(f"{self.seed}/{name}/{sample}"))).random(length)
            for name in example_ids
            for sample in range(self.samples)
        ]
        return torch.from_numpy(np.stack(rows))


def _key(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big")


def stop_ids(model: Any, tokenizer: PreTrainedTokenizerBase, end_of_completion: int | None) -> list[int]:
    """Token ids that end an answer: the model's, the tokenizer's, and the template's end of turn."""
    configured = getattr(model.generation_config, "eos_token_id", None)
    ids = configured if isinstance(configured, list) else [configured]
    return sorted({i for i in (*ids, tokenizer.eos_token_id, end_of_completion) if i is not None})


def end_of_completion(tokenizer: PreTrainedTokenizerBase, completions: Iterable[Sequence[int]]) -> int | None:
    """The template's end-of-turn token: the special token that ends every completion; None without one.

    Templates such as ChatML write a newline after it, which is not the end of the turn.

    Args:
        tokenizer: of the completions.
        completions: token ids of the references.
    """
    added = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
    special = added | set(tokenizer.all_special_ids)

    def last(ids: Sequence[int]) -> int | None:
        for token in reversed(ids):
            if token in special or tokenizer.decode([token]).strip():
                return token if token in special else None
        return None

    ends = {last(ids) for ids in completions}
    return ends.pop() if len(ends) == 1 else None


@torch.inference_mode()
def generate(
    model: Any,
    prompts: Sequence[Sequence[int]],
    tokenizer: PreTrainedTokenizerBase,
    *,
    stops: Sequence[int],
    max_new_tokens: int,
    sampling: Sampling | None = None,
    example_ids: Sequence[str] | None = None,
) -> list[list[Generation]]:
    """Answer a batch of prompts.

    In fp32 the answers do not depend on how prompts are batched; in bf16 ties may flip.

    Args:
        model: a causal LM in eval mode.
        prompts: token ids of each prompt; similar lengths waste least.
        tokenizer: decodes the answers.
        stops: ids that end an answer.
        max_new_tokens: longest answer.
        sampling: draw samples; None answers once, greedily (temperature 0).
        example_ids: names of the prompts, from which each sample's random numbers come; needed to sample.

    Returns:
        For each prompt, in order, its answers.
    """
    samples, uniforms_R_T = 1, None
    if sampling is not None:
        samples = sampling.samples
        uniforms_R_T = sampling.uniforms(list(example_ids or ()), max_new_tokens)
    logits_R_V, cache, mask_R_L = _prefill(model, prompts, samples)
    device, rows = logits_R_V.device, len(prompts) * samples
    tokens_R_T = torch.full((rows, max_new_tokens), -1, dtype=torch.long)
    logprobs_R_T = torch.zeros(rows, max_new_tokens)
    stops_S = torch.tensor(list(stops), device=device)
    row_R, running_R = torch.arange(rows), torch.ones(rows, dtype=torch.bool, device=device)
    for step in range(max_new_tokens):
        if uniforms_R_T is None or sampling is None:
            token_R = logits_R_V.argmax(-1)
        else:
            token_R = _draw(logits_R_V, uniforms_R_T[row_R, step].to(device), sampling.temperature)
        logprob_R = logits_R_V.gather(1, token_R[:, None])[:, 0] - logits_R_V.logsumexp(-1)
        writing_R = running_R.cpu()
        tokens_R_T[row_R[writing_R], step] = token_R.cpu()[writing_R]
        logprobs_R_T[row_R[writing_R], step] = logprob_R.cpu()[writing_R]
        running_R = running_R & ~torch.isin(token_R, stops_S)
        left = int(running_R.sum())
        if left == 0 or step == max_new_tokens - 1:
            break
        if len(row_R) - left >= DROP_SHARE * len(row_R):
            kept_R = running_R.nonzero()[:, 0]
            cache.batch_select_indices(kept_R)
            row_R, token_R, mask_R_L = row_R[kept_R.cpu()], token_R[kept_R], mask_R_L[kept_R]
            running_R = running_R[kept_R]
        mask_R_L = torch.cat([mask_R_L, mask_R_L.new_ones(len(mask_R_L), 1)], dim=1)
        logits_R_V = (
            model(
                input_ids=token_R[:, None],
                attention_mask=mask_R_L,
                position_ids=mask_R_L.sum(-1, keepdim=True) - 1,
                past_key_values=cache,
                use_cache=True,
            )
            .logits[:, -1]
            .float()
        )
    answers = [_cut(*pair, tokenizer, set(stops)) for pair in zip(tokens_R_T, logprobs_R_T, strict=True)]
    return [answers[i : i + samples] for i in range(0, rows, samples)]


def _prefill(
    model: Any, prompts: Sequence[Sequence[int]], samples: int
) -> tuple[torch.Tensor, DynamicCache, torch.Tensor]:
    """Read the prompts once; next-token logits (R, V) in fp32, the cache and the mask for R rows."""
    device = next(model.parameters()).device
    longest = max(map(len, prompts))
    ids_B_L = torch.tensor([[0] * (longest - len(p)) + list(p) for p in prompts], device=device)
    mask_B_L = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts], device=device)
    cache = DynamicCache(config=model.config)
    logits_B_V = (
        model(
            input_ids=ids_B_L,
            attention_mask=mask_B_L,
            position_ids=(mask_B_L.cumsum(-1) - 1).clamp_min(0),
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        .logits[:, -1]
        .float()
    )
    if samples > 1:
        cache.batch_repeat_interleave(samples)
    return logits_B_V.repeat_interleave(samples, 0), cache, mask_B_L.repeat_interleave(samples, 0)


def _draw(logits_R_V: torch.Tensor, uniform_R: torch.Tensor, temperature: float) -> torch.Tensor:
    """The token at which the cumulative distribution passes each uniform number; no sorting."""
    wide_R_V = logits_R_V if logits_R_V.device.type == "mps" else logits_R_V.double()
    cumulative_R_V = (wide_R_V / temperature).softmax(-1).cumsum(-1)
    passed_R_1 = (uniform_R.to(cumulative_R_V) * cumulative_R_V[:, -1])[:, None]
    return torch.searchsorted(cumulative_R_V, passed_R_1, right=True)[:, 0].clamp_max(
        logits_R_V.shape[-1] - 1
    )


def _cut(
    tokens_T: torch.Tensor, logprobs_T: torch.Tensor, tokenizer: PreTrainedTokenizerBase, stops: set[int]
) -> Generation:
    """One answer up to and including its stop token; -1 marks what was not written."""
    tokens = tuple(token for token in tokens_T.tolist() if token >= 0)
    return Generation(
        text=tokenizer.decode(list(tokens), skip_special_tokens=True),
        tokens=tokens,
        finished=tokens[-1] in stops,
        mean_logprob=logprobs_T[: len(tokens)].mean().item(),
    )
