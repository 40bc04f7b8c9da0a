"""Calibration: whether the model is right as often as it is sure.

Over-memorization raises confidence in the model's own path without raising the share it gets right,
so the calibration error grows while greedy accuracy stands still.

Expected calibration error (ECE) is never negative, so noise adds to it: with few items in a bin it
is above 0 for a perfectly calibrated model (2012.08668), and a bootstrap draw adds noise once more, so
draws lie above the figure itself. Read differences between checkpoints on the same problems, not the
level.

Shape suffixes: M items (tokens or answers), N problems, B bins, D draws, G temperatures.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import polars as pl

from overmem.artifacts.evidence import Evidence
from overmem.artifacts.jobs import VAL_ANSWERS, VAL_SAMPLES, VAL_SCORES, Job
from overmem.axes.axis import Available, Axis
from overmem.axes.diversity import ProblemSamples, group_samples, has_votes
from overmem.stats.arrays import FloatArray, IntArray
from overmem.stats.excess import temperature_gap
from overmem.stats.measures import Counts, Measure, undefined

BINS = 15
"""Bins of every ECE, as in 1706.04599; also the fewest items it is taken from."""


def bin_equal_mass(confidence_M: FloatArray, bins: int = BINS) -> IntArray:
    """Bin of each item, 0 to bins - 1, so that bins hold equally many items.

    Equal confidences share the bin of the first of them in rank, so bins can be uneven or empty, and
    an item's bin depends neither on the order of the items nor on repeating all of them.

    Args:
        confidence_M: any figure that grows with confidence.
        bins: how many.
    """
    rank_M = np.searchsorted(np.sort(confidence_M), confidence_M, side="left")
    return np.asarray(rank_M * bins // max(len(confidence_M), 1), dtype=np.int64)


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


def ece_measure(
    name: str,
    population: str,
    n_problems: int,
    problem_M: IntArray,
    confidence_M: FloatArray,
    correct_M: FloatArray,
) -> Measure:
    """An expected calibration error whose items belong to problems, resampled with them in fixed bins.

    The mean distance between confidence and accuracy over equal-mass bins, sum (n_b / n) |acc_b - conf_b|, in
    [0, 1]; lower is better. Source: 1706.04599, with equal-mass bins after 1904.01685, since most tokens are
    near certain and would fill one bin of equal width.

    Args:
        name: of the measure.
        population: name of the problems resampled.
        n_problems: N; those without items add nothing.
        problem_M: which problem each item belongs to, 0 to N - 1.
        confidence_M: stated probability of being right.
        correct_M: 1 where right, else 0.
    """
    if len(confidence_M) < BINS:
        reason = f"{len(confidence_M)} items are too few for {BINS} bins"
        return undefined(name, "lower", population, n_problems, reason)
    # (n_b / n) |acc_b - conf_b| is |sum over the bin of correct - confidence| / n.
    cell_M = problem_M * BINS + bin_equal_mass(confidence_M)
    gap_N_B = np.bincount(cell_M, correct_M - confidence_M, minlength=n_problems * BINS).reshape(-1, BINS)
    items_N = np.bincount(problem_M, minlength=n_problems).astype(np.float64)

    def statistic(counts: Counts) -> FloatArray:
        counts_D_N = counts[population]
        items_D = counts_D_N @ items_N
        with np.errstate(invalid="ignore"):
            return np.asarray(np.abs(counts_D_N @ gap_N_B).sum(axis=1) / items_D)

    return Measure(name=name, direction="lower", sizes={population: n_problems}, statistic=statistic)


def _token_ece(rows: pl.DataFrame) -> Measure:
    """Tokens of the references: how sure the first choice is, and whether it is the reference's token."""
    return ece_measure(
        "token_ece",
        "val:score",
        len(rows),
        np.repeat(np.arange(len(rows)), _lengths(rows["is_top1"])),
        np.exp(_flat(rows["top1_logprob"])),
        _flat(rows["is_top1"]),
    )


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
        len(problems),
        np.arange(len(problems)),
        np.array([share for share, _ in votes]),
        np.array([is_right for _, is_right in votes], dtype=np.float64),
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
    return ece_measure(
        name,
        population,
        len(rows),
        np.arange(len(rows)),
        np.exp(rows["mean_logprob"].to_numpy().astype(np.float64)),
        rows["correct"].to_numpy().astype(np.float64),
    )


def _temperature_gap(rows: pl.DataFrame, temperatures: Sequence[float]) -> Measure:
    """What the best temperature of the grid takes off the NLL; see `overmem.stats.excess.temperature_gap`."""
    name, population = "temperature_gap", "val:score"
    tokens_N = rows["n_tokens"].to_numpy().astype(np.float64)
    if 1.0 not in temperatures or tokens_N.sum() < BINS or len(rows) < 2:
        reason = (
            "NLL at temperature 1 is not among those kept" if 1.0 not in temperatures else "too few tokens"
        )
        return undefined(name, "lower", population, len(rows), reason)
    base = temperatures.index(1.0)
    nll_N_G = nll_at_temperatures(rows, len(temperatures))

    def statistic(counts: Counts) -> FloatArray:
        return temperature_gap(nll_N_G, tokens_N, base, counts[population])

    return Measure(name=name, direction="lower", sizes={population: len(rows)}, statistic=statistic)


def nll_at_temperatures(rows: pl.DataFrame, n_temperatures: int) -> FloatArray:
    """NLL of each problem's reference at each temperature, nats, (N, G)."""
    logprob_M_G = _flat(rows["logprob_at_temperature"].explode()).reshape(-1, n_temperatures)
    tokens_N = _lengths(rows["logprob_at_temperature"])
    return np.asarray(-np.add.reduceat(logprob_M_G, np.cumsum(tokens_N) - tokens_N, axis=0))


def _flat(column: pl.Series) -> FloatArray:
    return column.explode().to_numpy().astype(np.float64)


def _lengths(column: pl.Series) -> IntArray:
    return column.list.len().to_numpy().astype(np.int64)
