"""Few problems for many checkpoints: where confidences were found to be too high."""

from __future__ import annotations

FEW_PROBLEMS = 150
"""Fewer problems, or groups of them, are few for `MANY_CHECKPOINTS` or more. Measured in docs/calibration.md:
with 100 of them confidences were too high on most kinds of curves."""
MANY_CHECKPOINTS = 12


def few_problems_note(units: int, checkpoints: int) -> tuple[str, ...]:
    """One sentence where stages are wrong more often than their confidence says, else none.

    Args:
        units: independent problems, or groups of them, that the stages rest on.
        checkpoints: how many are judged.
    """
    if units >= FEW_PROBLEMS or checkpoints < MANY_CHECKPOINTS:
        return ()
    return (
        f"{units} independent problems are few for {checkpoints} checkpoints: confidences are too high here. "
        "In simulated runs with 100 problems, four stages were wrong where confidence said three. Measure at "
        "least 400 problems, or fewer checkpoints.",
    )
