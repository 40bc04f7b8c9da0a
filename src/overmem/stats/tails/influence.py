"""Which problems move the measured NLLs most, and how much of an excess NLL few of them carry.

Shape suffixes: C checkpoints, N problems, K contrasts.
"""

from __future__ import annotations

import math

import numpy as np

from overmem.stats.arrays import FloatArray

TOP = 0.01
"""Share of the problems whose part of the excess is told."""
_TINY = 1e-12


def largest_moves(nll_nats_C_N: FloatArray, n_tokens_N: FloatArray) -> FloatArray:
    """By how many standard errors each problem moves an NLL that a verdict rests on, at most.

    These are the NLL of the last checkpoint and its differences from every other one. Leaving problem i out
    moves such a figure by about its influence d_i over N, and the figure's standard error is about
    sqrt(sum d^2) over N.

    Args:
        nll_nats_C_N: NLL of each completion at each checkpoint, nats.
        n_tokens_N: completion tokens.

    Returns:
        (N,) in [0, 1]; the squares for one figure sum to 1, so a problem at 1 is alone with its error.
    """
    # Sorted by content first, so that sums do not depend on the order of the problems.
    order_N = np.lexsort((n_tokens_N, *nll_nats_C_N))
    sorted_N = _moves(np.ascontiguousarray(nll_nats_C_N[:, order_N]), n_tokens_N[order_N])
    move_N = np.empty_like(sorted_N)
    move_N[order_N] = sorted_N
    return move_N


def top_share(excess_nats_N: FloatArray) -> tuple[int, float]:
    """How many problems are the top 1%, and the share of a summed excess NLL that they carry.

    Args:
        excess_nats_N: NLL of each problem at one checkpoint minus that at another, nats.

    Returns:
        At least 1, and the share: above 1 where the others together have less NLL than before, NaN where
        there is no excess.
    """
    count, sorted_N = math.ceil(TOP * excess_nats_N.size), np.sort(excess_nats_N)
    total = float(sorted_N.sum())
    return count, float(sorted_N[-count:].sum()) / total if total > 0 else math.nan


def _moves(nll_nats_C_N: FloatArray, n_tokens_N: FloatArray) -> FloatArray:
    ratio_C = nll_nats_C_N.sum(axis=1) / n_tokens_N.sum()
    moved_C_N = nll_nats_C_N - ratio_C[:, None] * n_tokens_N
    figures_K_N = np.concatenate([moved_C_N[-1:], moved_C_N[:-1] - moved_C_N[-1:]])
    error_K = np.sqrt((figures_K_N**2).sum(axis=1))
    spread_K = error_K > _TINY * max(float(nll_nats_C_N.max()), 1.0)
    if not spread_K.any():
        return np.zeros(n_tokens_N.size)
    return np.asarray((np.abs(figures_K_N[spread_K]) / error_K[spread_K, None]).max(axis=0))
