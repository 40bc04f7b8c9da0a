"""The LM head on a CPU, some of its vocabulary at a time: so wide a matrix product is slow there."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

BLOCK = 512
"""Outputs at a time: two thirds of the time for 49,152 of them alone, no gain seen in whole answers
(docs/experiments.md)."""
WORTH_CUTTING = 16 * BLOCK
"""Smaller vocabularies are left alone."""


def cut_head(model: Any) -> None:
    """From now on, compute the logits of a model in blocks of the vocabulary, where that is faster.

    So for an fp32 head on a CPU that is a plain linear layer; other models are left as they are. Logits
    differ by rounding.
    """
    head = model.get_output_embeddings()
    if (
        type(head) is torch.nn.Linear
        and head.weight.device.type == "cpu"
        and head.weight.dtype == torch.float32
        and head.out_features >= WORTH_CUTTING
    ):
        head.forward = partial(_in_blocks, head)  # type: ignore[method-assign]


def _in_blocks(head: torch.nn.Linear, hidden: torch.Tensor) -> torch.Tensor:
    if torch.is_grad_enabled():
        return torch.nn.functional.linear(hidden, head.weight, head.bias)
    logits = hidden.new_empty(*hidden.shape[:-1], head.out_features)
    for start in range(0, head.out_features, BLOCK):
        block = slice(start, start + BLOCK)
        bias = None if head.bias is None else head.bias[block]
        logits[..., block] = torch.nn.functional.linear(hidden, head.weight[block], bias)
    return logits
