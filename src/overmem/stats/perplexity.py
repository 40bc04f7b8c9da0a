"""Perplexity of one loss, without arrays: a verdict from a log imports none."""

from __future__ import annotations

import math


def perplexity(nats: float) -> float:
    """The exponential of an NLL, or of a difference of two; infinite where it overflows."""
    try:
        return math.exp(nats)
    except OverflowError:
        return math.inf
