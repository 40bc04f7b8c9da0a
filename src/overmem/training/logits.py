"""Per-token scores from logits, for losses and models that TRL's fused LM head does not serve.

Shapes: B rows, T tokens, V vocabulary, N trainable positions.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor
from torch.nn.functional import pad


def has_fused_head(model: Any) -> bool:
    """Whether TRL's fused LM head fits: a backbone to run alone, and one matrix after it."""
    model = model.get_base_model() if isinstance(model, PeftModel) else model
    head = model.get_output_embeddings()
    weight = getattr(head, "weight", None)
    return (
        model.base_model is not model
        and isinstance(weight, Tensor)
        and weight.ndim == 2
        and weight.is_floating_point()
        and hasattr(head, "bias")
    )


def score_logits(
    logits: Tensor, labels: Tensor, shifted: Tensor | None = None, aux_loss: Tensor | None = None
) -> SimpleNamespace:
    """What the fused LM head returns, from logits; also the logits and labels of the N trainable positions.

    Args:
        logits: shape (B, T, V); longer than the labels where PEFT put virtual tokens before them.
        labels: shape (B, T), -100 where not trained on.
        shifted: labels already moved one place, as under context parallelism.
        aux_loss: passed on.
    """
    if shifted is None:
        labels = pad(labels, (logits.shape[1] - labels.shape[1], 0), value=-100)[:, 1:]
        logits = logits[:, :-1]
    else:
        labels = shifted
    mask = (labels := labels.to(logits.device)) != -100
    labels_N, logits_N_V = labels[mask], logits[mask].float()
    logp_N_V = logits_N_V.log_softmax(-1)
    logprobs_N = logp_N_V.gather(-1, labels_N[:, None])[:, 0]
    with torch.no_grad():
        entropy_N = -(logp_N_V.exp() * logp_N_V).sum(-1)
        top1_N = logits_N_V.argmax(-1) == labels_N
    return SimpleNamespace(
        log_probs=spread(logprobs_N, mask),
        entropy=spread(entropy_N, mask),
        is_top1=spread(top1_N, mask),
        label_mask=mask,
        aux_loss=aux_loss,
        logits_N_V=logits_N_V,
        labels_N=labels_N,
    )


def spread(values_N: Tensor, mask: Tensor) -> Tensor:
    """Put N values back where the mask is True, zero elsewhere."""
    return values_N.new_zeros(mask.shape).masked_scatter(mask, values_N)
