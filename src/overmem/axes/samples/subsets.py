"""Pass@k and maj@k: what a random subset of the samples would show, every subset counted.

Shape suffixes: N problems, K draws of a subset, T ties.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np
import numpy.typing as npt

from overmem.errors import DataError
from overmem.stats.arrays import FloatArray


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
