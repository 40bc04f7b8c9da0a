"""Is the run decided, or may the problems not yet answered change a stage?

Problems come in a random order, and after ever more of them there is a look at the rows so far. The run
is decided when its own stage, that of the last checkpoint, is given, and the rest of the problems would
change a stage with a chance of at most `MOST_CHANCE`. A change is: on all problems the same rule would not
give the run that stage, or would hold another stage most probable at a checkpoint that has one. A
checkpoint that is undetermined makes no claim that could be wrong, and does not hold the run up.

The chance is the posterior probability given the rows so far (`predictive`), so it holds at whichever
look the audit stops; docs/until-decided.md shows by simulation how far.

Shape suffixes: C checkpoints, N problems, F futures.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from overmem.records import STAGES
from overmem.rule import Rule
from overmem.stats.arrays import BoolArray, FloatArray, IntArray
from overmem.stats.checks import check_groups
from overmem.stats.curves.predictive import Futures
from overmem.stats.moments import measure_curves
from overmem.stats.stage_draws import draw_stages, probabilities_of
from overmem.verdict.judge import Labels, missing_evidence

MOST_CHANCE = 0.05
"""Highest chance that the rest would change a stage at which the run counts as decided."""
FIRST_LOOK = 100
"""Problems before the first look; with fewer, the calibration of the confidence was not checked."""
_GROWTH = math.sqrt(2)
"""Each look has so many times the problems of the one before."""
_PAIRS, _FUTURES, _DRAWS = 100, 400, 300


@dataclass(frozen=True, kw_only=True)
class Look:
    """What the rows of the first problems say about the rest."""

    n: int
    """Problems seen."""
    n_all: int
    stages: tuple[str, ...]
    """Of each checkpoint now; `undetermined` where none is given."""
    chance_of_change: float
    """That a stage given now would not stand on all problems; NaN when the run's own is not given."""

    @property
    def decided(self) -> bool:
        """Whether the rest of the problems may be left out."""
        return self.chance_of_change <= MOST_CHANCE

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        chance = None if math.isnan(self.chance_of_change) else self.chance_of_change
        return {"problems": self.n, "chance_of_change": chance}


def look_sizes(n_all: int) -> tuple[int, ...]:
    """After how many problems to look, the last look being at all of them.

    Args:
        n_all: problems there are.

    Returns:
        100, 141, 200, 283, 400, ... and `n_all`; it alone when there are no more than 100.
    """
    sizes: list[int] = []
    while (size := round(FIRST_LOOK * _GROWTH ** len(sizes))) < n_all:
        sizes.append(size)
    return (*sizes, n_all)


def look_at(
    steps_C: IntArray,
    correct_C_N: FloatArray,
    nll_nats_C_N: FloatArray,
    n_tokens_N: FloatArray,
    *,
    n_all: int,
    rule: Rule,
    group: Labels | None = None,
) -> Look:
    """Judge the rows so far, and how likely the rest is to change what they say.

    Args:
        steps_C: optimizer steps, increasing, at least two.
        correct_C_N: correctness in [0, 1] of the problems seen, a random choice of all.
        nll_nats_C_N: NLL of their references, nats, summed over tokens.
        n_tokens_N: tokens of their references.
        n_all: problems there are in all, at least N.
        rule: thresholds of the verdict.
        group: of the problems seen, as for `judge`. The rest is imagined as problems of other groups, which
            takes it to say more than it will.

    Returns:
        The look; the same for any order of the problems.
    """
    moments = measure_curves(correct_C_N, nll_nats_C_N, n_tokens_N, check_groups(group, n_tokens_N.size))
    drawn = draw_stages(moments, steps_C, rule)
    probability_C_S = drawn.probability_C_S
    given_C = probability_C_S.max(axis=1) >= rule.confidence_threshold
    if missing_evidence(moments) is not None:
        given_C[:] = False
    likely_C = probability_C_S.argmax(axis=1)
    if not given_C[-1]:
        chance = math.nan
    elif n_all <= moments.n:
        chance = 0.0
    else:
        imagined = Futures.of(
            drawn.fitted,
            moments,
            np.random.default_rng(rule.seed),
            pairs=_PAIRS,
            futures=_FUTURES,
            draws=_DRAWS,
        )
        changed_F = [
            _changes(probabilities_of(curves, steps_C, rule), likely_C, given_C, rule)
            for curves in imagined.with_problems(n_all / moments.n)
        ]
        chance = float(np.mean(changed_F))
    stages = [STAGES[k] if given else "undetermined" for k, given in zip(likely_C, given_C, strict=True)]
    return Look(n=moments.n, n_all=n_all, stages=tuple(stages), chance_of_change=chance)


def _changes(probability_C_S: FloatArray, likely_C: IntArray, given_C: BoolArray, rule: Rule) -> bool:
    """Whether a future takes back the run's own stage, or puts another in the place of a given one."""
    withheld = probability_C_S[-1, likely_C[-1]] < rule.confidence_threshold
    return bool(withheld or (given_C & (probability_C_S.argmax(axis=1) != likely_C)).any())
