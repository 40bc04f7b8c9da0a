"""What is wrong with a training loss on the face of it: not finite, 0, flat, diverged, with spikes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from statistics import fmean, median, stdev

from overmem.logs.train_loss.rows import TrainRows
from overmem.records.logged import LoggedFinding

NO_LOSS = 5e-5
"""Nats: what four logged digits round to 0."""
NEAR_ZERO = 0.05
"""Nats a token: the tokens of the training text are foreseen with a probability of 95%."""
_PARTS = 10
_FEWEST = 20
"""Rows that a trend is read from."""
_LEAST_FALL = 0.03
"""Of the first loss: with less the loss is flat."""
_BESIDE = 10
"""Rows on either side that a spike stands out from."""


def find_trouble(rows: TrainRows) -> tuple[LoggedFinding, ...]:
    """What a person should see first, most serious first; empty where the loss looks ordinary."""
    checks = (_not_finite, _no_loss, _diverged, _flat, _near_zero, _spikes)
    return tuple(finding for check in checks if (finding := check(rows)) is not None)


def _not_finite(rows: TrainRows) -> LoggedFinding | None:
    if not rows.bad_steps:
        return None
    n, first = len(rows.bad_steps), rows.bad_steps[0]
    after = "" if any(step > first for step in rows.steps) else ", and at every row after it"
    return LoggedFinding(
        kind="not_finite",
        severity="problem",
        sentence=f"The training loss is not a finite number at {n:,} of {n + len(rows.steps):,} logged "
        f"rows, first at step {first:,}{after}. Use the last checkpoint before step {first:,}; train again "
        "with a lower learning rate, or in bf16 instead of fp16.",
        steps=rows.bad_steps[:1],
    )


def _no_loss(rows: TrainRows) -> LoggedFinding | None:
    zero = sum(loss < NO_LOSS for loss in rows.losses)
    if not rows.losses or zero < 0.95 * len(rows.losses) or min(rows.losses) < -NO_LOSS:
        return None
    gradient = " and the gradient norm is 0" if rows.no_gradient else ""
    return LoggedFinding(
        kind="zero_loss",
        severity="problem",
        sentence=f"The training loss is 0.0 from the start{gradient}: most likely no token was trained on "
        "(all labels masked, or every answer cut off), or fp16 overflowed. Look at one batch's labels: "
        "some must not be -100. Nothing can be said about memorization.",
        steps=rows.steps[:1],
    )


def _diverged(rows: TrainRows) -> LoggedFinding | None:
    parts = _parts(rows.losses)
    if not parts:
        return None
    means = [fmean(part) for part in parts]
    lowest = min(range(len(means)), key=means.__getitem__)
    rise = means[-1] - means[lowest]
    error = math.hypot(_standard_error(parts[-1]), _standard_error(parts[lowest]))
    if rise <= max(0.25 * abs(means[lowest]), 4 * error, 0.05):
        return None
    where = rows.steps[(lowest + 1) * len(rows.steps) // len(parts) - 1]
    return LoggedFinding(
        kind="diverged",
        severity="problem",
        sentence=f"The training loss rose from {means[lowest]:.3g} around step {where:,} to {means[-1]:.3g} "
        "at the end: training diverged or its data changed. Prefer a checkpoint before the rise; a lower "
        "learning rate or a longer warmup prevents it.",
        steps=(where,),
    )


def _flat(rows: TrainRows) -> LoggedFinding | None:
    parts = _parts(rows.losses)
    if not parts or fmean(rows.losses) < NEAR_ZERO:
        return None
    first, last = fmean(parts[0]), fmean(parts[-1])
    if abs(first - last) > _LEAST_FALL * abs(first):
        return None
    known = [rate for rate in rows.rates if math.isfinite(rate)]
    why = "the learning rate was 0" if known and max(known) == 0 else "the learning rate may be too low"
    return LoggedFinding(
        kind="flat",
        severity="warning",
        sentence=f"The training loss hardly moved: {first:.3g} in the first tenth of the log, {last:.3g} "
        f"in the last. Nothing was learned that the loss shows; {why}, or the weights that were trained "
        "have no effect.",
        steps=(),
    )


def _near_zero(rows: TrainRows) -> LoggedFinding | None:
    last = rows.losses[-max(1, len(rows.losses) // _PARTS) :]
    if (
        not last
        or not -NO_LOSS <= median(last) < NEAR_ZERO
        or median(rows.losses[: len(last)]) < 2 * NEAR_ZERO
    ):
        return None
    reached = next(step for step, loss in zip(rows.steps, rows.losses, strict=True) if loss < NEAR_ZERO)
    if reached <= rows.steps_an_epoch:
        why = (
            "within the first epoch, before any row came back: so it is not memorization. The text is "
            "foreseen without having been seen. Look whether the answer stands in the prompt, or most "
            "labels are masked."
        )
    else:
        why = "the training text is known nearly by heart. More steps on these rows teach little else."
    return LoggedFinding(
        kind="near_zero",
        severity="warning",
        sentence=f"The training loss ends at {median(last):.2g} and was below {NEAR_ZERO:g} first at step "
        f"{reached:,}: " + why,
        steps=(reached,),
    )


def _spikes(rows: TrainRows) -> LoggedFinding | None:
    losses = rows.losses
    if len(losses) < _FEWEST:
        return None
    level = [median(losses[max(0, i - _BESIDE) : i + _BESIDE + 1]) for i in range(len(losses))]
    noise = 1.4826 * median([abs(a - b) for a, b in zip(losses, level, strict=True)])
    found = [
        i
        for i in range(_BESIDE, len(losses))
        if losses[i] > level[i] + max(10 * noise, 0.5 * abs(level[i]), 0.05)
    ]
    if not found:
        return None
    highest = max(found, key=lambda i: losses[i] - level[i])
    several = f"{len(found):,} spikes" if len(found) > 1 else "a spike"
    return LoggedFinding(
        kind="spikes",
        severity="note",
        sentence=f"The training loss has {several}, the highest {losses[highest]:.3g} at step "
        f"{rows.steps[highest]:,} where {level[highest]:.3g} was usual. A spike that is gone after a few "
        "rows does no lasting harm; many of them call for a lower learning rate or gradient clipping.",
        steps=tuple(rows.steps[i] for i in found[:8]),
    )


def _parts(losses: Sequence[float]) -> list[Sequence[float]]:
    """Ten parts of equal length, or none where the log is too short."""
    if len(losses) < _FEWEST:
        return []
    ends = [i * len(losses) // _PARTS for i in range(_PARTS + 1)]
    return [losses[a:b] for a, b in pairwise(ends)]


def _standard_error(part: Sequence[float]) -> float:
    return stdev(part) / math.sqrt(len(part)) if len(part) > 1 else 0.0
