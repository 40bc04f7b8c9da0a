"""Take the excess NLL of a checkpoint apart: which tokens carry it, and what a temperature recovers.

The two figures explain a verdict in one sentence. When the excess sits on tokens that are not the model's own
first choice, it is confidence in its own path, and accuracy can hold.

Shape suffixes: T tokens of all val completions, M of some, N problems, G temperatures, D draws.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from overmem.stats.arrays import BoolArray, FloatArray, IntArray

MIN_EXCESS_NATS = 1e-3
"""Below this excess (nats per token) a share of it means nothing."""


@dataclass(frozen=True, kw_only=True)
class ExcessSplit:
    """Excess NLL in nats per token over all tokens, by who ranks the reference token first."""

    both: float
    """Reference is top-1 in both checkpoints."""
    only_lowest: float
    """Top-1 only in the checkpoint with the lowest NLL: the model changed its mind."""
    only_last: float
    """Top-1 only in the checkpoint under judgement."""
    neither: float
    """Top-1 in neither: the model has another path and grew surer of it."""

    @property
    def total(self) -> float:
        """Excess NLL, nats per token; 0 is best."""
        return self.both + self.only_lowest + self.only_last + self.neither

    @property
    def own_path_share(self) -> float:
        """Share of the excess where the reference is not the checkpoint's top-1; NaN without excess."""
        if self.total < MIN_EXCESS_NATS:
            return float("nan")
        return (self.only_lowest + self.neither) / self.total


def top1_cells(is_top1_T: BoolArray, lowest_is_top1_T: BoolArray) -> dict[str, BoolArray]:
    """The tokens of each field of `ExcessSplit`: every token is in exactly one.

    Args:
        is_top1_T: whether the reference token is the first choice of the checkpoint under judgement.
        lowest_is_top1_T: the same of the checkpoint with the lowest val NLL.
    """
    return {
        "both": is_top1_T & lowest_is_top1_T,
        "only_last": is_top1_T & ~lowest_is_top1_T,
        "only_lowest": ~is_top1_T & lowest_is_top1_T,
        "neither": ~is_top1_T & ~lowest_is_top1_T,
    }


def split_excess(
    logprob_T: FloatArray, is_top1_T: BoolArray, lowest_logprob_T: FloatArray, lowest_is_top1_T: BoolArray
) -> ExcessSplit:
    """Split NLL(checkpoint) - NLL(lowest) into four cells.

    Args:
        logprob_T: ln p of each reference token under the checkpoint, nats.
        is_top1_T: whether the reference token is its first choice.
        lowest_logprob_T: the same under the checkpoint with the lowest val NLL.
        lowest_is_top1_T: likewise.
    """
    excess_T = (lowest_logprob_T - logprob_T) / len(logprob_T)
    cells = top1_cells(is_top1_T, lowest_is_top1_T)
    return ExcessSplit(**{name: float(excess_T[mask_T].sum()) for name, mask_T in cells.items()})


def excess_cells(
    problem_M: IntArray,
    logprob_M: FloatArray,
    is_top1_M: BoolArray,
    lowest_logprob_M: FloatArray,
    lowest_is_top1_M: BoolArray,
) -> dict[str, FloatArray]:
    """NLL(checkpoint) - NLL(lowest) of each problem, nats, on the tokens of each cell of `top1_cells`.

    Args:
        problem_M: which problem each token belongs to, 0 to N - 1, each at least once.
        logprob_M: ln p of each reference token under the checkpoint, nats.
        is_top1_M: whether the reference token is its first choice.
        lowest_logprob_M: the same under the checkpoint with the lowest val NLL.
        lowest_is_top1_M: likewise.

    Returns:
        Cell to (N,).
    """
    excess_M = np.subtract(lowest_logprob_M, logprob_M, dtype=np.float64)
    cells = top1_cells(is_top1_M, lowest_is_top1_M)
    return {
        name: np.bincount(problem_M, np.where(mask_M, excess_M, 0.0)).astype(np.float64)
        for name, mask_M in cells.items()
    }


def temperature_gap(
    nll_N_G: FloatArray, n_tokens_N: FloatArray, base_index: int, counts_D_N: FloatArray | None = None
) -> FloatArray:
    """What one temperature takes off the NLL, fitted on one half of val and read on the other.

    Both halves serve once to fit and once to read, and the two readings are averaged, so that the gain is
    never measured on the problems that chose the temperature. Halves are fixed by a problem's place, so
    copies of one problem in a draw never serve both to choose T and to read it.

    Args:
        nll_N_G: summed NLL of each problem at each temperature, nats.
        n_tokens_N: completion tokens of each problem.
        base_index: column of temperature 1.
        counts_D_N: how often each draw counts each problem; None counts each once, as one draw.

    Returns:
        NLL(1) - NLL(T) in nats per token, one a draw: can be slightly negative; lower is better
        calibrated. NaN where a draw leaves a half empty.
    """
    even_N = np.arange(len(n_tokens_N)) % 2 == 0
    first_D, second_D = (
        _gap_read(nll_N_G, n_tokens_N, base_index, counts_D_N, fit_N) for fit_N in (even_N, ~even_N)
    )
    return np.asarray((first_D + second_D) / 2)


def _gap_read(
    nll_N_G: FloatArray,
    n_tokens_N: FloatArray,
    base_index: int,
    counts_D_N: FloatArray | None,
    fit_N: BoolArray,
) -> FloatArray:
    """NLL(1) - NLL(T) of each draw on one half, T fitted on the other."""

    def summed(value_N: FloatArray, of_N: BoolArray) -> FloatArray:
        if counts_D_N is None:
            return np.asarray(np.ascontiguousarray(value_N[of_N].T).sum(axis=-1))[None]
        return np.asarray(counts_D_N[:, of_N] @ value_N[of_N])

    chosen_D = summed(nll_N_G, fit_N).argmin(axis=1)
    read_D_G = summed(nll_N_G, ~fit_N)
    gap_D = read_D_G[:, base_index] - read_D_G[np.arange(len(read_D_G)), chosen_D]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(gap_D / summed(n_tokens_N, ~fit_N))
