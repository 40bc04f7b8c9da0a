r"""Diversity: how many different right solutions a model still has when it is asked several times.

Over-memorization narrows this first among the costs: greedy accuracy holds while the samples turn
into copies of one path, so more samples help less (pass@k, maj@k) and look alike (self-BLEU).

Shape suffixes: N problems, K draws of a subset, T ties.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from overmem.artifacts.evidence import Evidence
from overmem.artifacts.jobs import VAL_SAMPLES, Job
from overmem.axes.axis import Available, Axis
from overmem.axes.equations import equation_path
from overmem.errors import ArtifactError, DataError
from overmem.stats.arrays import FloatArray
from overmem.stats.measures import Direction, Measure, ratio_measure, undefined

POPULATION = "val:sample"
"""Name under which the problems of this axis are counted."""
Ngrams = dict[tuple[str, ...], int]
"""How often each n-gram occurs."""
MAX_ORDER = 4
"""Longest n-gram of BLEU."""


def pass_at_k(n_samples: int, n_correct_N: npt.ArrayLike, k: int) -> FloatArray:
    """Chance that at least one of k samples is right: 1 - C(n-c, k) / C(n, k).

    The unbiased estimate from n samples, each subset of k counted alike (2107.03374). Share in
    [0, 1], higher is better.

    Args:
        n_samples: samples of every problem, n.
        n_correct_N: how many of them are right, c, of any shape.
        k: samples one would draw.

    Raises:
        DataError: k is not in 1..n, or c not in 0..n.
    """
    _check_k(k, n_samples)
    correct_N = np.asarray(n_correct_N, dtype=np.int64)
    if correct_N.size and not 0 <= correct_N.min() <= correct_N.max() <= n_samples:
        raise DataError(
            "a problem cannot have this many right samples",
            got=f"{correct_N.min()} to {correct_N.max()}",
            expected=f"0 to {n_samples}",
            next_step="count the right ones among the samples of one problem",
        )
    # C(n-c, k) / C(n, k) is the product of 1 - k/i over i = n-c+1 .. n; one factor more for each c.
    factors = 1.0 - k / np.arange(n_samples, 0, -1)
    fail_by_c = np.concatenate([[1.0], np.cumprod(factors)])
    return np.asarray(1.0 - fail_by_c[correct_N])


def maj_at_k(answers: Sequence[Hashable], correct: Sequence[bool], k: int) -> float:
    """Chance that the most frequent answer among k samples is right; ties are drawn by lot.

    The expectation over all subsets of size k, exact and without sampling (2203.11171; the first k
    would be one draw of it). Share in [0, 1], higher is better.

    A subset of size k is what independent binomial draws from each class of equal answers give when
    their sum happens to be k. So for each right class and each count m it can win with, the others'
    draws are added up by how many of them tie at m.

    Args:
        answers: the answer of each sample; equal answers vote together. None, no answer found, is
            a class of its own that is never right.
        correct: whether each is right; equal answers are graded alike.
        k: samples that vote.

    Raises:
        DataError: k is not in 1..n.
    """
    n = len(answers)
    _check_k(k, n)
    class_sizes = Counter(answers)
    right = {answer for answer, is_right in zip(answers, correct, strict=True) if is_right} - {None}
    right_by_size = Counter(class_sizes[answer] for answer in right)
    sizes = Counter(class_sizes.values())
    wins = sum(
        number * _winning_weight(size, list((sizes - Counter([size])).elements()), k, k / n)
        for size, number in right_by_size.items()
    )
    return float(min(wins / _binomial(n, k / n)[k], 1.0))


def answer_entropy(answers: Sequence[Hashable]) -> float:
    """Entropy of the answers' distribution among the samples, nats, 0 to ln n.

    Context, not a virtue: high for a model that guesses, 0 for one that always says the same, right
    or wrong. None counts as an answer. NaN without samples.
    """
    if not answers:
        return math.nan
    share = np.array(list(Counter(answers).values())) / len(answers)
    return float(-(share * np.log(share)).sum()) + 0.0


def distinct_n(texts: Sequence[str], n: int) -> float:
    """Distinct word n-grams over all word n-grams of one problem's samples (1510.03055).

    Share in (0, 1], higher is more diverse; it falls with the number and length of the samples, so
    compare equal numbers only. NaN when no text has n words.
    """
    grams = [
        tuple(words[start : start + n])
        for words in map(str.split, texts)
        for start in range(len(words) - n + 1)
    ]
    return len(set(grams)) / len(grams) if grams else math.nan


def self_bleu(texts: Sequence[str]) -> float:
    """Mean over samples of sentence BLEU against the other samples as references (1802.01886).

    0 to 100, lower is more diverse; copies of one text give 100. The figures are those of
    `sacrebleu.sentence_bleu` (13a tokens, effective order, exponential smoothing), with each text
    counted once instead of once for every sample it is compared with. NaN when fewer than two texts
    have a word.
    """
    if sum(bool(text.strip()) for text in texts) < 2:
        return math.nan
    from sacrebleu.metrics.bleu import BLEU

    counted = _count_ngrams(texts)
    first, second = _two_highest_counts([ngrams for ngrams, _ in counted])
    scores = []
    for index, (ngrams, length) in enumerate(counted):
        matched, total = [0] * MAX_ORDER, [0] * MAX_ORDER
        for gram, count in ngrams.items():
            total[len(gram) - 1] += count
            # Some other sample has it as often, unless this one has it most often of all.
            matched[len(gram) - 1] += second[gram] if count == first[gram] else count
        lengths = [other for place, (_, other) in enumerate(counted) if place != index]
        closest = min(lengths, key=lambda other: (abs(other - length), other))
        score = BLEU.compute_bleu(
            matched, total, length, closest, smooth_method="exp", effective_order=True
        ).score
        scores.append(min(score, 100.0))
    return float(np.mean(scores))


def solution_paths(texts: Sequence[str], correct: Sequence[bool]) -> int:
    """Number of distinct equation paths among the right samples of a problem; higher is better.

    Samples without equations have no path and are not counted.
    """
    right = {equation_path(text) for text, is_right in zip(texts, correct, strict=True) if is_right}
    return len(right - {()})


def new_path_share(texts: Sequence[str], correct: Sequence[bool], reference: str) -> float:
    """Share of all samples that are right by another equation path than the reference's.

    In [0, 1], higher is better: what the model can do that it was not shown. NaN without samples.

    Args:
        texts: the samples of one problem.
        correct: whether each is right.
        reference: the reference solution.
    """
    known = {(), equation_path(reference)}
    new = [
        is_right and equation_path(text) not in known for text, is_right in zip(texts, correct, strict=True)
    ]
    return float(np.mean(new)) if new else math.nan


@dataclass(frozen=True, kw_only=True)
class ProblemSamples:
    """All samples of one problem, in the order they were drawn."""

    example_id: str
    texts: tuple[str, ...]
    answers: tuple[str | None, ...]
    correct: tuple[bool, ...]


def group_samples(rows: pl.DataFrame) -> list[ProblemSamples]:
    """Rows of a `sample` job, one record a problem, in the order of the rows.

    Raises:
        ArtifactError: some were not graded, which an audit does with all of a set or none.
    """
    if n_empty := rows["correct"].null_count():
        raise ArtifactError(
            "some sampled answers were not graded",
            got=f"{n_empty:,} of {len(rows):,}",
            next_step="run `overmem audit` again",
        )
    grouped = rows.group_by("example_id", maintain_order=True).agg("text", "answer", "correct")
    return [
        ProblemSamples(
            example_id=example_id,
            texts=tuple(text or "" for text in texts),
            answers=tuple(answers),
            correct=tuple(is_right >= 0.5 for is_right in correct),
        )
        for example_id, texts, answers, correct in grouped.iter_rows()
    ]


def has_votes(problems: Sequence[ProblemSamples]) -> bool:
    """False when the grader marks samples right without naming their answers, so that none can vote."""
    return not any(
        answer is None and is_right
        for problem in problems
        for answer, is_right in zip(problem.answers, problem.correct, strict=True)
    )


def jobs(available: Available) -> tuple[Job, ...]:
    """Several answers to every val problem at a temperature."""
    return (VAL_SAMPLES,) if "val" in available.graded else ()


def measures(evidence: Evidence) -> tuple[Measure, ...]:
    """Means over problems of what each problem's samples show.

    Problems with fewer samples than the others, which a cut audit leaves, carry no weight; they keep
    their place, so that checkpoints stay paired.
    """
    if VAL_SAMPLES not in evidence.rows or evidence.rows[VAL_SAMPLES].is_empty():
        return ()
    problems = group_samples(evidence.rows[VAL_SAMPLES])
    n_samples = max(len(problem.texts) for problem in problems)

    def mean_over(
        name: str, direction: Direction, figure: Callable[[ProblemSamples], float], reason: str = ""
    ) -> Measure:
        if reason:
            return undefined(name, direction, POPULATION, len(problems), reason)
        value_N = np.array([figure(p) if len(p.texts) == n_samples else np.nan for p in problems])
        known_N = np.isfinite(value_N)
        return ratio_measure(
            name, direction, POPULATION, np.where(known_N, value_N, 0.0), known_N.astype(np.float64)
        )

    def pass_measure(k: int) -> Measure:
        return mean_over(f"pass_at_{k}", "higher", lambda p: float(pass_at_k(n_samples, sum(p.correct), k)))

    def maj_measure(k: int) -> Measure:
        return mean_over(f"maj_at_{k}", "higher", lambda p: maj_at_k(p.answers, p.correct, k), no_votes)

    references = dict(evidence.texts["val"].select("example_id", "completion").iter_rows())
    no_votes = "" if has_votes(problems) else "the grader does not say which answer it found"
    no_paths = "" if _has_equations(problems, references) else "neither solutions nor samples hold equations"
    one_sample = "one sample a problem has no others to compare with" if n_samples == 1 else ""
    powers = [2**power for power in range(n_samples.bit_length())]
    return (
        *map(pass_measure, reversed(powers)),
        *map(maj_measure, [4, n_samples] if n_samples > 4 else [n_samples]),
        mean_over("solution_paths", "higher", lambda p: solution_paths(p.texts, p.correct), no_paths),
        mean_over(
            "new_right_paths",
            "higher",
            lambda p: new_path_share(p.texts, p.correct, references[p.example_id]),
            no_paths,
        ),
        mean_over("distinct_2", "higher", lambda p: distinct_n(p.texts, 2)),
        mean_over("self_bleu", "lower", lambda p: self_bleu(p.texts), one_sample),
        mean_over("answer_entropy", "context", lambda p: answer_entropy(p.answers), no_votes),
    )


AXIS = Axis(
    name="diversity",
    tells="how many different right solutions remain (pass@k, maj@k, paths, self-BLEU)",
    jobs=jobs,
    measures=measures,
    proves_repair=True,
)


def _check_k(k: int, n_samples: int) -> None:
    if not 1 <= k <= n_samples:
        raise DataError(
            "there are fewer than k samples to draw from",
            got=f"k = {k}",
            expected=f"1 to {n_samples}, the number of samples",
            next_step="choose a smaller k, or audit with more samples a problem",
        )


def _binomial(size: int, p: float) -> FloatArray:
    """Probability of each number of hits, 0..size."""
    return np.array([math.comb(size, hits) * p**hits * (1 - p) ** (size - hits) for hits in range(size + 1)])


def _winning_weight(size: int, others: list[int], k: int, p: float) -> float:
    """Probability that a class of `size` wins and all draws sum to k, ties shared."""
    weight = 0.0
    for count, probability in enumerate(_binomial(size, p)[: k + 1]):
        if count and probability:
            ties_T = _tied_draws(others, count, k - count, p)
            weight += probability * float((ties_T / np.arange(1, len(ties_T) + 1)).sum())
    return weight


def _tied_draws(sizes: Sequence[int], highest: int, total: int, p: float) -> FloatArray:
    """Probability that draws from classes sum to `total`, none above `highest`, by how many reach it."""
    state_K_T = np.zeros((total + 1, total // highest + 1))
    state_K_T[0, 0] = 1.0
    for size in sizes:
        probability = _binomial(size, p)
        after_K_T = np.zeros_like(state_K_T)
        for drawn in range(min(size, highest - 1, total) + 1):
            after_K_T[drawn:] += probability[drawn] * state_K_T[: total + 1 - drawn]
        if highest <= min(size, total):
            after_K_T[highest:, 1:] += probability[highest] * state_K_T[: total + 1 - highest, :-1]
        state_K_T = after_K_T
    return np.asarray(state_K_T[total])


def _count_ngrams(texts: Sequence[str]) -> list[tuple[Ngrams, int]]:
    """The n-grams of each text with their counts, and its length in tokens; equal texts counted once."""
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.helpers import extract_all_word_ngrams

    tokenize: Callable[[str], str] = BLEU(effective_order=True).tokenizer
    counted = {text: extract_all_word_ngrams(tokenize(text.rstrip()), 1, MAX_ORDER) for text in set(texts)}
    return [counted[text] for text in texts]


def _two_highest_counts(ngrams: Sequence[Ngrams]) -> tuple[Ngrams, Ngrams]:
    """The highest and the second highest count of every n-gram among the samples; equal at a tie."""
    first: Ngrams = {}
    second: Ngrams = {}
    for counts in ngrams:
        for gram, count in counts.items():
            highest = first.get(gram, 0)
            if count > highest:
                first[gram], second[gram] = count, highest
            elif count > second[gram]:
                second[gram] = count
    return first, second


def _has_equations(problems: Sequence[ProblemSamples], references: dict[str, str]) -> bool:
    return any(equation_path(text) for text in references.values()) or any(
        equation_path(text) for problem in problems for text in problem.texts
    )
