"""Drawing tokens: k answers to a prompt, each with random numbers of its own.

They are made from the seed, the example and the sample's number, so that neither order nor batch shape
changes an answer.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import torch

from overmem.models.batches import logits_at_once

BLOCK = 256
"""Tokens whose probabilities are summed first, so that only one block of a row is searched."""


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """k answers to each prompt, drawn from the model's whole distribution at a temperature."""

    samples: int
    """Answers to each prompt, at least 1."""
    temperature: float
    """Above 0; 1 is the model's own distribution."""
    seed: int = 0

    def uniforms(self, example_id: str, sample: int, length: int) -> np.ndarray:
        """Random numbers in [0, 1) of shape (length,), the same for an example wherever it is batched."""
        key = hashlib.sha256(f"{self.seed}/{example_id}/{sample}".encode()).digest()[:16]
        generator = np.random.Generator(np.random.Philox(key=int.from_bytes(key, "big")))
        return generator.random(length)


def seed_of(seed: int, example_id: str, sample: int) -> int:
    """The seed of one sample, in 31 bits, which every engine takes."""
    digest = hashlib.sha256(f"{seed}/{example_id}/{sample}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def choose(
    logits_R_V: torch.Tensor, uniform_R: torch.Tensor | None, temperature: float = 1.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """The next token of each row and its ln p at temperature 1, a few rows at a time, which caches hold.

    Args:
        logits_R_V: of any dtype.
        uniform_R: see `draw`; None takes the likeliest.
        temperature: of the draw, above 0.

    Returns:
        Token ids and fp32 log-probabilities, each of shape (R,).
    """
    rows = logits_at_once(logits_R_V.device.type, logits_R_V.shape[-1])
    tokens, logprobs = [], []
    for start in range(0, len(logits_R_V), rows):
        logits = logits_R_V[start : start + rows].float()
        if uniform_R is None:
            token = logits.argmax(-1)
        else:
            token = draw(logits, uniform_R[start : start + rows], temperature)
        tokens.append(token)
        logprobs.append(logits.gather(1, token[:, None])[:, 0] - logits.logsumexp(-1))
    return torch.cat(tokens), torch.cat(logprobs)


def draw(logits_R_V: torch.Tensor, uniform_R: torch.Tensor, temperature: float) -> torch.Tensor:
    """The token at which the cumulative distribution passes each uniform number; no sorting.

    Args:
        logits_R_V: fp32, one row an answer.
        uniform_R: in [0, 1), on any device.
        temperature: above 0.
    """
    rows, vocabulary = logits_R_V.shape
    # MPS has no float64; elsewhere 50,000 small numbers are added up in it.
    wide = torch.float32 if logits_R_V.device.type == "mps" else torch.float64
    weights_R_V = ((logits_R_V - logits_R_V.amax(-1, keepdim=True)) / temperature).exp()
    padded = torch.nn.functional.pad(weights_R_V, (0, -vocabulary % BLOCK)).view(rows, -1, BLOCK)
    upto_R_N = padded.sum(-1, dtype=wide).cumsum(-1)
    passed_R_1 = uniform_R.to(upto_R_N)[:, None] * upto_R_N[:, -1:]
    block_R_1 = torch.searchsorted(upto_R_N, passed_R_1, right=True).clamp_max(upto_R_N.shape[1] - 1)
    before_R_1 = torch.where(block_R_1 > 0, upto_R_N.gather(1, (block_R_1 - 1).clamp_min(0)), 0)
    inside = padded[torch.arange(rows, device=padded.device), block_R_1[:, 0]].to(wide).cumsum(-1)
    offset_R_1 = torch.searchsorted(inside, passed_R_1 - before_R_1, right=True).clamp_max(BLOCK - 1)
    return (block_R_1 * BLOCK + offset_R_1)[:, 0].clamp_max(vocabulary - 1)
