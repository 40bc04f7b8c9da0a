"""Calibration: whether the model is right as often as it is sure.

Over-memorization raises confidence in the model's own path without raising the share it gets right,
so the calibration error grows while greedy accuracy stands still.

Expected calibration error (ECE) is never negative, so noise adds to it: with few items in a bin it
is above 0 for a perfectly calibrated model (2012.08668), and a bootstrap draw adds noise once more, so
draws lie above the figure itself. Read differences between checkpoints on the same problems, not the
level.

Shape suffixes: M groups of items (tokens or answers), N problems, B bins, D draws, G temperatures.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from overmem.artifacts.evidence import Evidence
from overmem.artifacts.jobs import VAL_ANSWERS, VAL_SAMPLES, VAL_SCORES, Job
from overmem.axes.axis import Available, Axis
from overmem.axes.excess import temperature_gap
from overmem.axes.samples.problem_samples import ProblemSamples, group_samples, has_votes
from overmem.stats.arrays import FloatArray, IntArray
from overmem.stats.measures import Counts, Measure, undefined

BINS = 15
"""Bins of every ECE, as in 1706.04599; also the fewest items it is taken from."""


@dataclass(frozen=True, kw_only=True)
class Items:
    """What a model was sure of, and whether it was right: groups of one problem's items, summed."""

    problem_M: IntArray
    """Which problem each group belongs to, 0 to N - 1."""
    rank_M: FloatArray
    """A figure that grows with confidence; items of one figure are never parted."""
    count_M: IntArray
    """Items of each group."""
    confidence_M: FloatArray
    """Their stated probabilities of being right, summed."""
    correct_M: FloatArray
    """How many of them are right."""
    n_problems: int
    """N; those without items add nothing."""

    @classmethod
    def single(
        cls, problem_M: IntArray, confidence_M: FloatArray, correct_M: FloatArray, n_problems: int
    ) -> Items:
        """Items that are groups of one.

        Args:
            problem_M: which problem each belongs to.
            confidence_M: stated probability of being right.
            correct_M: 1 where right, else 0.
            n_problems: N.
        """
        return cls(
            problem_M=problem_M,
            rank_M=confidence_M,
            count_M=np.ones(len(problem_M), dtype=np.int64),
            confidence_M=confidence_M,
            correct_M=correct_M,
            n_problems=n_problems,
        )

    @property
    def n(self) -> int:
        """All items."""
        return int(self.count_M.sum())


