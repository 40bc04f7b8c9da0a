"""Robustness: whether a problem that is solved stays solved when it is worded otherwise.

A model that remembers problems instead of reading them loses them when the wording, or the numbers,
change. Every figure compares a variant with the clean wording problem by problem.

The pure functions take clean_N and varied_N, 1 for solved and 0 for not, NaN where the variant does
not cover a problem, and return a ratio as its two parts (over_N, under_N): the figure is
sum(over) / sum(under), with whatever weight each problem is given.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import polars as pl

from overmem.artifacts.evidence import Evidence
from overmem.artifacts.jobs import VAL_ANSWERS, Job
from overmem.axes.axis import Available, Axis
from overmem.stats.arrays import FloatArray
from overmem.stats.measures import Direction, Measure, average_measure, ratio_measure

POPULATION = "val:greedy"
Parts = tuple[FloatArray, FloatArray]


def jobs(available: Available) -> tuple[Job, ...]:
    """One greedy answer to every val problem, as it is and in each variant."""
    if "val" not in available.graded or not available.variants:
        return ()
    return (VAL_ANSWERS, *(Job("greedy", "val", variant) for variant in available.variants))


def accuracy_drop(clean_N: FloatArray, varied_N: FloatArray) -> Parts:
    """Accuracy lost from the clean wording to the variant, over the problems both have.

    A share in [-1, 1], lower is better.
    """
    shared_N = ~np.isnan(varied_N)
    return np.where(shared_N, clean_N - varied_N, 0.0), shared_N.astype(float)


def consistency(clean_N: FloatArray, varied_N: FloatArray) -> Parts:
    """Share of the problems solved clean that stay solved; in [0, 1], higher is better.

    Undefined when no shared problem is solved clean. For a variant with new answers (`numbers`) the
    formula is the same: solved means right by the variant's own answer.
    """
    shared_N = ~np.isnan(varied_N)
    return np.where(shared_N, clean_N * varied_N, 0.0), np.where(shared_N, clean_N, 0.0)


def limem(clean_N: FloatArray, varied_N: FloatArray) -> Parts:
    """LiMem = accuracy * (1 - consistency): share of problems solved clean and lost; lower is better.

    In [0, accuracy]. Accuracy is that of the clean wording over the shared problems; the product is
    written as one share, so it is 0, not undefined, where nothing is solved.
    Source: 2410.23123, the local inconsistency-based memorization score.
    """
    shared_N = ~np.isnan(varied_N)
    return np.where(shared_N, clean_N * (1 - varied_N), 0.0), shared_N.astype(float)


FIGURES: tuple[tuple[str, Direction, Callable[[FloatArray, FloatArray], Parts]], ...] = (
    ("accuracy_drop", "lower", accuracy_drop),
    ("consistency", "higher", consistency),
    ("limem", "lower", limem),
)


def measures(evidence: Evidence) -> tuple[Measure, ...]:
    """Accuracy drop, consistency and LiMem: their means over variants, then those of each variant.

    The problem is the unit throughout: all figures rest on the same clean problems, so that one draw
    serves them all, and a problem that a variant does not cover adds nothing to that variant.
    """
    if VAL_ANSWERS not in evidence.rows:
        return ()
    clean = evidence.rows[VAL_ANSWERS]
    clean_N = clean["correct"].to_numpy()
    varied = {
        job.variant: varied_correct(clean, rows)
        for job, rows in sorted(evidence.rows.items(), key=lambda item: item[0])
        if job != VAL_ANSWERS and replace(job, variant="clean") == VAL_ANSWERS
    }
    # Coverage is the same at every checkpoint, so a variant that shares no problem leaves every mean.
    covering = [variant for variant, varied_N in varied.items() if not np.isnan(varied_N).all()]
    means, single = [], []
    for kind, direction, parts in FIGURES:
        by_variant = {
            variant: _measure(f"{kind}_{variant}", direction, *parts(clean_N, varied_N))
            for variant, varied_N in varied.items()
        }
        single += list(by_variant.values())
        if covering:
            means.append(average_measure(kind, direction, [by_variant[variant] for variant in covering]))
    return (*means, *single)


def varied_correct(clean: pl.DataFrame, varied: pl.DataFrame) -> FloatArray:
    """Whether each clean problem is solved in the variant, in the clean rows' order; NaN if not covered."""
    own = varied.select("example_id", varied="correct")
    paired = clean.select("example_id").join(
        own, on="example_id", how="left", maintain_order="left", validate="1:1"
    )
    return paired["varied"].fill_null(float("nan")).to_numpy()


def _measure(name: str, direction: Direction, over_N: FloatArray, under_N: FloatArray) -> Measure:
    measure = ratio_measure(name, direction, POPULATION, over_N, under_N)
    if measure.reason is not None and name.startswith("consistency"):
        return replace(measure, reason="no problem that the variant covers is solved in its clean wording")
    return measure


AXIS = Axis(
    name="robustness",
    tells="whether solved problems stay solved in other words",
    jobs=jobs,
    measures=measures,
    sets=("variants",),
    proves_repair=True,
)
