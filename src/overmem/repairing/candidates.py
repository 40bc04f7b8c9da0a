"""What to try: merges of a run's checkpoints, from their accuracy and NLL alone.

Shape suffixes: C trained checkpoints, in the order of the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from overmem.merging.methods import ema_weights, soup_weights, wise_weights
from overmem.stats.arrays import FloatArray

ALPHAS = (0.25, 0.5, 0.75)
"""Shares of the late checkpoint that are tried first; 0.5 is the paper's pair."""
FINER = 0.125
"""Step around the best of them."""
DECAYS = (0.5, 0.8)
"""Of moving averages over all checkpoints."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One average of checkpoints."""

    family: str
    """`pair`, `soup`, `ema` or `greedy`; the best of each is looked at closely."""
    checkpoints: tuple[str, ...]
    weights: tuple[float, ...]

    @property
    def name(self) -> str:
        """Short and unique among the candidates of a run: `pair-400-2200-0.25`, `soup-200-2200-11`."""
        steps = [name.removeprefix("checkpoint-") for name in self.checkpoints]
        if self.family == "greedy":
            return "-".join([self.family, *steps])
        detail = f"{self.weights[-1]:.4g}" if self.family in ("pair", "ema") else str(len(self.checkpoints))
        return f"{self.family}-{steps[0]}-{steps[-1]}-{detail}"


def propose(
    names: Sequence[str], accuracy_C: FloatArray, nll_C: FloatArray, recommended: int
) -> tuple[Candidate, ...]:
    """The merges worth trying first.

    Pairs of an early, fit checkpoint (lowest NLL, or recommended) and a late, accurate one (last, or
    most accurate) over alpha (2508.04117 eq. 1; 2504.10478); soups of windows (2203.05482, LAWA
    2209.14981); moving averages over all.

    Args:
        names: trained checkpoints; the untrained model is none of them.
        accuracy_C: on the search split.
        nll_C: on the search split, nats per token.
        recommended: position of the checkpoint that would be shipped.

    Returns:
        Candidates of different weights; none when there are fewer than two checkpoints.
    """
    last, lowest = len(names) - 1, int(nll_C.argmin())
    # Of equals the latest, which is the furthest from the early one.
    accurate = last - int(accuracy_C[::-1].argmax())
    found = [
        pair(names[early], names[late], alpha)
        for early in dict.fromkeys([lowest, recommended])
        for late in dict.fromkeys([last, accurate])
        if early < late
        for alpha in ALPHAS
    ]
    windows = [
        (lowest, last),
        (recommended, last),
        (lowest, recommended),
        (recommended - 1, recommended + 1),
        (last - 2, last),
        (0, last),
    ]
    for first, end in windows:
        members = tuple(names[max(first, 0) : end + 1])
        if len(members) > 1:
            found.append(Candidate(family="soup", checkpoints=members, weights=soup_weights(len(members))))
    if len(names) > 2:
        found += [
            Candidate(family="ema", checkpoints=tuple(names), weights=ema_weights(len(names), decay))
            for decay in DECAYS
        ]
    return distinct(found)


def pair(early: str, late: str, alpha: float) -> Candidate:
    """`1 - alpha` of the early and `alpha` of the late checkpoint."""
    return Candidate(family="pair", checkpoints=(early, late), weights=wise_weights(alpha))


def finer(best: Candidate) -> tuple[Candidate, ...]:
    """A pair's neighbours in alpha."""
    early, late = best.checkpoints
    return tuple(pair(early, late, best.weights[1] + step) for step in (-FINER, FINER))


def distinct(candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """The candidates without those that are the same average of the same checkpoints."""
    return tuple(
        {(c.checkpoints, np.round(c.weights, 9).tobytes()): c for c in reversed(candidates)}.values()
    )[::-1]


def shortlist(candidates: Sequence[Candidate], nll: Sequence[float], few: int) -> list[int]:
    """Positions of the few to look at closely: the best of each family, then the next by NLL.

    NLL alone would fill the list with neighbours of the checkpoint of lowest NLL, which may be less accurate.

    Args:
        candidates: all that were scored.
        nll: of each, on the search split.
        few: how many.
    """
    order = sorted(range(len(candidates)), key=lambda i: nll[i])
    first: dict[str, int] = {}
    for i in order:
        first.setdefault(candidates[i].family, i)
    best = list(first.values())
    return (best + [i for i in order if i not in best])[:few]
