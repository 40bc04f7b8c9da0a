"""Style shift: is a part of val's references written in another style than the training completions?

The perplexity of references in another style than the training data's rises as a model takes on the
training style, memorized or not, so a rule that reads perplexity has to know whose references it reads.

Content is masked (`masked`), and each text gets the surprise of what is left under the trigrams of the
training texts (`surprise`). What is usual must not depend on the topic or the length. So each training text
is scored without the texts of its topic, without those of its length, and without the longer or shorter
half, and the highest of the three counts. A val reference is unlike training when it lies above 95% of them,
and above 95% of those of about its length. In one style at most one in twenty does, mostly fewer; a part in
another style raises that share by about its own size, so mixtures are found as well.

It is unlike training as well when it breaks a habit that all groups of training texts have (`habits`).

Shape suffixes: N training texts, K groups.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np

from overmem.formatting import percent
from overmem.records import Estimate
from overmem.stats.arrays import FloatArray, IntArray
from overmem.stats.intervals import clopper_pearson
from overmem.stats.style.habits import broken_habits, pairs_of
from overmem.stats.style.masked import END, START, WORDS, content_words, masked_pieces
from overmem.stats.style.surprise import Trigrams
from overmem.stats.style.topics import topic_groups

FEWEST = 40
"""Texts of a set."""
MOST = 400
"""Texts of a set that are looked at, so that a verdict takes no longer."""
UNUSUAL = 0.05
"""Share of the training texts that are as unusual as a reference that counts as unlike them."""
CLEAR = 0.10
"""Share of unlike references that the whole interval must lie above (docs/axes/references.md)."""
GROUPS = 8
OTHER_FORMAT = 0.5
"""Difference in the share of bare answers from which on the format is another."""
SHOWN = 3
"""Features shown to a reader."""
_IN_WORDS = re.compile(r"[^\W\d_]{2}")
"""Two letters in a row: something is told in words."""


@dataclass(frozen=True, kw_only=True)
class StyleShift:
    """How many references of a set are unlike the training completions in style."""

    unlike: Estimate
    """Their share, in [0, 1]: at most about 0.05 in one style; NaN with a reason where it was not tested."""
    telling: tuple[str, ...] = ()
    """What gives it away, in words."""

    @property
    def other_style(self) -> bool | None:
        """Whether a part of the set is clearly in another style; None when that was not tested."""
        return self.unlike.low > CLEAR if math.isfinite(self.unlike.low) else None


def detect_style_shift(train: Sequence[str], val: Sequence[str], *, seed: int = 0) -> StyleShift:
    """Test whether some completions of a set are written in another style than those trained on.

    Args:
        train: completions that were trained on.
        val: the others.
        seed: which texts are looked at, and the first centres of the topics.
    """
    n = min(len(train), len(val))
    if n < FEWEST:
        return untested(f"{n} references are too few to tell a style by; at least {FEWEST} are needed", n)
    rng = np.random.default_rng(seed)
    chosen = [[texts[i] for i in rng.permutation(len(texts))[:MOST]] for texts in (train, val)]
    trained, asked = ([masked_pieces(text) for text in texts] for texts in chosen)
    usual = Trigrams(trained)
    length_N = np.array([len(pieces) for pieces in trained])
    groups = min(GROUPS, len(trained) // 10)
    topic_N = topic_groups([content_words(text) for text in chosen[0]], groups, rng)
    groupings = [topic_N, _strata(length_N, groups), _strata(length_N, 2)]
    surprise_N = _surprise_of_the_new(usual, trained, groupings)
    pairs = [pairs_of(text) for text in asked]
    lacking, added = broken_habits([pairs_of(text) for text in trained], groupings, pairs)
    unlike = [
        text
        for text, own in zip(asked, pairs, strict=True)
        if lacking - own or added & own or _is_unlike(usual.surprise(text), len(text), surprise_N, length_N)
    ]
    share = Estimate(len(unlike) / len(asked), *clopper_pearson(len(unlike), len(asked)), len(asked))
    return StyleShift(unlike=share, telling=_telling(trained, unlike))


@lru_cache(maxsize=64)
def written_otherwise(train: tuple[str, ...], other: tuple[str, ...]) -> str | None:
    """How completions differ in format or style from those that were trained on; None where they do not.

    Format is tested at any size: bare answers (no word of letters) where training had worked solutions, or
    the reverse. Style is tested from 40 texts of each on; see `detect_style_shift`.

    Args:
        train: completions that were trained on.
        other: completions of another set.
    """
    if not train or not other:
        return None
    bare = [sum(_IN_WORDS.search(text) is None for text in texts) / len(texts) for texts in (other, train)]
    if abs(bare[0] - bare[1]) > OTHER_FORMAT:
        return f"{percent(bare[0], 0)} are bare answers, against {percent(bare[1], 0)} in training"
    found = detect_style_shift(train, other)
    if not found.other_style:
        return None
    return f"{percent(found.unlike.value, 0)} are in another style; {found.telling[0]}"


def untested(reason: str, n: int = 0) -> StyleShift:
    """What is said where the styles could not be compared."""
    return StyleShift(unlike=Estimate(math.nan, math.nan, math.nan, n, reason))


def _strata(length_N: IntArray, groups: int) -> IntArray:
    """Equally many texts a group, from short to long."""
    rank_N = length_N.argsort(kind="stable").argsort(kind="stable")
    return np.asarray(rank_N * groups // length_N.size)


def _surprise_of_the_new(
    usual: Trigrams, texts: Sequence[Sequence[str]], groupings: Sequence[IntArray]
) -> FloatArray:
    """The highest surprise (N,) of each text over the groupings, its group left out each time."""
    highest_N = np.zeros(len(texts))
    for group_N in groupings:
        for k in np.unique(group_N):
            members = np.flatnonzero(group_N == k).tolist()
            for i in members:
                usual.count(texts[i], -1)
            for i in members:
                highest_N[i] = max(highest_N[i], usual.surprise(texts[i]))
            for i in members:
                usual.count(texts[i], 1)
    return highest_N


def _is_unlike(surprise: float, length: int, surprise_N: FloatArray, length_N: IntArray) -> bool:
    """Whether a reference is more unusual than 95% of the training texts, and of those of its length."""
    near = max(30, length_N.size // 8)
    alike_N = np.argsort(np.abs(length_N - length), kind="stable")[:near]
    return bool(
        surprise > np.quantile(surprise_N, 1 - UNUSUAL)
        and ((surprise_N[alike_N] >= surprise).sum() + 1) / (alike_N.size + 1) <= UNUSUAL
    )


def _telling(trained: Sequence[Sequence[str]], unlike: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """The pairs of pieces that most of the unlike references have and training has not."""
    if not unlike:
        return ()
    shares = [_text_shares(texts) for texts in (trained, unlike)]
    gap = {pair: share - shares[0].get(pair, 0.0) for pair, share in shares[1].items()}
    best = sorted(gap, key=lambda pair: (-gap[pair], pair))[:SHOWN]
    return tuple(
        f"`{_shown(pair)}` in {percent(shares[0].get(pair, 0.0), 0)} of train and "
        f"{percent(shares[1][pair], 0)} of those"
        for pair in best
    )


def _shown(pair: tuple[str, str]) -> str:
    kept = [piece for piece in pair if piece not in (START, END)]
    return " ".join(piece.strip(" ").replace("\n", "\\n") for piece in kept)


def _text_shares(texts: Sequence[Sequence[str]]) -> dict[tuple[str, str], float]:
    """The share of the texts that each pair of pieces is in; two masks tell nothing."""
    found = Counter(pair for text in texts for pair in set(pairwise(text)) if set(pair) - {WORDS, START, END})
    return {pair: n / len(texts) for pair, n in found.items()}
