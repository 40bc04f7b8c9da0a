"""How much higher the loss is on unseen text than on training text, from the staircase of a training log.

The staircase gives the loss on unseen text, as the trend of the first epoch goes on, and the training loss of
rows that were seen one time less than now; half of what the last time was worth is added, as foreseen from
the last step. Two corrections were chosen on fine-tunes of a tiny model whose gap was known, with the scatter
that stays (benchmarks/train_loss_gap.py):

- With few steps in the first epoch the model is still on its way when rows come back, and the trend lies
    too high: the difference counts by `n / (n + SETTLING)` with n steps an epoch.
- Once the loss on training rows is far below that on unseen text, by a factor of e, the latter rises, which
    no training loss shows.

Of the middles of these intervals about a quarter lie within 20% of the known gap, so that none is told. With
the loss on unseen text evaluated, most of the doubt is gone, and where the interval is narrow a figure is
told.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from overmem.stats.staircase import Staircase

SETTLING = 6.0
"""Steps."""
RISE = 0.1
"""Of the loss on unseen text, for each further factor of e."""
SCATTER = 0.35
"""Standard deviation of the logarithm of the known gap over the estimate, beyond the noise of the log.
With 0.2, as first chosen, 90% intervals were right too seldom on the runs that judged it."""
EVALUATED_SCATTER = 0.06
"""Standard deviation of the loss on training rows about its estimate, as a share of it."""
EVALUATED_LAST_TIME = 0.75
"""Share of the next step that the last time is worth, beside an evaluation; both as above."""
NARROW = 0.2
"""Of the figure: a half-width of the 90% interval with which a figure is told."""
_LAST_TIME = 0.5
_Z = 1.645
"""Of a 90% interval."""
_CLEAR = 2.0
"""Standard errors that the staircase must stand out by, or only an upper end is given."""
_LEAST_SHARE = 0.02
"""Of the loss: a smaller gap is none to speak of."""
_LEAST_LOSS = 0.002
_MOST_OF_A_STEP = 0.9


@dataclass(frozen=True, kw_only=True)
class UnseenGap:
    """The gap now, in nats a token, and what one more epoch would do."""

    middle: float
    """Of the interval, by its logarithm; NaN where only an upper end can be given."""
    low: float
    """Lower end of a 90% interval; 0 where the staircase does not stand out from the noise."""
    high: float
    next_fall: float
    """What the training loss would fall in one more epoch at the last one's learning rate."""
    next_memorized: float
    """Of that, what comes from seeing the same rows once more."""


def estimate_gap(stairs: Staircase, steps_an_epoch: float) -> UnseenGap:
    """The gap to unseen text at the end of a log.

    Args:
        stairs: the fit to its training loss.
        steps_an_epoch: optimizer steps.
    """
    step = next_step(stairs)
    settled = steps_an_epoch / (steps_an_epoch + SETTLING)
    raw = stairs.unseen_now - stairs.level + _LAST_TIME * stairs.last_share * step
    value, error = settled * raw + _rise(stairs, step), settled * stairs.se
    least = _LEAST_SHARE * stairs.level
    if raw < max(_CLEAR * stairs.se, least) or sum(stairs.steps) < least:
        high = (max(value, 0.0) + _Z * error) * math.exp(_Z * SCATTER)
        middle, low = math.nan, 0.0
    else:
        spread, middle = _Z * math.hypot(SCATTER, error / value), value
        low, high = value * math.exp(-spread), value * math.exp(spread)
    return UnseenGap(
        middle=middle,
        low=low,
        high=high,
        next_fall=max(stairs.next_fall, 0.0) + step,
        next_memorized=settled * step,
    )


def gap_to_evaluated(stairs: Staircase, unseen: float, error: float) -> tuple[float, float, float]:
    """The gap where the loss on unseen text was evaluated.

    Args:
        stairs: the fit to the training loss up to the evaluation.
        unseen: the evaluation loss, in nats a token.
        error: standard error of the mean training loss of the last epoch.

    Returns:
        The figure, NaN where the interval is wider than it is to be told, and the ends of a 90% interval.
    """
    trained = max(stairs.level - EVALUATED_LAST_TIME * stairs.last_share * next_step(stairs), 0.0)
    half = _Z * math.hypot(EVALUATED_SCATTER * trained, error)
    gap = unseen - trained
    return gap if half <= NARROW * gap else math.nan, gap - half, gap + half


def next_step(stairs: Staircase) -> float:
    """What the loss falls at the next epoch boundary: the last step's share of the loss, by learning rate."""
    before = stairs.level + stairs.steps[-1]
    share = min(max(stairs.steps[-1] / before, 0.0), _MOST_OF_A_STEP) if before > 0 else 0.0
    then, now = stairs.rates[-2:]
    ratio = now / then if then > 0 and 0 <= now < math.inf else 1.0
    return max(stairs.level, 0.0) * (1 - math.pow(1 - share, ratio))


def _rise(stairs: Staircase, step: float) -> float:
    if stairs.unseen_then <= _LEAST_LOSS:
        return 0.0
    apart = math.log(stairs.unseen_then / max(stairs.level - step, _LEAST_LOSS))
    return RISE * stairs.unseen_then * max(apart - 1.0, 0.0)
