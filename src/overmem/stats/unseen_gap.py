"""How much higher the loss is on unseen text than on training text, from the staircase of a training log.

The staircase gives the loss on unseen text, as the trend of the first epoch goes on, and the training loss of
rows that were seen one time less than now. What the last time was worth is foreseen from the last step. The
estimate is the difference times a factor, since the trend of the first epoch lies a little too high. The
factor, and the scatter about it, were measured on fine-tunes of a tiny model whose gap was known
(benchmarks/train_loss_gap.py).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from overmem.stats.staircase import Staircase

FACTOR = 0.68
"""Known gap over the staircase's, median of the runs that chose it."""
SCATTER = 0.30
"""Standard deviation of the logarithm of that ratio, beyond what the noise of the log explains."""
_Z = 1.645
"""Of a 90% interval."""
_CLEAR = 2.0
"""Standard errors that the staircase must stand out by, or only an upper end is given."""
_LEAST_SHARE = 0.02
"""Of the loss: a smaller gap is none to speak of."""
_MOST_OF_A_STEP = 0.9


@dataclass(frozen=True, kw_only=True)
class UnseenGap:
    """The gap now, in nats a token, and what one more epoch would do."""

    value: float
    """NaN where only an upper end can be given."""
    low: float
    """Lower end of a 90% interval; 0 where the staircase does not stand out from the noise."""
    high: float
    next_fall: float
    """What the training loss would fall in one more epoch at the last one's learning rate."""
    next_memorized: float
    """Of that, what comes from seeing the same rows once more."""


def estimate_gap(stairs: Staircase) -> UnseenGap:
    """The gap to unseen text at the end of a log.

    Args:
        stairs: the fit to its training loss.
    """
    step = next_step(stairs)
    raw = stairs.unseen_now - stairs.level + stairs.last_share * step
    memorized = FACTOR * step
    fall = max(stairs.next_fall, 0.0) + step
    if raw < max(_CLEAR * stairs.se, _LEAST_SHARE * stairs.level):
        value, low, high = math.nan, 0.0, FACTOR * (max(raw, 0.0) + _Z * stairs.se) * math.exp(_Z * SCATTER)
    else:
        spread = _Z * math.hypot(SCATTER, stairs.se / raw)
        value = FACTOR * raw
        low, high = value * math.exp(-spread), value * math.exp(spread)
    return UnseenGap(value=value, low=low, high=high, next_fall=fall, next_memorized=memorized)


def next_step(stairs: Staircase) -> float:
    """What the loss falls at the next epoch boundary: the last step's share of the loss, by learning rate."""
    before = stairs.level + stairs.steps[-1]
    share = min(max(stairs.steps[-1] / before, 0.0), _MOST_OF_A_STEP) if before > 0 else 0.0
    then, now = stairs.rates[-2:]
    ratio = now / then if then > 0 and math.isfinite(now) else 1.0
    return max(stairs.level, 0.0) * (1 - math.pow(1 - share, ratio))
