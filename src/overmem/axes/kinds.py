"""What an axis is: the work it asks of an audit, and the measures it makes of the saved rows.

An axis is one module of this package. It declares jobs (which rows an audit has to produce) and
turns finished rows into measures. A measure is a function of how often each problem is counted:
counted once each it gives the figure, counted as a bootstrap draw does it gives the draw's figure.
So every measure, be it a mean, an AUROC or a calibration error, gets its interval in the same way,
and two checkpoints counted alike are compared in pairs.

Shape suffixes: D draws, N problems of one population.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from overmem.store import Rows

FloatArray = npt.NDArray[np.float64]
Counts = Mapping[str, FloatArray]
"""How often each problem is counted, (D, N) for each population by name."""
Direction = Literal["higher", "lower", "context"]
"""Which way is better; `context` is neither."""
JobKind = Literal["score", "greedy", "sample", "continue", "lm_eval"]


def data_key(set_name: str, variant: str) -> str:
    """How a set of problems in one wording is called: `val`, `val typo`."""
    return set_name if variant == "clean" else f"{set_name} {variant}"


@dataclass(frozen=True, order=True)
class Job:
    """One kind of rows over one set of problems: what an audit computes, and the name it is read by."""

    kind: JobKind
    """`score`: likelihood of the references; `greedy`: one answer at temperature 0; `sample`: k answers
    at a temperature; `continue`: the reference's second half, written greedily after its first; `lm_eval`:
    one answer, asked for and judged by lm-evaluation-harness."""
    set: str
    """`val`, `train`, `ood/NAME`, `references/NAME`, or `answers`, the right answers of one checkpoint."""
    variant: str = "clean"
    """How the problems are worded: `clean`, or the name of a perturbation."""
    model: str = "checkpoint"
    """`checkpoint`, or `base` for the model that the fine-tune started from."""

    @property
    def table(self) -> Rows:
        """Which row set its rows are kept in."""
        tables: dict[JobKind, Rows] = {"score": "likelihood", "continue": "continuations"}
        return tables.get(self.kind, "generations")

    @property
    def data(self) -> str:
        """How its problems are called in the manifest."""
        return data_key(self.set, self.variant)

    def __str__(self) -> str:
        """Short name for plans and progress: `greedy val preamble`."""
        parts = [self.kind, self.set, "" if self.variant == "clean" else self.variant]
        return " ".join(filter(None, [*parts, "" if self.model == "checkpoint" else f"({self.model})"]))


VAL_SCORES, VAL_ANSWERS, VAL_SAMPLES = Job("score", "val"), Job("greedy", "val"), Job("sample", "val")
TRAIN_SCORES = Job("score", "train")
ANSWERS_SCORES = Job("score", "answers")
"""Right answers of one checkpoint to val in place of its references; known once they are written."""


@dataclass(frozen=True, kw_only=True)
class Available:
    """What an audit has been given to work with; an axis asks for jobs on these only."""

    sets: tuple[str, ...]
    """`val`, perhaps `train`, `ood/NAME` and `references/NAME` sets."""
    variants: tuple[str, ...] = ()
    """Perturbations of val, without `clean`."""
    graded: frozenset[str] = frozenset()
    """Sets whose problems have answers and a grader, so that answering them means something."""
    external: frozenset[str] = frozenset()
    """Sets that lm-evaluation-harness asks and judges by itself; they have no references to score."""
    has_base: bool = False
    """Whether the model that the fine-tune started from is known."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """The finished rows of one checkpoint, aligned with those it is compared with."""

    rows: Mapping[Job, pl.DataFrame]
    """Rows of each job that was done, sorted by example_id (then sample); the same ids at every
    checkpoint compared."""
    texts: Mapping[str, pl.DataFrame]
    """For each set: example_id, prompt, completion, answer, of all its problems."""
    temperatures: tuple[float, ...] = ()
    """The grid of `logprob_at_temperature`."""
    sources: Mapping[str, str] = field(default_factory=dict)
    """Where each set came from, as written in the configuration."""


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One figure of one checkpoint, in a form that can be resampled."""

    name: str
    """Snake case, such as `pass_at_4`; unique within its axis."""
    direction: Direction
    sizes: Mapping[str, int]
    """Problems of each population the figure rests on, counted or not."""
    statistic: Callable[[Counts], FloatArray]
    """{population: counts (D, N)} to D values; NaN where a draw leaves it undefined."""
    reason: str | None = None
    """Why the figure is undefined; the statistic is then not called."""
    n: int | None = None
    """Problems that carry weight, where not all of the first population do."""

    @property
    def problems(self) -> int:
        """Problems the figure rests on."""
        return next(iter(self.sizes.values())) if self.n is None else self.n

    def value(self) -> float:
        """The figure itself: every problem counted once; NaN when undefined."""
        if self.reason is not None:
            return float("nan")
        return float(self.statistic({name: np.ones((1, size)) for name, size in self.sizes.items()})[0])


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One side of what memorization costs."""

    name: str
    tells: str
    """What it tells, in a line."""
    jobs: Callable[[Available], tuple[Job, ...]]
    """The rows it needs, of what is available; empty when it cannot be measured here."""
    measures: Callable[[Evidence], tuple[Measure, ...]]
    """The figures that the rows allow, the axis's headline first; jobs that are missing leave theirs out."""


