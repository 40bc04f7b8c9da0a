"""Answers alone: margins that people reported in public threads, planted as arrays.

Covers: overmem.verdict.words.accuracy
"""

import numpy as np
import pytest

from overmem.artifacts.manifest_parts.imported import Score
from overmem.errors import RunError
from overmem.records import BASE
from overmem.verdict.gate import check_verdict
from overmem.verdict.partial.accuracy import Place, judge_accuracy
from overmem.verdict.partial.answers import PairedAnswers, SeparateScores
from overmem.verdict.words.headline import headline
from overmem.verdict.words.narrative import plain_words


def planted(counts, n, seed=0, shared=0.7):
    """Answers to n problems with so many right: hard problems are missed by all, with noise of their own."""
    rng = np.random.default_rng(seed)
    common = rng.normal(size=n)
    rows = np.zeros((len(counts), n))
    for row, count in zip(rows, counts, strict=True):
        ease = np.sqrt(shared) * common + np.sqrt(1 - shared) * rng.normal(size=n)
        row[np.argsort(-ease)[:count]] = 1
    return rows


def paired(counts, n, names=None):
    names = names or [f"epoch-{i}" for i in range(1, len(counts) + 1)]
    places = [Place(name=name, step=i) for i, name in enumerate(names) if name != BASE]
    return judge_accuracy(PairedAnswers(names, planted(counts, n)), places)


def apart(shares, n, names=None):
    names = names or [f"epoch-{i}" for i in range(1, len(shares) + 1)]
    scores = {name: Score(accuracy=share, n=n) for name, share in zip(names, shares, strict=True)}
    places = [Place(name=name, step=i) for i, name in enumerate(names) if name != BASE]
    return judge_accuracy(SeparateScores(scores), places)


GSM8K = [323, 380, 403, 393, 389]


@pytest.mark.parametrize("verdict", [paired(GSM8K, 1319), apart([c / 1319 for c in GSM8K], 1319)])
def test_the_third_of_five_epochs_is_not_crowned(verdict):
    assert verdict.recommended is None
    assert verdict.alternatives["highest_accuracy"] == "epoch-3"
    words = " ".join(plain_words(verdict))
    assert "epoch-3 is not better than epoch-4: 403 against 393 of 1,319 (difference +0.8 points" in words
    assert "epoch-3 is better than epoch-1: 403 against 323 of 1,319" in words
    assert headline(verdict).ship.startswith("one of epoch-2, epoch-3, epoch-4 and epoch-5")


def test_a_plateau_is_not_crowned_either():
    n = 1319
    shares = [0.609, 0.635, 0.641, 0.641]
    for verdict in (paired([round(s * n) for s in shares], n), apart(shares, n)):
        assert verdict.recommended is None
        assert "epoch-3 is not better than epoch-4" in " ".join(plain_words(verdict))


def test_a_clear_fall_says_the_first():
    shares, n = [0.4678, 0.4222, 0.4133], 14042
    for verdict in (paired([round(s * n) for s in shares], n), apart(shares, n)):
        assert verdict.recommended.name == "epoch-1"
        assert headline(verdict).shipped == "epoch-1 (by accuracy alone)"
        assert "epoch-1 is the one to keep" in " ".join(plain_words(verdict))


@pytest.mark.parametrize("before, after, n", [(0.75, 0.69, 1319), (0.623, 0.187, 500), (0.545, 0.0, 200)])
def test_a_fine_tune_that_lost_is_worse_than_the_base(before, after, n):
    names = [BASE, "checkpoint-100"]
    counts = [round(before * n), round(after * n)]
    for verdict in (paired(counts, n, names), apart([before, after], n, names)):
        assert "checkpoint-100 is worse than the base model:" in " ".join(plain_words(verdict))
        assert verdict.recommended is None


def test_72_and_71_of_299_are_the_same():
    for verdict in (paired([72, 71], 299), apart([72 / 299, 71 / 299], 299)):
        assert "epoch-1 is not better than epoch-2: 72 against 71 of 299" in " ".join(plain_words(verdict))
        assert verdict.recommended is None


def test_six_points_on_a_hundred_problems_are_not_called_worse():
    verdict = apart([0.75, 0.69], 100, [BASE, "checkpoint-100"])
    assert "checkpoint-100 is not clearly worse than the base model" in " ".join(plain_words(verdict))


def test_equal_checkpoints_are_seldom_told_apart():
    """Of eight that are equal the highest is the luckiest; one run in twenty is what the p allows."""
    rng = np.random.default_rng(5)
    names = [f"checkpoint-{i}" for i in range(8)]
    places = [Place(name=name, step=i) for i, name in enumerate(names)]
    verdicts = [judge_accuracy(PairedAnswers(names, rng.random((8, 200)) < 0.6), places) for _ in range(200)]
    assert sum(any(found.outcome == "better" for found in item.by_accuracy) for item in verdicts) <= 14
    assert all(item.recommended is None for item in verdicts)


def test_nothing_is_told_on_a_few_problems():
    verdict = paired([20, 2], 20)
    assert verdict.by_accuracy[0].outcome == "not told apart"
    assert "20 problems are too few" in verdict.reason


def test_what_rests_on_accuracy_passes_no_gate():
    for verdict in (paired([900, 100], 1319), apart([0.9, 0.1], 1319)):
        for checkpoint in ("last", "recommended", "epoch-1"):
            with pytest.raises(RunError, match="no likelihood"):
                check_verdict(verdict, ("undetermined", "overfit"), checkpoint)


def test_one_checkpoint_alone_is_refused():
    with pytest.raises(RunError, match="there is one"):
        paired([5], 40)
