"""How alike the samples of one problem are: their answers, their n-grams, their BLEU against one another."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Sequence

import numpy as np

Ngrams = dict[tuple[str, ...], int]
"""How often each n-gram occurs."""
MAX_ORDER = 4
"""Longest n-gram of BLEU."""


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


def answer_entropy(answers: Sequence[Hashable]) -> float:
    """Entropy of the answers' distribution among the samples, nats, 0 to ln n.

    Context, not a virtue: high for a model that guesses, 0 for one that always says the same, right
    or wrong. None counts as an answer. NaN without samples.
    """
    if not answers:
        return math.nan
    share = np.array(list(Counter(answers).values())) / len(answers)
    return float(-(share * np.log(share)).sum()) + 0.0


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
