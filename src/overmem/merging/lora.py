"""Averages of LoRA adapters, taken of what they do: the update `delta_W = s B A`.

Averaging A and B apart, as PEFT's `add_weighted_adapter(combination_type="linear")` does, gives
`(sum w_i A_i)(sum w_i B_i)` up to scaling: cross terms of adapters that never met. Here the factors
are stacked, which is exact, and reduced by SVD only when asked to.

Shapes: r rank, I inputs, O outputs; A is (r, I), B is (O, r). For an embedding, I is its rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True, kw_only=True)
class Factors:
    """One module's update `B A`, or `B A` with B holding the scale, and a bias."""

    a: torch.Tensor
    """(r, I)."""
    b: torch.Tensor
    """(O, r)."""
    bias: torch.Tensor | None = None
    """(O,), added to the module's output; from `lora_bias`."""


@dataclass(frozen=True, kw_only=True)
class Loss:
    """What a reduction of rank left out, in squared Frobenius norm."""

    lost: float
    total: float

    @property
    def share(self) -> float:
        """Lost over total, in [0, 1]; NaN when there was no update at all."""
        return self.lost / self.total if self.total > 0 else math.nan


def stack(parts: Sequence[tuple[Factors, float]]) -> Factors:
    """The sum of `factor * B A` over adapters, exactly, as one pair of rank `sum r_i`.

    `A = [A_1; A_2]`, `B = [f_1 B_1, f_2 B_2]`.

    Args:
        parts: factors, each with its weight times its scale.

    Returns:
        fp32 factors whose scale is 1.
    """
    biases = [factor * part.bias.float() for part, factor in parts if part.bias is not None]
    return Factors(
        a=torch.cat([part.a.float() for part, _ in parts], dim=0),
        b=torch.cat([factor * part.b.float() for part, factor in parts], dim=1),
        bias=torch.stack(biases).sum(dim=0) if biases else None,
    )


def reduce_rank(factors: Factors, rank: int) -> tuple[Factors, Loss]:
    """The best approximation of `B A` of a smaller rank (Eckart and Young 1936), and what it loses.

    Through QR of the factors, so that only an (r, r) matrix is decomposed and `B A` never formed:
    `B A = Q_b (R_b R_a^T) Q_a^T`. In fp64, which is cheap at these sizes.

    Args:
        factors: of rank r.
        rank: at least 1; a rank of r or more changes nothing.
    """
    if rank >= factors.a.shape[0]:
        total = float((gram(factors.b) * gram(factors.a.T)).sum())
        return factors, Loss(lost=0.0, total=total)
    q_b, r_b = torch.linalg.qr(factors.b.double())
    q_a, r_a = torch.linalg.qr(factors.a.double().T)
    u, s, v_t = torch.linalg.svd(r_b @ r_a.T, full_matrices=False)
    root = s[:rank].sqrt()
    reduced = Factors(
        a=_padded((root[:, None] * (v_t[:rank] @ q_a.T)).float(), (rank, factors.a.shape[1])),
        b=_padded(((q_b @ u[:, :rank]) * root).float(), (factors.b.shape[0], rank)),
        bias=factors.bias,
    )
    return reduced, Loss(lost=float((s[rank:] ** 2).sum()), total=float((s**2).sum()))


def gram(columns: torch.Tensor) -> torch.Tensor:
    """Inner products of the columns of a matrix, in fp64."""
    wide = columns.double()
    return wide.T @ wide


def delta_rows(factors: Factors, scale: float, start: int, stop: int, *, transposed: bool) -> torch.Tensor:
    """Rows `start` to `stop` of `scale B A` as the weight is stored, in fp32.

    Args:
        factors: of the module.
        scale: `alpha / r` and the like.
        start: first row.
        stop: end of the rows.
        transposed: the weight is stored as (I, O): GPT-2's Conv1D, and embeddings.
    """
    left, right = (factors.a.T, factors.b.T) if transposed else (factors.b, factors.a)
    return scale * (left[start:stop].float() @ right.float())


def _padded(matrix: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
    """Zeros up to `shape`, for the case that I or O is smaller than the rank asked for."""
    out = torch.zeros(shape)
    out[: matrix.shape[0], : matrix.shape[1]] = matrix
    return out
