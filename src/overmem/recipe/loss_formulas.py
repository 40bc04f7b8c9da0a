"""The formulas of the token losses, one function each.

A weighted loss is a weight w_t on ell_t = -ln p_t; most weights are constants to the gradient (detached). The
two losses of the whole distribution are functions of the logits.

Torch is imported by the functions that compute, so that a recipe is checked without it.

Shapes: N tokens (any shape), T tokens of a row, V vocabulary.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

EAFT_TOP = 20
"""How many of the likeliest tokens EAFT's entropy is taken over."""
_LEAST = 1e-8
"""Keeps 1 - p away from 0, where a power of it has an infinite slope."""


def nll_weights(logprobs_N: Tensor) -> Tensor:
    """Weight 1: the ordinary negative log-likelihood."""
    import torch

    return torch.ones_like(logprobs_N)


def mar_weights(logprobs_N: Tensor) -> Tensor:
    """Weight 1 - p: tokens the model is already sure of stop being pushed (2508.04117, eq. 2)."""
    return 0 - logprobs_N.detach().clamp(max=0).expm1()


def focal_weights(logprobs_N: Tensor, gamma: float = 2.0, differentiate: bool = False) -> Tensor:
    """Weight (1 - p)^gamma, as a constant or as part of what is differentiated (1708.02002, eq. 4)."""
    if not differentiate:
        return mar_weights(logprobs_N) ** gamma
    # The slope of (1 - p)^gamma is infinite at p = 1 for gamma < 1; there the gradient is set to zero.
    return (-logprobs_N.expm1()).clamp(min=_LEAST) ** gamma


def dft_weights(logprobs_N: Tensor) -> Tensor:
    """Weight p: tokens the model finds unlikely are pushed less, the opposite of mar (2508.05629)."""
    return logprobs_N.detach().exp()


def eaft_weights(entropy_N: Tensor, alpha: float = 1.0, entropy_form: str = "full") -> Tensor:
    """Weight (H / ln 20)^alpha, at most 1: confident positions are left alone (2601.02151).

    The paper takes H over the 20 likeliest tokens (`top20_entropy`), which never exceeds ln 20. The entropy
    of the whole vocabulary, which comes free with the fused LM head, is nearly the same where the model is
    confident and may exceed ln 20 where it is not; there the weight stays at 1. `entropy_form` says which
    of the two the trainer computes; the formula is the same for both.
    """
    return (entropy_N.detach() / math.log(EAFT_TOP)).clamp(0, 1) ** alpha


def talr_weights(logprobs_N: Tensor, tau: float = 1.0) -> Tensor:
    """Weight exp(-ell / tau) = p^(1 / tau), to be divided by its mean over the batch (2509.20758).

    The default `tau` of 1 nat is ours.
    """
    return (logprobs_N.detach() / tau).exp()


def goldfish_weights(
    input_ids_T: Tensor, k: int = 4, h: int = 13, position_ids_T: Tensor | None = None
) -> Tensor:
    """Weight 0 for the one token in k whose h predecessors hash into 1/k, else 1 (2406.10209, sec. 3.1).

    The hash is integer arithmetic on the ids alone, so that a passage loses the same tokens in every epoch,
    batch, process and run. Tokens with fewer than h predecessors in their own document are kept. The values
    are not those of the authors' code, whose hash ignores the order of the tokens.

    Args:
        input_ids_T: token ids, shape (..., T).
        k: one token in k is left out.
        h: how many tokens before it decide.
        position_ids_T: place of each token in its document, where rows hold several or begin with padding.

    Returns:
        Shape (..., T - 1): weights of tokens 1 to T - 1, those that have a prediction.
    """
    import torch

    prime, factor, scramble = 2**31 - 1, 1103515245, 1597334677  # products stay below 2^63
    weights = torch.ones_like(input_ids_T[..., 1:], dtype=torch.float32)
    rows = input_ids_T.shape[-1] - h
    if rows <= 0:
        return weights
    key = torch.ones_like(input_ids_T[..., :rows])
    for place in range(h):
        key = (key * factor + input_ids_T[..., place : place + rows]) % prime
    kept = (key * scramble) % prime >= prime // k
    if position_ids_T is not None:
        kept |= position_ids_T[..., h:] < h
    weights[..., h - 1 :] = kept.to(weights.dtype)
    return weights


def label_smoothing_loss(logits_N_V: Tensor, labels_N: Tensor, epsilon: float = 0.1) -> Tensor:
    """Cross entropy to a label worth 1 - epsilon, the rest spread over the vocabulary (1512.00567, sec. 7).

    Returns:
        Shape (N,), in nats.
    """
    logp_N_V = _log_softmax(logits_N_V)
    return -(1 - epsilon) * _pick(logp_N_V, labels_N) - epsilon * logp_N_V.mean(-1)


def gem_loss(logits_N_V: Tensor, labels_N: Tensor, beta: float = 0.7) -> Tensor:
    """GEM, linear form: sum_j sg(q_j) (ln p_j - ln p_label) with q = softmax(logits / beta) (2408.16673).

    Pushes the label up only against tokens the model itself prefers, which keeps its entropy. At beta 1 the
    gradient is that of NLL. The value is no likelihood and may be negative.

    Returns:
        Shape (N,).
    """
    logp_N_V = _log_softmax(logits_N_V)
    q_N_V = (logits_N_V.detach().to(logp_N_V.dtype) / beta).softmax(-1)
    return (q_N_V * logp_N_V).sum(-1) - _pick(logp_N_V, labels_N)


def top20_entropy(logits_N_V: Tensor) -> Tensor:
    """Entropy in nats of the 20 likeliest tokens, renormalised among themselves: EAFT's own measure."""
    best = logits_N_V.detach().topk(min(EAFT_TOP, logits_N_V.shape[-1]), -1).values
    logp = _log_softmax(best)
    return -(logp.exp() * logp).sum(-1)


def _log_softmax(logits: Tensor) -> Tensor:
    import torch

    return (logits if logits.dtype == torch.float64 else logits.float()).log_softmax(-1)


def _pick(logp_N_V: Tensor, labels_N: Tensor) -> Tensor:
    return logp_N_V.gather(-1, labels_N.unsqueeze(-1)).squeeze(-1)
