"""How many problems would settle a stage, in words."""

from __future__ import annotations

from overmem.formatting import percent
from overmem.records import CheckpointSummary


def settle_text(summary: CheckpointSummary) -> str:
    """Say with how many problems a stage would be given, and with what chance; no full stop.

    Args:
        summary: of an undetermined checkpoint.

    Returns:
        Half a sentence; empty where nothing was imagined, as more problems are not what is missing.
    """
    even, likely, chance = (
        summary.problems_to_settle,
        summary.problems_to_settle_likely,
        summary.chance_to_settle,
    )
    if even is not None:
        text = f"a stage would be given with about {even:,} problems with a chance of 50%"
        return text if likely is None else f"{text}, with about {likely:,} with a chance of 80%"
    if chance is None:
        return ""
    return (
        f"even a hundred times as many problems would settle it with a chance of {percent(chance, 0)} only, "
        "as it lies close to a threshold of the rule"
    )
