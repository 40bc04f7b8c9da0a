"""The checkpoints that the rule compares with: the peak of accuracy and the lowest NLL."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from overmem.records import CheckpointSummary


def place(summary: CheckpointSummary) -> str:
    """A checkpoint by its name, with its step where the name does not say it."""
    named = re.search(rf"(?<!\d){summary.step}(?!\d)", summary.name)
    return summary.name if named else f"{summary.name} (step {summary.step})"


def peak_accuracy(checkpoints: Sequence[CheckpointSummary]) -> CheckpointSummary | None:
    """The checkpoint with the highest measured accuracy, the earliest of equals; None when unmeasured."""
    measured = [summary for summary in checkpoints if math.isfinite(summary.accuracy.value)]
    return max(measured, key=lambda summary: summary.accuracy.value, default=None)


def lowest_nll(checkpoints: Sequence[CheckpointSummary]) -> CheckpointSummary | None:
    """The checkpoint with the lowest measured NLL, the earliest of equals; None when unmeasured."""
    measured = [summary for summary in checkpoints if math.isfinite(summary.nll_nats.value)]
    return min(measured, key=lambda summary: summary.nll_nats.value, default=None)
