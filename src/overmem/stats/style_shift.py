"""Style shift: are two sets of references written in one style? A two-sample test on wording alone.

The perplexity of references in another style than the training data's rises as a model takes on the
training style, memorized or not, so a rule that reads perplexity has to know whose references it reads.

A classifier two-sample test (1610.06545): half of each set teaches which words and pairs of words speak
for which set (naive Bayes over the frequent ones, as in stylometry; numbers are one word, and so are
operations, since both are the problem's), the other half is scored. In one style, an AUROC around 0.5 is
all that can be reached, since what was learned and what is scored are independent; the interval says how
sure that is. Scores are means over a text's words, so that length alone tells nothing.

Shape suffixes: V features.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from overmem.formatting import percent
from overmem.records import Estimate
from overmem.stats.roc import auroc_estimate

FEWEST = 40
"""Texts of a set: half of them to learn from, half to score."""
MOST = 500
"""Texts of a set that are looked at, so that a verdict takes no longer."""
CLEAR = 0.75
"""AUROC that the whole interval must lie above. Other problems in one style stay below it, other styles do
not (docs/axes/references.md)."""
FREQUENT = 0.05
"""Share of the texts of a set in which a feature must be; rarer ones are what is told, not how."""
OTHER_FORMAT = 0.5
"""Difference in the share of bare answers from which on the format is another."""
SHOWN = 3
"""Features shown to a reader."""
DRAWS = 1000

Features = Counter[str]
_TOLD = ((re.compile(r"\d+(?:[.,]\d+)*"), "0"), (re.compile(r"[-+*/\u00d7\u00f7]"), "+"))
"""What the problem says, not the style: which number, which operation."""
_IN_WORDS = re.compile(r"[^\W\d_]{2}")
"""Two letters in a row: something is told in words."""
_WORD = re.compile(r"\n|[ \t]?(?:[\u3040-\u9fff]|[^\W_\u3040-\u9fff]+|[^\w\s]|_)")


@dataclass(frozen=True, kw_only=True)
class StyleShift:
    """How well wording alone tells two sets of texts apart."""

    auroc: Estimate
    """0.5 is chance; NaN with a reason where it could not be tested."""
    telling: tuple[str, ...] = ()
    """What gives it away, in words."""

    @property
    def other_hand(self) -> bool | None:
        """Whether the sets are clearly in two styles; None when that was not tested."""
        return self.auroc.low > CLEAR if math.isfinite(self.auroc.low) else None


def detect_style_shift(train: Sequence[str], val: Sequence[str], *, seed: int = 0) -> StyleShift:
    """Test whether two sets of completions are written in one style.

    Args:
        train: completions that were trained on.
        val: the others.
        seed: of the halves and the bootstrap.
    """
    n = min(len(train), len(val))
    if n < FEWEST:
        return untested(f"{n} references are too few to tell a style by; at least {FEWEST} are needed", n)
    rng = np.random.default_rng(seed)
    sets = [[features(texts[i]) for i in rng.permutation(len(texts))[:MOST]] for texts in (train, val)]
    learned, scored = ([part[half::2] for part in sets] for half in (0, 1))
    weights = log_odds(*learned)
    scores = [np.array([score(text, weights) for text in texts]) for texts in scored]
    auroc = auroc_estimate(scores[0], scores[1], rng, DRAWS)
    return StyleShift(auroc=auroc, telling=_telling(sets, list(weights)))


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
    if not found.other_hand:
        return None
    telling = f"; {found.telling[0].replace('of val', 'of these')}" if found.telling else ""
    return f"AUROC of telling them apart {found.auroc.value:.2f}{telling}"


def untested(reason: str, n: int = 0) -> StyleShift:
    """What is said where the styles could not be compared."""
    return StyleShift(auroc=Estimate(math.nan, math.nan, math.nan, n, reason))


def features(text: str) -> Features:
    """Words and pairs of neighbouring words, with the space before them; numbers are `0`, operations `+`."""
    text = text.lower()
    for pattern, instead in _TOLD:
        text = pattern.sub(instead, text)
    words = _WORD.findall(text)
    return Counter([*words, *map("".join, pairwise(words))])


def log_odds(train: Sequence[Features], val: Sequence[Features]) -> dict[str, float]:
    """How much each frequent feature speaks for train, nats: ln of its share there over its share in val."""
    shares = [_text_shares(texts) for texts in (train, val)]
    frequent = sorted({name for found in shares for name, share in found.items() if share >= FREQUENT})
    counts_2_V = np.array([_counted(texts, frequent) for texts in (train, val)]) + 1.0
    shares_2_V = counts_2_V / counts_2_V.sum(axis=1, keepdims=True)
    return dict(zip(frequent, np.log(shares_2_V[0] / shares_2_V[1]).tolist(), strict=True))


def score(text: Features, weights: Mapping[str, float]) -> float:
    """Mean weight of a text's frequent features, above 0 for train's style; 0 where it has none."""
    known = [(weights[name], n) for name, n in text.items() if name in weights]
    total = sum(n for _, n in known)
    return sum(weight * n for weight, n in known) / total if total else 0.0


def _text_shares(texts: Sequence[Features]) -> dict[str, float]:
    """The share of the texts that each feature is in."""
    found = Counter(name for text in texts for name in text)
    return {name: n / len(texts) for name, n in found.items()}


def _counted(texts: Sequence[Features], names: Sequence[str]) -> npt.NDArray[np.float64]:
    every: Features = Counter()
    for text in texts:
        every.update(text)
    return np.array([every[name] for name in names], dtype=np.float64)


def _telling(sets: Sequence[Sequence[Features]], names: Sequence[str]) -> tuple[str, ...]:
    """The features whose shares of texts differ most, none a part of another."""
    train, val = (_text_shares(texts) for texts in sets)
    gap = {name: abs(train.get(name, 0.0) - val.get(name, 0.0)) for name in names}
    chosen: list[str] = []
    for name in sorted(names, key=lambda name: (-gap[name], name)):
        if name.strip() and not any(name in other or other in name for other in chosen):
            chosen.append(name)
    return tuple(
        f"`{name.strip()}` in {percent(train.get(name, 0.0), 0)} of train and "
        f"{percent(val.get(name, 0.0), 0)} of val".replace("\n", "\\n")
        for name in chosen[:SHOWN]
    )
