"""Which of the few best merges to prove, by what the search split says of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from overmem.stats.measures import Measure
from overmem.stats.paired import bootstrap
from overmem.verdict.costs import DRAWS, Measured


def choose(contenders: Sequence[Measured], before: Measured, *, draws: int = DRAWS, seed: int = 0) -> int:
    """Position of the merge to prove.

    Of those with a lower NLL than the checkpoint to beat (of all, if there is none): as a checkpoint is
    recommended (docs/definitions.md), among those within one standard error of the highest accuracy, and of
    these within one of the highest pass@k, the lowest NLL.

    Args:
        contenders: measures of each on the search split.
        before: the same of the checkpoint to beat.
        draws: bootstrap draws, for the standard errors of paired differences.
        seed: of the draws.
    """
    nll = [measured["likelihood"]["nll"].value() for measured in contenders]
    to_beat = before["likelihood"]["nll"].value()
    left = [i for i, value in enumerate(nll) if value < to_beat] or list(range(len(contenders)))
    for axis in ("accuracy", "diversity"):
        if all(headline(contenders[i], axis) is not None for i in left):
            left = _near_best([contenders[i] for i in left], left, axis, draws, seed)
    return min(left, key=lambda i: nll[i])


def headline(measured: Measured, axis: str) -> Measure | None:
    """An axis's first measure, when it is defined."""
    found: Mapping[str, Measure] = measured.get(axis, {})
    first = next(iter(found.values()), None)
    return None if first is None or first.reason is not None else first


def _near_best(
    measured: Sequence[Measured], positions: Sequence[int], axis: str, draws: int, seed: int
) -> list[int]:
    """Those within one standard error of the highest, of the paired difference."""
    measures = [found for item in measured if (found := headline(item, axis)) is not None]
    values = np.array([measure.value() for measure in measures])
    draws_C_D = np.stack([bootstrap([measure], draws, seed) for measure in measures])
    best = int(values.argmax())
    error_C = np.nanstd(draws_C_D - draws_C_D[best], axis=1)
    near_C = values[best] - values <= error_C + 1e-12
    return [position for position, near in zip(positions, near_C, strict=True) if near]
