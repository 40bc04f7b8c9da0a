"""Take the excess NLL of a checkpoint apart: which tokens carry it, and what a temperature recovers.

The two figures explain a verdict in one sentence (design section 4). When the excess sits on tokens
that are not the model's own first choice, it is confidence in its own path, and accuracy can hold.

Legend: T tokens of all val completions, N problems, G temperatures.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
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


def split_excess(
    logprob_T: Floats, is_top1_T: Bools, lowest_logprob_T: Floats, lowest_is_top1_T: Bools
) -> ExcessSplit:
    """Split NLL(checkpoint) - NLL(lowest) into four cells (design section 4).

    Args:
        logprob_T: ln p of each reference token under the checkpoint, nats.
        is_top1_T: whether the reference token is its first choice.
        lowest_logprob_T: the same under the checkpoint with the lowest val NLL.
        lowest_is_top1_T: likewise.
    """
    excess_T = (lowest_logprob_T - logprob_T) / len(logprob_T)
    return ExcessSplit(
        both=float(excess_T[is_top1_T & lowest_is_top1_T].sum()),
        only_lowest=float(excess_T[~is_top1_T & lowest_is_top1_T].sum()),
        only_last=float(excess_T[is_top1_T & ~lowest_is_top1_T].sum()),
        neither=float(excess_T[~is_top1_T & ~lowest_is_top1_T].sum()),
    )


def temperature_gap(nll_N_G: Floats, n_tokens_N: Floats, base_index: int) -> tuple[float, int]:
    """What one temperature takes off the NLL, fitted on one half of val and read on the other.

    Both halves serve once to fit and once to read, and the two readings are averaged, so that the
    gain is never measured on the problems that chose the temperature.

    Args:
        nll_N_G: summed NLL of each problem at each temperature, nats.
        n_tokens_N: completion tokens of each problem.
        base_index: column of temperature 1.

    Returns:
        NLL(1) - NLL(T) in nats per token (can be slightly negative: lower is better calibrated), and
        the column fitted on all problems.
    """
    halves = np.arange(len(n_tokens_N)) % 2 == 0
    gaps = []
    for fit_N in (halves, ~halves):
        chosen = int(np.argmin(nll_N_G[fit_N].sum(axis=0)))
        read_N = ~fit_N
        gap = nll_N_G[read_N, base_index].sum() - nll_N_G[read_N, chosen].sum()
        gaps.append(gap / n_tokens_N[read_N].sum())
    return float(np.mean(gaps)), int(np.argmin(nll_N_G.sum(axis=0)))
