"""Cut sequences of many lengths into batches that waste little padding."""

from __future__ import annotations

from collections.abc import Sequence


def plan_batches(lengths: Sequence[int], budget: int, max_rows: int = 256) -> list[list[int]]:
    """Length-sorted batches whose padded size stays within a token budget.

    Sorting puts equal lengths together, so padding is small; longest first, so that running out of
    memory happens at once or not at all.

    Args:
        lengths: tokens of each sequence.
        budget: most tokens of a batch, padding included; a longer sequence gets a batch of its own.
        max_rows: most sequences of a batch.

    Returns:
        Batches of indices into `lengths`; every index occurs once.
    """
    order = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    batches: list[list[int]] = []
    for index in order:
        if batches:
            longest = lengths[batches[-1][0]]
            if (len(batches[-1]) + 1) * longest <= budget and len(batches[-1]) < max_rows:
                batches[-1].append(index)
                continue
        batches.append([index])
    return batches
