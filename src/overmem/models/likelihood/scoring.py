"""Teacher-forced likelihood: how probable the model finds each token of a reference completion.

This is where over-memorization shows first: the references' tokens grow less probable while the
model's own answers stay right. Only the completion's positions go through the LM head, and the
log-softmax is taken in fp32 whatever the weights' dtype.

Shapes: K positions scored, V vocabulary, G temperatures, C figures of a token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from overmem.models.batches import logits_at_once, scored_at_once
from overmem.models.likelihood.scored_logits import TokenIds, completion_logits
from overmem.models.memory import halve_until_it_fits
from overmem.models.placement import input_device

TEMPERATURES = (0.8, 1.0, 1.2, 1.4, 1.7, 2.0, 2.5)
"""Grid on which NLL(T) is kept, for the temperature gap."""
FIRST = 5
COLUMNS = FIRST + len(TEMPERATURES)
"""Figures of a token: those of `TokenScores` in its order, one of each and then one a temperature."""


@dataclass(frozen=True)
class TokenScores:
    """Per-token figures of one completion; every list has one entry a scored token."""

    logprob: list[float]
    """ln p of the reference token, nats; higher is better."""
    entropy: list[float]
    """Entropy of the predicted distribution, nats."""
    is_top1: list[bool]
    """Whether the reference token is the model's first choice."""
    top1_logprob: list[float]
    """ln p of the model's first choice, nats."""
    sigma: list[float]
    """Standard deviation of ln p under the model, for Min-K%++ (2404.02936); its mean is -entropy."""
    logprob_at_temperature: list[list[float]]
    """ln p of the reference token at each of TEMPERATURES."""

    def to_row(self) -> dict[str, Any]:
        """The likelihood columns of an artifact row (docs/definitions.md, Rows)."""
        return {
            "n_tokens": len(self.logprob),
            "nll_nats": -sum(self.logprob),
            **self.__dict__,
            "mu": [-value for value in self.entropy],
        }


@torch.inference_mode()
def score_all(model: Any, items: Sequence[TokenIds]) -> list[TokenScores]:
    """Score problems, as many at once as a cache holds well and, where memory runs out, fewer.

    The one way in which the audit and the monitor score; see `score_batch`.

    Args:
        model: a causal LM in eval mode.
        items: at least one problem.

    Raises:
        CheckpointError: memory does not hold one problem at a time.
    """
    at_once = scored_at_once(input_device(model).type, len(items), max(map(len, items)))
    return halve_until_it_fits(
        lambda size: [
            found
            for start in range(0, len(items), size)
            for found in score_batch(model, items[start : start + size])
        ],
        at_once,
    )


@torch.inference_mode()
def score_batch(model: Any, batch: Sequence[TokenIds]) -> list[TokenScores]:
    """Score the completions of a batch.

    Args:
        model: a causal LM in eval mode.
        batch: rendered examples; each completion has at least one token, each prompt too.

    Returns:
        One record an example, in order.
    """
    device = input_device(model)
    # Made once: small results kept between large blocks would keep an allocator from using these again.
    figures = [torch.empty(sum(item.scored_mask), COLUMNS, device=device) for item in batch]
    done = [0] * len(batch)
    for piece in completion_logits(model, batch):
        rows = logits_at_once(device.type, piece.logits_P_V.shape[-1])
        for logits, targets in zip(piece.logits_P_V.split(rows), piece.targets_P.split(rows), strict=True):
            start = done[piece.item]
            done[piece.item] += len(targets)
            figures[piece.item][start : done[piece.item]] = _score_chunk(logits.float(), targets)
    return [_token_scores(figures_K_C) for figures_K_C in figures]


def _token_scores(figures_K_C: torch.Tensor) -> TokenScores:
    logprob, entropy, is_top1, top1_logprob, sigma = figures_K_C[:, :FIRST].T.tolist()
    at_temperature = figures_K_C[:, FIRST:].tolist()
    return TokenScores(logprob, entropy, list(map(bool, is_top1)), top1_logprob, sigma, at_temperature)


def _score_chunk(logits_K_V: torch.Tensor, targets_K: torch.Tensor) -> torch.Tensor:
    """Figures of some tokens from their logits in fp32, in the order of `TokenScores`: (K, C)."""
    logprobs_K_V = torch.log_softmax(logits_K_V, dim=-1)
    probs_K_V = logprobs_K_V.exp()
    logprob_K = logprobs_K_V.gather(1, targets_K[:, None])[:, 0]
    top1_logprob_K, top1_K = logprobs_K_V.max(dim=-1)
    # A token of probability 0 has ln p = -inf and adds nothing: 0 * inf must not become NaN.
    safe_K_V = logprobs_K_V.clamp_min(-1e4)
    mu_K = (probs_K_V * safe_K_V).sum(-1)
    sigma_K = ((probs_K_V * safe_K_V.square()).sum(-1) - mu_K.square()).clamp_min(0).sqrt()
    # At temperature T: (ln p - top) / T - ln sum exp((ln p' - top) / T), in memory that is there already.
    shifted_K_V, work_K_V = logprobs_K_V.sub_(top1_logprob_K[:, None]), probs_K_V
    at_temperature_K_G = torch.empty(len(targets_K), len(TEMPERATURES), device=targets_K.device)
    for at, temperature in enumerate(TEMPERATURES):
        total_K = torch.mul(shifted_K_V, 1 / temperature, out=work_K_V).exp_().sum(-1)
        at_temperature_K_G[:, at] = (logprob_K - top1_logprob_K) / temperature - total_K.log()
    is_top1_K = (top1_K == targets_K).float()
    first_K_F = torch.stack([logprob_K, -mu_K, is_top1_K, top1_logprob_K, sigma_K], dim=1)
    return torch.cat([first_K_F, at_temperature_K_G], dim=1)
