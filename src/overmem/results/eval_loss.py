"""What training logged of each checkpoint's loss, as a stated stand-in for likelihoods that nobody measured.

The only place of this package that knows how a training log is read.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from pathlib import Path

from overmem.errors import OvermemError
from overmem.verdict.logged import read_logged


def logged_losses(run: Path, names: Collection[str]) -> dict[str, float]:
    """The logged cross entropy of checkpoints on disk, nats a token; those without one are left out.

    Args:
        run: the run's folder; one without a log has none.
        names: of the checkpoints.
    """
    try:
        verdict = read_logged(run)
    except OvermemError:
        return {}
    found = {item.name: item.nll_nats.value for item in verdict.checkpoints if item.name in names}
    return {name: loss for name, loss in found.items() if math.isfinite(loss) and loss > 0}