def ratio_measure(
    name: str, direction: Direction, population: str, over_N: FloatArray, under_N: FloatArray
) -> Measure:
    """A ratio of sums over problems, such as NLL per token; a mean when `under_N` is all ones.

    Args:
        name: of the measure.
        direction: which way is better.
        population: name of the problems resampled.
        over_N: what each problem adds above.
        under_N: what it adds below; a draw whose sum is 0 is undefined.
    """

    def statistic(counts: Counts) -> FloatArray:
        counts_D_N = counts[population]
        under_D = counts_D_N @ under_N
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(np.where(under_D > 0, counts_D_N @ over_N / under_D, np.nan))

    empty = None if under_N.sum() > 0 else "no problem to measure it on"
    return Measure(
        name=name,
        direction=direction,
        sizes={population: len(over_N)},
        statistic=statistic,
        reason=empty,
        n=int((under_N > 0).sum()),
    )


def mean_measure(name: str, direction: Direction, population: str, value_N: FloatArray) -> Measure:
    """A mean over problems; see `ratio_measure`."""
    return ratio_measure(name, direction, population, value_N, np.ones(len(value_N)))


def average_measure(name: str, direction: Direction, parts: Sequence[Measure]) -> Measure:
    """The plain mean of some measures, such as accuracy over several sets; undefined when one of them is.

    Args:
        name: of the mean.
        direction: which way is better.
        parts: what is averaged, at least one; populations of the same name are counted alike.
    """

    def statistic(counts: Counts) -> FloatArray:
        return np.asarray(np.mean([part.statistic(counts) for part in parts], axis=0))

    return Measure(
        name=name,
        direction=direction,
        sizes={population: size for part in parts for population, size in part.sizes.items()},
        statistic=statistic,
        reason=next((part.reason for part in parts if part.reason is not None), None),
        n=min(part.problems for part in parts),
    )


def difference_measure(name: str, direction: Direction, left: Measure, right: Measure) -> Measure:
    """One measure minus another of the same checkpoint, such as a gap between val and train."""

    def statistic(counts: Counts) -> FloatArray:
        return np.asarray(left.statistic(counts) - right.statistic(counts))

    return Measure(
        name=name,
        direction=direction,
        sizes={**left.sizes, **right.sizes},
        statistic=statistic,
        reason=left.reason or right.reason,
        n=min(left.problems, right.problems),
    )


def undefined(name: str, direction: Direction, population: str, n: int, reason: str) -> Measure:
    """A figure that cannot be had, with the reason a reader is shown."""
    return Measure(
        name=name,
        direction=direction,
        sizes={population: n},
        statistic=lambda counts: np.full(len(counts[population]), np.nan),
        reason=reason,
    )
