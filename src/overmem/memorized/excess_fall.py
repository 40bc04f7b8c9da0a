"""Which training rows were memorized, from the NLL of every row at the checkpoints of one run.

True memorization of a row is what it gains by being in the training set: its log-likelihood under models
that were trained on it, less that under models that were not (2112.12938). One run has no such models. But
until val's NLL is lowest, training teaches mostly what all rows share, so what a row costs there, on average
over the checkpoints, stands for what it would cost without having been trained on; what it costs at the end
is known.

Shape suffixes: C checkpoints, K val rows, N training rows.
"""

from __future__ import annotations

import numpy as np

from overmem.records import Estimate
from overmem.stats.arrays import FloatArray

DRAWS = 2000
CLEARLY = 3.0
"""Standard errors between the means of training rows and val rows."""
TOP = 0.1
"""Share of the rows whose part of the whole is told."""


def learning_checkpoints(val_nll_C_K: FloatArray, at: int) -> list[int]:
    """Positions of the checkpoints before `at` up to that of the lowest mean NLL on val.

    Args:
        val_nll_C_K: nats per token of val rows at the trained checkpoints, in order.
        at: position of the checkpoint that is asked about.

    Returns:
        At least one position, unless `at` is the first.
    """
    lowest = int(np.argmin(val_nll_C_K[: at + 1].mean(axis=1)))
    return list(range(min(lowest, at - 1) + 1))


def excess_fall(nll_C_N: FloatArray, val_nll_C_K: FloatArray, at: int) -> FloatArray:
    """How much further a row's NLL has fallen than val's, nats per token; higher is more memorized.

    Args:
        nll_C_N: nats per token of training rows at the trained checkpoints, in order.
        val_nll_C_K: the same of val rows.
        at: position of the checkpoint that is asked about, not the first.

    Returns:
        One figure a row: its mean NLL while val's still fell, less its NLL at `at`, less the mean of the same
        over val rows; about 0 for a row that nothing was remembered of.
    """
    before = learning_checkpoints(val_nll_C_K, at)
    fall_N = nll_C_N[before].mean(axis=0) - nll_C_N[at]
    return np.asarray(fall_N - (val_nll_C_K[before].mean(axis=0) - val_nll_C_K[at]).mean())


def top_share(excess_N: FloatArray, val_excess_K: FloatArray, *, top: float = TOP, seed: int = 0) -> Estimate:
    """Share of all rows' excess that the highest of them carry, with an approximate 95% interval over rows.

    It is told only where the training rows fell clearly further than val's, by three standard errors of
    the difference of the means: of noise alone the highest tenth carries more than of memories.

    Args:
        excess_N: from `excess_fall`; what is below 0 counts as nothing.
        val_excess_K: the same of val rows.
        top: share of the rows, rounded up to whole ones.
        seed: of the bootstrap.
    """
    n = len(excess_N)
    above_N = np.maximum(excess_N, 0.0)
    error = np.sqrt(excess_N.var(ddof=1) / n + val_excess_K.var(ddof=1) / len(val_excess_K))
    if excess_N.mean() - val_excess_K.mean() <= CLEARLY * error or above_N.sum() <= 0:
        nan = float("nan")
        return Estimate(nan, nan, nan, n, "the training rows fell no further than val's do")
    rng = np.random.default_rng(seed)
    found = [_carried(above_N[rng.integers(n, size=n)], top) for _ in range(DRAWS)]
    low, high = np.nanpercentile(found, [2.5, 97.5])
    return Estimate(_carried(above_N, top), float(low), float(high), n)


def n_top(n: int, top: float) -> int:
    """How many of n rows the highest share of them is, at least one."""
    return max(1, int(np.ceil(top * n - 1e-9)))


def _carried(above_N: FloatArray, top: float) -> float:
    total = above_N.sum()
    if total <= 0:
        return float("nan")
    return float(np.sort(above_N)[-n_top(len(above_N), top) :].sum() / total)
