"""The training loss as a staircase: a common trend, and a fall where rows come back that were seen before.

In the first epoch every row is unseen, so the training loss is the loss on unseen text. From then on a row
was seen once, twice, ... before. What the loss falls from one epoch to the next beyond the trend within
epochs is what having seen the rows once more is worth. The trend is one of a family of curves that flatten
(a power of time, or its logarithm), with a level of its own for each epoch. Rows that come back late in an
epoch were seen longer ago and are partly forgotten, which raises the loss towards the end of later epochs:
that slope is common to them. The curves are averaged by how well they fit, so that doubt about the trend
shows in the standard error. Pure Python, for logs of any length.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

FEWEST = 3
"""Points that an epoch needs."""
MOST_POINTS = 2000
"""Of the whole log; rows beyond are averaged with their neighbours."""
_UNSETTLED = 0.15
"""Of the first epoch: warm-up and the first shock are no part of the trend."""
_POWERS = (0.0, 0.5, 1.0, 2.0, 4.0)
_OFFSETS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
"""Time is counted from this many epochs before the start."""
_FORGETTING = 0.1
"""How much of the loss is forgotten within an epoch, as a standard deviation before the log is seen."""
_LEAST_LEVEL = 0.02
"""Nats: noise is taken to be in proportion to the loss, but not below this."""


@dataclass(frozen=True, kw_only=True)
class Staircase:
    """The trend and the steps of one log."""

    means: tuple[float, ...]
    """Mean training loss of each epoch, the last of which may be unfinished."""
    rates: tuple[float, ...]
    """Mean learning rate of each epoch, NaN where none was logged."""
    last_share: float
    """Share of the last epoch that was trained, in (0, 1]."""
    unseen_then: float
    """The trend at the end of the first epoch: the loss on unseen text there."""
    unseen_now: float
    """The trend at the end of the log: the loss on unseen text, did it follow the trend."""
    next_fall: float
    """What the trend would fall in one more epoch."""
    level: float
    """The training loss at the end of the log, of rows that were seen one time less than now."""
    se: float
    """Standard error of `unseen_now - level`."""
    steps: tuple[float, ...]
    """What the loss falls at each epoch boundary."""


def fit_staircase(rows: Sequence[tuple[float, float, float]], end: float) -> Staircase | None:
    """Fit trend and steps.

    Args:
        rows: of each row the middle of its steps in epochs from 0, its loss, and its learning rate or NaN;
            none lies across a boundary.
        end: where the log ends, in epochs.

    Returns:
        The fit; None where an epoch has less than `FEWEST` points, or there is but one epoch.
    """
    n_epochs = math.ceil(end - 1e-6)
    if n_epochs < 2 or n_epochs * FEWEST > len(rows):
        return None
    epochs: list[list[tuple[float, float, float]]] = [[] for _ in range(n_epochs)]
    for row in rows:
        if _UNSETTLED <= row[0] < end:
            epochs[min(n_epochs - 1, math.floor(row[0]))].append(row)
    if min(len(epoch) for epoch in epochs) < FEWEST:
        return None
    most = max(FEWEST, MOST_POINTS // n_epochs)
    points = [_thin(epoch, most) for epoch in epochs]
    fits = [_fit(points, _curve(power, offset), end) for power in _POWERS for offset in _OFFSETS]
    weights = _weights(fits, sum(map(len, points)) - n_epochs - 1)
    then, now, level, next_fall, *steps = (
        sum(w * fit.values[i] for w, fit in zip(weights, fits, strict=True)) for i in range(n_epochs + 3)
    )
    variance = sum(
        w * (fit.variance + (fit.values[1] - fit.values[2] - (now - level)) ** 2)
        for w, fit in zip(weights, fits, strict=True)
    )
    return Staircase(
        means=tuple(_mean([y for _, y in epoch]) for epoch in points),
        rates=tuple(_mean([rate for _, _, rate in epoch if math.isfinite(rate)]) for epoch in epochs),
        last_share=end - (n_epochs - 1),
        unseen_then=then,
        unseen_now=now,
        next_fall=next_fall,
        level=level,
        se=math.sqrt(variance),
        steps=tuple(steps),
    )


@dataclass(frozen=True)
class _Fit:
    values: tuple[float, ...]
    """The trend then and now, the level, the trend's next fall, the steps."""
    squares: float
    """Weighted squares that the fit leaves."""
    variance: float
    """Of the trend now less the level."""


