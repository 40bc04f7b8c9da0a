"""How far a fine-tune has moved from its base model: KL(base || checkpoint) at the base model's own answers.

Forgetting follows this distance (RL's Razor, 2509.04259), and it is exact over the vocabulary, where the
likelihood of the tokens alone is one draw. Two models need not fit in memory at once: the base model goes
first, and what it predicts at a bounded number of positions is kept on disk in its own dtype, in which
nothing is lost; each checkpoint is then compared with that.

Shapes: K positions of one answer that are compared, T tokens of it, V vocabulary.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from overmem.models.batches import logits_at_once, scored_at_once
from overmem.models.likelihood.scored_logits import TokenIds, completion_logits
from overmem.models.memory import halve_until_it_fits
from overmem.models.placement import input_device

COMPARED_TOKENS = 32
"""First tokens of an answer whose whole distributions are compared: the disk they take is this times the
vocabulary times the bytes of the dtype, for each prompt."""


@dataclass(frozen=True)
class Prediction:
    """What a model predicts along one answer."""

    logits_K_V: torch.Tensor
    """At the first `COMPARED_TOKENS` tokens, in the model's dtype, on the CPU."""
    nll_nats: float
    """Of all the answer's tokens."""
    n_tokens: int


@torch.inference_mode()
def predict(model: Any, items: Sequence[TokenIds]) -> list[Prediction]:
    """What a model predicts along some answers, in fp32 where it sums.

    Args:
        model: a causal LM in eval mode.
        items: prompts with an answer each, at least one.

    Raises:
        CheckpointError: memory does not hold one answer at a time.
    """

    def in_batches(size: int) -> list[Prediction]:
        return [
            found
            for start in range(0, len(items), size)
            for found in _predict_batch(model, items[start : start + size])
        ]

    device = input_device(model).type
    return halve_until_it_fits(in_batches, scored_at_once(device, len(items), max(map(len, items))))


def _predict_batch(model: Any, batch: Sequence[TokenIds]) -> list[Prediction]:
    """What a model predicts along the answers of one batch."""
    kept: list[list[torch.Tensor]] = [[] for _ in batch]
    nll_nats, n_tokens = [0.0] * len(batch), [0] * len(batch)
    for piece in completion_logits(model, batch):
        logits_P_V, i = piece.logits_P_V, piece.item
        if n_tokens[i] < COMPARED_TOKENS:
            kept[i].append(logits_P_V[: COMPARED_TOKENS - n_tokens[i]].to("cpu", copy=True))
        rows = logits_at_once(logits_P_V.device.type, logits_P_V.shape[-1])
        for logits, tokens in zip(logits_P_V.split(rows), piece.targets_P.split(rows), strict=True):
            nll_nats[i] += float(torch.nn.functional.cross_entropy(logits.float(), tokens, reduction="sum"))
        n_tokens[i] += len(piece.targets_P)
    return [Prediction(torch.cat(k), nll, n) for k, nll, n in zip(kept, nll_nats, n_tokens, strict=True)]


def kl_nats(base_K_V: torch.Tensor, other_K_V: torch.Tensor) -> torch.Tensor:
    """KL(base || other) at each position, nats, exact over the vocabulary in fp32; 0 where both are equal.

    Where one model has more tokens than the other: what the other gives to tokens that the base model lacks
    counts against it; tokens that the other lacks are left out of the base model's distribution.

    Args:
        base_K_V: logits of the model that is left.
        other_K_V: logits of the model that it became.

    Returns:
        (K), at least 0 but for rounding; infinite where the other rules out what the base model may say.
    """
    shared = min(base_K_V.shape[-1], other_K_V.shape[-1])
    base = torch.log_softmax(base_K_V[:, :shared].float(), dim=-1)
    other = torch.log_softmax(other_K_V.float(), dim=-1)[:, :shared]
    p = base.exp()
    # A token of probability 0 adds nothing: 0 * inf must not become NaN.
    return torch.where(p > 0, p * (base - other), 0.0).sum(-1)


class BasePredictions:
    """What the base model predicts, a file for each answer, in a folder that is removed after use."""

    def __init__(self, folder: Path) -> None:
        """Keep them in a folder, which need not exist."""
        self.folder = folder

    def has(self, name: str) -> bool:
        """Whether those of an answer are there."""
        return self._file(name).is_file()

    def write(self, name: str, prediction: Prediction) -> None:
        """Keep those of an answer, whole or not at all."""
        self.folder.mkdir(parents=True, exist_ok=True)
        temporary = self._file(name).with_suffix(f".{os.getpid()}.tmp")
        totals = torch.tensor([prediction.nll_nats, prediction.n_tokens], dtype=torch.float64)
        save_file({"logits": prediction.logits_K_V.contiguous(), "totals": totals}, temporary)
        os.replace(temporary, self._file(name))

    def read(self, name: str) -> Prediction:
        """Those of an answer."""
        found = load_file(self._file(name))
        nll, n_tokens = found["totals"].tolist()
        return Prediction(found["logits"], nll, int(n_tokens))

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.safetensors"
