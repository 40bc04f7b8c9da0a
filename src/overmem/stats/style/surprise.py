"""How unusual the order of a text's pieces is beside other texts: nats a piece under their trigrams.

Unseen trigrams fall back on pairs and single pieces (interpolation with a pseudo-count, as in Jelinek and
Mercer 1980). Texts can be taken out and put back, so that each is scored by a model that never saw it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

BACK_OFF = 4.0
"""Pseudo-counts that the shorter context is worth."""
_RARE = 0.5
_KINDS = 200.0
"""Kinds of pieces that there might be."""


class Trigrams:
    """Counts of single pieces, pairs and triples over some texts."""

    def __init__(self, texts: Iterable[Sequence[str]]) -> None:
        self._seen: Counter[tuple[str, ...]] = Counter()
        self._contexts: Counter[tuple[str, ...]] = Counter()
        for text in texts:
            self.count(text, 1)

    def count(self, text: Sequence[str], times: int) -> None:
        """Add a text (1) or take it out again (-1)."""
        for i in range(1, len(text)):
            for size in (1, 2, 3):
                if i - size + 1 >= 0:
                    self._seen[tuple(text[i - size + 1 : i + 1])] += times
                    self._contexts[tuple(text[i - size + 1 : i])] += times

    def surprise(self, text: Sequence[str]) -> float:
        """Mean of -ln p over the pieces after the first, nats; lower is more usual.

        Args:
            text: at least two pieces.
        """
        total = 0.0
        for i in range(1, len(text)):
            p = (self._seen[(text[i],)] + _RARE) / (self._contexts[()] + _RARE * _KINDS)
            for size in (2, 3):
                if i - size + 1 >= 0:
                    context = tuple(text[i - size + 1 : i])
                    seen = self._seen[(*context, text[i])]
                    p = (seen + BACK_OFF * p) / (self._contexts[context] + BACK_OFF)
            total -= math.log(p)
        return total / (len(text) - 1)
