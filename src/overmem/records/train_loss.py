"""What a log of training losses says without any evaluation: findings, and the gap to unseen text."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class TrainLossFinding:
    """One thing that the training loss shows."""

    kind: str
    severity: Literal["problem", "warning", "note"]
    sentence: str
    steps: tuple[int, ...] = ()
    """Where in the log, at most eight steps."""


@dataclass(frozen=True, kw_only=True)
class TrainLossReading:
    """What the training loss of one run says without evaluation."""

    findings: tuple[TrainLossFinding, ...]
    """Problems first; then the staircase, the gap, one more epoch, and what to log next time."""
    gap_nats: float = math.nan
    """Loss on unseen text less that on training text at the end of the log; NaN where it cannot be told."""
    gap_low: float = math.nan
    """Lower end of its 90% interval; 0 where the gap is not told apart from 0."""
    gap_high: float = math.nan
    gap_reason: str | None = None
    """Why it cannot be told."""
    next_epoch_fall: float = math.nan
    """What the training loss would fall in one more epoch."""
    next_epoch_memorized: float = math.nan
    """Of that, by memorization."""
    boundary_falls: tuple[float, ...] = ()
    """What the training loss falls at each epoch boundary, in nats."""