def bin_equal_mass(rank_M: FloatArray, bins: int = BINS, count_M: IntArray | None = None) -> IntArray:
    """Bin of each group of items, 0 to bins - 1, so that bins hold equally many items.

    Groups of equal rank share the bin of the first item of them, so bins can be uneven or empty, and a
    group's bin depends neither on the order of the groups nor on repeating all of them.

    Args:
        rank_M: any figure that grows with confidence.
        bins: how many.
        count_M: items of each group; one each by default.
    """
    counts_M = np.ones(len(rank_M), dtype=np.int64) if count_M is None else count_M
    order_M = np.argsort(rank_M, kind="stable")
    below_M = np.concatenate([[0], np.cumsum(counts_M[order_M])])
    first_M = np.searchsorted(rank_M[order_M], rank_M, side="left")
    return np.asarray(below_M[first_M] * bins // max(int(below_M[-1]), 1), dtype=np.int64)


def jobs(available: Available) -> tuple[Job, ...]:
    """The references of val; where val has answers, also samples and greedy answers."""
    scored = (VAL_SCORES,) if VAL_SCORES.set in available.sets else ()
    return (*scored, VAL_SAMPLES, VAL_ANSWERS) if VAL_SAMPLES.set in available.graded else scored


def measures(evidence: Evidence) -> tuple[Measure, ...]:
    """ECE of tokens and of answers, and what one temperature recovers; lower is better for all.

    Problems are the unit. Each problem's items are summed in every bin beforehand, with bins fixed
    from all items counted once: a draw changes how often a problem counts, never the bins.
    """
    found: list[Measure] = []
    if VAL_SCORES in evidence.rows:
        found.append(_token_ece(evidence.rows[VAL_SCORES]))
    if VAL_SAMPLES in evidence.rows:
        found.append(_agreement_ece(group_samples(evidence.rows[VAL_SAMPLES])))
    if VAL_ANSWERS in evidence.rows:
        found.append(_probability_ece(evidence.rows[VAL_ANSWERS]))
    if VAL_SCORES in evidence.rows:
        found.append(_temperature_gap(evidence.rows[VAL_SCORES], evidence.temperatures))
    return tuple(found)


AXIS = Axis(
    name="calibration",
    tells="whether the model is right as often as it is sure (ECE, temperature gap)",
    jobs=jobs,
    measures=measures,
)


def ece_measure(name: str, population: str, items: Items) -> Measure:
    """An expected calibration error whose items belong to problems, resampled with them in fixed bins.

    The mean distance between confidence and accuracy over equal-mass bins, sum (n_b / n) |acc_b - conf_b|, in
    [0, 1]; lower is better. Source: 1706.04599, with equal-mass bins after 1904.01685, since most tokens are
    near certain and would fill one bin of equal width.

    Args:
        name: of the measure.
        population: name of the problems resampled.
        items: stated probabilities, and what came true.
    """
    if items.n < BINS:
        reason = f"{items.n} items are too few for {BINS} bins"
        return undefined(name, "lower", population, items.n_problems, reason)
    # (n_b / n) |acc_b - conf_b| is |sum over the bin of correct - confidence| / n.
    cell_M = items.problem_M * BINS + bin_equal_mass(items.rank_M, count_M=items.count_M)
    gap_N_B = np.bincount(
        cell_M, items.correct_M - items.confidence_M, minlength=items.n_problems * BINS
    ).reshape(-1, BINS)
    items_N = np.bincount(items.problem_M, items.count_M, minlength=items.n_problems)

    def statistic(counts: Counts) -> FloatArray:
        counts_D_N = counts[population]
        items_D = counts_D_N @ items_N
        with np.errstate(invalid="ignore"):
            return np.asarray(np.abs(counts_D_N @ gap_N_B).sum(axis=1) / items_D)

    return Measure(name=name, direction="lower", sizes={population: items.n_problems}, statistic=statistic)


def token_items(rows: pl.DataFrame) -> Items:
    """How sure the first choice is at each token of the references, and whether it is the reference's.

    Tokens come summed by cells of confidence, a 64th of a logit wide, whose tokens share a bin; the mean
    confidence of a bin is that of its tokens, not of its cells.

    Args:
        rows: likelihood rows.
    """
    return Items(
        problem_M=np.repeat(np.arange(len(rows)), _lengths(rows["cell"])),
        rank_M=_flat(rows["cell"]),
        count_M=_flat(rows["cell_tokens"]).astype(np.int64),
        confidence_M=_flat(rows["cell_confidence"]),
        correct_M=_flat(rows["cell_right"]),
        n_problems=len(rows),
    )


def _token_ece(rows: pl.DataFrame) -> Measure:
    """Tokens of the references: how sure the first choice is, and whether it is the reference's token."""
    return ece_measure("token_ece", "val:score", token_items(rows))


def _agreement_ece(problems: Sequence[ProblemSamples]) -> Measure:
    """Answers by vote: the share of samples that give the most frequent answer, and whether it is right."""
    name, population = "answer_ece_agreement", "val:sample"
    if not has_votes(problems):
        reason = "the grader does not say which answer it found"
        return undefined(name, "lower", population, len(problems), reason)
    votes = [_majority(problem) for problem in problems]
    return ece_measure(
        name,
        population,
        Items.single(
            np.arange(len(problems)),
            np.array([share for share, _ in votes]),
            np.array([is_right for _, is_right in votes], dtype=np.float64),
            len(problems),
        ),
    )


def _majority(problem: ProblemSamples) -> tuple[float, bool]:
    """Share of samples that give the most frequent answer (at a tie the first drawn); is it right."""
    answer, votes = Counter(problem.answers).most_common(1)[0]
    return votes / len(problem.answers), problem.correct[problem.answers.index(answer)]


def _probability_ece(rows: pl.DataFrame) -> Measure:
    """Greedy answers: the geometric mean probability of their tokens, and whether they are right."""
    name, population = "answer_ece_probability", "val:greedy"
    unknown = rows["mean_logprob"].is_null().sum()
    if unknown:
        reason = f"the engine gave no token log-probabilities for {unknown} of {len(rows)} answers"
        return undefined(name, "lower", population, len(rows), reason)
    return ece_measure(name, population, answer_items(rows))


def answer_items(rows: pl.DataFrame) -> Items:
    """The geometric mean probability of each greedy answer's tokens, and whether the answer is right.

    Args:
        rows: of answers whose log-probability and correctness are known.
    """
    return Items.single(
        np.arange(len(rows)),
        np.exp(rows["mean_logprob"].to_numpy().astype(np.float64)),
        rows["correct"].to_numpy().astype(np.float64),
        len(rows),
    )


def _temperature_gap(rows: pl.DataFrame, temperatures: Sequence[float]) -> Measure:
    """What the best temperature of the grid takes off the NLL; see `overmem.axes.excess.temperature_gap`."""
    name, population = "temperature_gap", "val:score"
    tokens_N = rows["n_tokens"].to_numpy().astype(np.float64)
    if 1.0 not in temperatures or tokens_N.sum() < BINS or len(rows) < 2:
        reason = (
            "NLL at temperature 1 is not among those kept" if 1.0 not in temperatures else "too few tokens"
        )
        return undefined(name, "lower", population, len(rows), reason)
    base = temperatures.index(1.0)
    nll_N_G = nll_at_temperatures(rows)

    def statistic(counts: Counts) -> FloatArray:
        return temperature_gap(nll_N_G, tokens_N, base, counts[population])

    return Measure(name=name, direction="lower", sizes={population: len(rows)}, statistic=statistic)


def nll_at_temperatures(rows: pl.DataFrame) -> FloatArray:
    """NLL of each problem's reference at each temperature, nats, (N, G)."""
    return _flat(rows["nll_at_temperature"]).reshape(len(rows), -1)


def _flat(column: pl.Series) -> FloatArray:
    return column.explode().to_numpy().astype(np.float64)


def _lengths(column: pl.Series) -> IntArray:
    return column.list.len().to_numpy().astype(np.int64)
