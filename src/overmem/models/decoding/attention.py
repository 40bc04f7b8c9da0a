"""Attention while answers are written: one new token of every row, behind what all prompts begin with.

What all prompts begin with (a system message, worked examples) is read once, kept once and seen by every row.
Rows hold no copies of its keys and values: one matrix product weighs them for all rows, where copies would
be read from memory row by row, which is most of the time behind a long prefix ("Hydragen", arXiv 2402.05099).

What a row has of its own is weighed by two products on a CPU, keys first, where the fused kernel is made for
many queries: a tenth of an answer's time in bf16 (lab/2026-11.md).

Shape suffixes: R rows, H key-value heads, G query heads of each, P shared tokens, C columns of the cache,
D head size.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface, DynamicCache
from transformers.cache_utils import DynamicSlidingWindowLayer
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from overmem.models.decoding.kv_cache import cache_keyword, can_batch_continuously
from overmem.models.decoding.positions import changing_rotations
from overmem.models.placement import input_device
from overmem.models.pretrained import run_model, unwrap_adapter

NAME = "overmem_answers"
"""Of this attention among those of transformers."""
MIN_SAVED_TOKENS = 64
"""Tokens that sharing must save; reading them apart costs a pass over the weights."""

_prefix: ContextVar[DynamicCache | None] = ContextVar("prefix", default=None)


def shared_tokens(model: Any, prompts: Sequence[Sequence[int]]) -> int:
    """How many tokens all prompts begin with, one of each left over; 0 where sharing saves little.

    Args:
        model: a causal LM; 0 where it cannot share.
        prompts: token ids of each.
    """
    first, last = min(map(tuple, prompts)), max(map(tuple, prompts))
    most = min(map(len, prompts)) - 1
    same = next((n for n in range(most) if first[n] != last[n]), most)
    return same if same * (len(prompts) - 1) >= MIN_SAVED_TOKENS and can_share(model) else 0


def can_share(model: Any) -> bool:
    """Whether what prompts begin with may be kept apart from the rest.

    So where positions are rotations that the keys carry and attention is the usual one; not where distances
    are counted in columns, as by windows and by biases, nor where rotations follow the longest row.
    """
    base = unwrap_adapter(model)
    text = base.config.get_text_config(decoder=True)
    return (
        _has_plain_attention(base)
        and getattr(text, "rope_parameters", None) is not None
        and not changing_rotations(base)
        and not getattr(text, "alibi", False)
        and not any(isinstance(x, DynamicSlidingWindowLayer) for x in DynamicCache(config=base.config).layers)
    )


def _has_plain_attention(base: Any) -> bool:
    """Whether a model's attention can be exchanged, and is plain: no soft caps, no sinks."""
    return (
        can_batch_continuously(base.config)
        and getattr(base, "_supports_sdpa", False)
        and getattr(base, "_supports_attention_backend", False)
    )


@contextmanager
def shared_prefix(model: Any, ids: Sequence[int]) -> Iterator[None]:
    """Read tokens; within, they come before all that the model is given, for every row.

    Positions are the caller's to count on from them; caches and masks begin after them.

    Args:
        model: a causal LM in eval mode.
        ids: the tokens, none where `can_share` does not hold.
    """
    base = unwrap_adapter(model)
    device = input_device(model)
    if not ids and not (device.type == "cpu" and _has_plain_attention(base)):
        yield
        return
    prefix = None
    if ids:
        prefix = DynamicCache()
        given = torch.tensor([list(ids)], device=device)
        run_model(model, input_ids=given, use_cache=True, logits_to_keep=1, **{cache_keyword(model): prefix})
    before = base.config._attn_implementation
    token = _prefix.set(prefix)
    try:
        base.set_attn_implementation(NAME)
        yield
    finally:
        base.set_attn_implementation(before)
        _prefix.reset(token)


def attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Attention of transformers' interface, over the prefix and then over `key` and `value`."""
    prefix = _prefix.get()
    shared = None if prefix is None else prefix.layers[module.layer_idx]
    if query.shape[2] > 1 or kwargs.get("position_bias") is not None:
        if shared is not None:
            key, value = (
                torch.cat([first.expand(len(own), -1, -1, -1), own], dim=2)
                for first, own in ((shared.keys, key), (shared.values, value))
            )
            seen = key.shape[2] - attention_mask.shape[-1]
            attention_mask = torch.nn.functional.pad(attention_mask, (seen, 0), value=True)
        read: tuple[torch.Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **kwargs
        )
        return read
    rows, heads, _, size = key.shape
    scale = size**-0.5 if scaling is None else scaling
    query_R_H_G_D = (query * scale).reshape(rows, heads, -1, size)
    scores_R_H_G_C = (key @ query_R_H_G_D.transpose(2, 3)).transpose(2, 3).float().contiguous()
    scores_R_H_G_C.masked_fill_(~attention_mask, -math.inf)
    if shared is None:
        out = scores_R_H_G_C.softmax(-1).to(value.dtype) @ value
    else:
        scores_H_RG_P = (_join_rows(query_R_H_G_D) @ shared.keys[0].transpose(1, 2)).float()
        # One softmax over both: from the larger of their maxima, divided by the sum of their sums.
        top = torch.maximum(
            _split_rows(scores_H_RG_P.amax(-1, keepdim=True), rows), scores_R_H_G_C.amax(-1, keepdim=True)
        )
        weights_H_RG_P = scores_H_RG_P.sub_(_join_rows(top)).exp_()
        weights_R_H_G_C = scores_R_H_G_C.sub_(top).exp_()
        total = _split_rows(weights_H_RG_P.sum(-1, keepdim=True), rows) + weights_R_H_G_C.sum(
            -1, keepdim=True
        )
        out = _split_rows(weights_H_RG_P.to(value.dtype) @ shared.values[0], rows)
        out = (out + weights_R_H_G_C.to(value.dtype) @ value) / total.to(value.dtype)
    return out.reshape(rows, 1, -1, value.shape[-1]), None


def _join_rows(of_R_H_G_X: torch.Tensor) -> torch.Tensor:
    """All rows as one matrix for each head: (H, R * G, X)."""
    return of_R_H_G_X.transpose(0, 1).flatten(1, 2)


def _split_rows(of_H_RG_X: torch.Tensor, rows: int) -> torch.Tensor:
    """The rows again: (R, H, G, X)."""
    return of_H_RG_X.view(len(of_H_RG_X), rows, -1, of_H_RG_X.shape[-1]).transpose(0, 1)


def _mask(*args: Any, **kwargs: Any) -> torch.Tensor:
    """The mask of `attend`, which is always there."""
    mask: torch.Tensor = sdpa_mask(*args, **(kwargs | {"allow_is_causal_skip": False}))
    return mask


AttentionInterface.register(NAME, attend)
AttentionMaskInterface.register(NAME, _mask)