def _fit(
    points: Sequence[Sequence[tuple[float, float]]], curve: Callable[[float], float], end: float
) -> _Fit:
    """Least squares: a level for each epoch, a slope over the curve, and one of forgetting in later epochs.

    Args:
        points: time in epochs and loss of each point, by epoch.
        curve: the shape of the trend, falling.
        end: where the log ends.
    """
    means = [_mean([y for _, y in epoch]) for epoch in points]
    scales = [max(mean, _LEAST_LEVEL) for mean in means]
    shapes = [[curve(t) for t, _ in epoch] for epoch in points]
    ages = [[scales[e] * (t - e) if e else 0.0 for t, _ in epoch] for e, epoch in enumerate(points)]
    centres, middles = [_mean(shape) for shape in shapes], [_mean(age) for age in ages]
    terms = [
        ((x - centres[e]) / scales[e], (z - middles[e]) / scales[e], (y - means[e]) / scales[e])
        for e, epoch in enumerate(points)
        for x, z, (_, y) in zip(shapes[e], ages[e], epoch, strict=True)
    ]
    xx, xz, zz, xy, zy = (
        sum(values)
        for values in zip(*((x * x, x * z, z * z, x * y, z * y) for x, z, y in terms), strict=True)
    )
    freedom = max(1, len(terms) - len(points) - 1)
    noise = sum((y - xy / xx * x) ** 2 for x, _, y in terms) / freedom
    zz += noise / _FORGETTING**2
    whole = xx * zz - xz * xz
    slope, forgotten = (zz * xy - xz * zy) / whole, (xx * zy - xz * xy) / whole
    squares = (
        sum((y - slope * x - forgotten * z) ** 2 for x, z, y in terms)
        + noise * (forgotten / _FORGETTING) ** 2
    )
    levels = [m - slope * c - forgotten * a for m, c, a in zip(means, centres, middles, strict=True)]
    ends = [level + (forgotten * scales[e] if e else 0.0) for e, level in enumerate(levels)]
    share = end - (len(points) - 1)
    level = levels[-1] + slope * curve(end) + forgotten * scales[-1] * share
    along, aged = centres[-1] - centres[0], middles[-1] - scales[-1] * share
    variance = noise * (
        sum(scales[e] ** 2 / len(points[e]) for e in (0, -1))
        + (zz * along**2 - 2 * xz * along * aged + xx * aged**2) / whole
    )
    steps = [before - after for before, after in zip(ends[:-1], levels[1:], strict=True)]
    then, now, after = (levels[0] + slope * curve(time) for time in (1.0, end, end + 1))
    return _Fit((then, now, level, now - after, *steps), squares, variance)


def _curve(power: float, offset: float) -> Callable[[float], float]:
    if power == 0:
        return lambda t: -math.log(t + offset)
    return lambda t: (t + offset) ** -power


def _weights(fits: Sequence[_Fit], freedom: int) -> list[float]:
    """How likely each curve is after the fit, all being equally likely before."""
    least = max(min(fit.squares for fit in fits), 1e-12)
    raw = [(max(fit.squares, 1e-12) / least) ** (-max(1, freedom) / 2) for fit in fits]
    return [value / sum(raw) for value in raw]


def _thin(rows: Sequence[tuple[float, float, float]], most: int) -> list[tuple[float, float]]:
    size = math.ceil(len(rows) / most)
    parts = [rows[i : i + size] for i in range(0, len(rows), size)]
    return [
        (sum(t for t, _, _ in part) / len(part), sum(y for _, y, _ in part) / len(part)) for part in parts
    ]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan
