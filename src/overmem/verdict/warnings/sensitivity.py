"""Does a verdict hang on few problems? The same rows judged once more without those that move it most.

One corrupt row can turn a stage, as an NLL has no upper bound. So where a problem alone moves an NLL by half
of its standard error, the run is judged without it too, and the verdict says what it would be.

Shape suffixes: C checkpoints, N problems.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from overmem.records import Sensitivity, Verdict
from overmem.stats.arrays import BoolArray, FloatArray
from overmem.stats.tails.influence import largest_moves, top_share

LEAST_MOVE = 0.5
"""Standard errors by which a problem left out must move an NLL; of 100 that are normal none does."""
MOST_LEFT_OUT = 3
OTHER_CONFIDENCE = 0.1
"""Change of the confidence below which the same most probable stage, given or not, counts as the same."""


def measure_sensitivity(
    verdict: Verdict,
    nll_nats_C_N: FloatArray,
    n_tokens_N: FloatArray,
    ids: Sequence[str] | None,
    judge_kept: Callable[[BoolArray], Verdict | None],
) -> Sensitivity:
    """Judge once more without the problems that move the NLLs most, if there are such.

    Args:
        verdict: on all problems.
        nll_nats_C_N: NLL of each completion, nats; the mean over several seeds.
        n_tokens_N: completion tokens.
        ids: of the problems; their places are named where there are none.
        judge_kept: the verdict on some of the problems; None where they are too few.

    Returns:
        What the verdict would be without them, and the share of the excess NLL that the top 1% carry.
    """
    move_N = largest_moves(nll_nats_C_N, n_tokens_N)
    order = np.argsort(-move_N, kind="stable")[:MOST_LEFT_OUT]
    left_out = [int(i) for i in order if move_N[i] >= LEAST_MOVE]
    lowest = int((nll_nats_C_N.sum(axis=1)).argmin())
    count, share = top_share(nll_nats_C_N[-1] - nll_nats_C_N[lowest])
    found = Sensitivity(
        problems=tuple(ids[i] if ids is not None else f"number {i + 1}" for i in left_out),
        largest_move=float(move_N.max()),
        n=n_tokens_N.size,
        top_problems=count,
        top_share=share,
    )
    if not left_out:
        return found
    kept_N = np.ones(n_tokens_N.size, dtype=np.bool_)
    kept_N[left_out] = False
    other = judge_kept(kept_N)
    if other is None:
        return found
    return Sensitivity(
        problems=found.problems,
        largest_move=found.largest_move,
        n=found.n,
        top_problems=count,
        top_share=share,
        stage=other.stage,
        leaning=other.checkpoints[-1].leaning,
        confidence=other.confidence,
        recommended=other.recommended.name if other.recommended else None,
        decides=_differ(verdict, other),
    )


def _differ(verdict: Verdict, other: Verdict) -> bool:
    """Whether another stage is most probable or given, or another checkpoint recommended."""
    likely = [item.checkpoints[-1].leaning or item.stage for item in (verdict, other)]
    names = [item.recommended.name if item.recommended else None for item in (verdict, other)]
    if likely[0] != likely[1] or names[0] != names[1]:
        return True
    apart = abs(verdict.confidence - other.confidence)
    return verdict.stage != other.stage and not (math.isnan(apart) or apart < OTHER_CONFIDENCE)
