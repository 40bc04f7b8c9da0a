"""What a merge computes: pure functions of tensors, weights and scores.

Every average here is a running one, so values that are equal stay equal to the last bit whatever the
weights (but for the sign of a zero), and a weight of zero leaves no trace.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

T = TypeVar("T")

BLOCK_ELEMENTS = 32768
"""Worked on at a time: stays in a CPU's cache, allocates next to nothing."""
NEARLY_PARALLEL = 0.9995
"""Cosine beyond which slerp is linear; the threshold mergekit and Shoemake's followers use."""


def pair_weights() -> tuple[float, float]:
    """Equal parts of an early, fit checkpoint and a late, accurate one (arXiv 2508.04117, eq. 1)."""
    return 0.5, 0.5


def wise_weights(alpha: float) -> tuple[float, float]:
    """WiSE-FT: `1 - alpha` of the early checkpoint and `alpha` of the late one.

    Source: arXiv 2109.01903; between an early and a late checkpoint of one run, arXiv 2504.10478.

    Args:
        alpha: share of the late checkpoint, in [0, 1].
    """
    return 1.0 - alpha, alpha


def soup_weights(n: int) -> tuple[float, ...]:
    """A uniform soup (arXiv 2203.05482); over the last checkpoints of a run, LAWA (arXiv 2209.14981)."""
    return (1.0 / n,) * n


def ema_weights(n: int, decay: float) -> tuple[float, ...]:
    """Weights of an exponential moving average over checkpoints, oldest first; they sum to 1.

    The average starts at the oldest: `e_1 = a_1`, `e_i = decay e_(i-1) + (1 - decay) a_i`
    (Polyak and Juditsky 1992; as a teacher's weights, arXiv 1703.01780).

    Args:
        n: checkpoints.
        decay: share kept at every step, in (0, 1); larger means a longer memory.
    """
    return (decay ** (n - 1), *((1 - decay) * decay ** (n - i) for i in range(2, n + 1)))


def weighted_sum(
    tensors: Sequence[torch.Tensor], weights: Sequence[float], dtype: torch.dtype | None = None
) -> torch.Tensor:
    """Sum of `weights[i] * tensors[i]`, accumulated in fp64 block by block and rounded once.

    Args:
        tensors: of one shape, on the CPU, of any floating dtypes.
        weights: at least zero, one a tensor. When they sum to 1 the result is an average: each step
            moves from the mean so far towards the next tensor, which leaves equal values unchanged.
        dtype: of the result; the first tensor's by default.

    Raises:
        ValueError: a negative weight, or none above zero.
    """
    if min(weights) < 0 or max(weights) == 0:
        raise ValueError(f"weights must be at least zero and not all zero, got {tuple(weights)}")
    kept = [(t.reshape(-1), w) for t, w in zip(tensors, weights, strict=True) if w != 0]
    total = math.fsum(weights)
    out = torch.empty(tensors[0].shape, dtype=dtype or tensors[0].dtype)
    flat = out.view(-1)
    mean, item = (torch.empty(min(BLOCK_ELEMENTS, flat.numel()), dtype=torch.float64) for _ in range(2))
    for start in range(0, flat.numel(), BLOCK_ELEMENTS):
        block = slice(start, min(start + BLOCK_ELEMENTS, flat.numel()))
        n = block.stop - start
        seen = kept[0][1]
        mean[:n].copy_(kept[0][0][block])
        for tensor, weight in kept[1:]:
            seen += weight
            mean[:n].lerp_(item[:n].copy_(tensor[block]), weight / seen)
        if not math.isclose(total, 1.0, abs_tol=1e-6):
            mean[:n].mul_(total)
        flat[block].copy_(mean[:n])
    return out


def slerp_weights(products: tuple[float, float, float], t: float) -> tuple[float, float]:
    """The factors of `a` and `b` in a spherical interpolation of two tensors seen as vectors (slerp).

    `sin((1 - t) angle) / sin(angle)` and `sin(t angle) / sin(angle)` (Shoemake, SIGGRAPH 1985), which keep
    the lengths. When the two are nearly parallel, or one is zero, it is linear: `1 - t` and `t`. Tensors of
    two checkpoints of one fine-tune usually are.

    Args:
        products: a.b, a.a and b.b.
        t: share of `b`, in [0, 1].
    """
    dot, square_a, square_b = products
    length = math.sqrt(square_a * square_b)
    cosine = dot / length if length > 0 else 1.0
    if not abs(cosine) <= NEARLY_PARALLEL:
        return 1.0 - t, t
    angle = math.acos(cosine)
    return math.sin((1.0 - t) * angle) / math.sin(angle), math.sin(t * angle) / math.sin(angle)


def inner_products(a: torch.Tensor, b: torch.Tensor) -> tuple[float, float, float]:
    """a.b, a.a and b.b over all elements, in fp32 within a block and in fp64 across blocks."""
    sums = [0.0, 0.0, 0.0]
    flat_a, flat_b = a.reshape(-1), b.reshape(-1)
    for start in range(0, flat_a.numel(), BLOCK_ELEMENTS):
        x, y = (flat[start : start + BLOCK_ELEMENTS].float() for flat in (flat_a, flat_b))
        for i, (u, v) in enumerate(((x, y), (x, x), (y, y))):
            sums[i] += float(torch.dot(u, v))
    return sums[0], sums[1], sums[2]


def greedy_soup(
    candidates: Sequence[T], evaluate: Callable[[tuple[T, ...]], float]
) -> tuple[tuple[T, ...], float]:
    """A soup that takes in a candidate only while the validation score does not fall.

    Recipe 1 of arXiv 2203.05482.

    Args:
        candidates: best first.
        evaluate: score of the uniform soup of the given candidates, higher is better; called once a
            candidate.

    Returns:
        The members of the soup, in the order in which they were taken, and the soup's score.

    Raises:
        ValueError: no candidates.
    """
    if not candidates:
        raise ValueError("a greedy soup needs at least one candidate")
    members: tuple[T, ...] = (candidates[0],)
    best = evaluate(members)
    for candidate in candidates[1:]:
        score = evaluate((*members, candidate))
        if score >= best:
            members, best = (*members, candidate), score
    return members, best
