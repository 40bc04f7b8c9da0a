"""Packing: whether a row of training was a block of several examples, and what that changes in a log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from overmem.logs.history import LoggedHistory, logged_number
from overmem.logs.kinds import LANGUAGE_MODELS, Task
from overmem.logs.series import PACKED, Series
from overmem.records.logged import LoggedFinding

_FEWEST = 6
"""Rows whose token counts are looked at."""
_MOSTLY = 0.5


def find_packing(history: LoggedHistory, series: Sequence[Series], task: Task) -> list[LoggedFinding]:
    """That rows were packed, and how to read the log then; of language models only, which alone are.

    Args:
        history: the log.
        series: its evaluations.
        task: what was trained.
    """
    if task.name not in (*LANGUAGE_MODELS, "unknown"):
        return []
    setting = next((name for name in PACKED if history.settings.get(name) is True), None)
    tokens = tokens_a_step(history) if setting is None else None
    if setting is not None:
        text = f"Rows were packed (`{setting}` in its arguments): each is a block of several examples"
    elif tokens is not None:
        text = (
            f"Most steps have exactly {tokens:,} tokens: rows were packed, or all have one length. "
            "If packed, each is a block of several examples"
        )
    else:
        return []
    epochs = max((logged_number(row.get("epoch")) or 0.0 for row in history.rows), default=0.0)
    if epochs:
        text += f", and the {history.end / epochs:,.0f} steps of an epoch count blocks"
    text += ". An epoch is still once through all examples: falls at its start mean the same."
    if series:
        text += (
            " Evaluation may be packed too: then it counts blocks, and an example that sees those before it "
            "in its block has another loss than alone."
        )
    return [LoggedFinding(kind="packing", severity="note", sentence=text)]


def tokens_a_step(history: LoggedHistory) -> int | None:
    """Tokens of a step where most steps have the same number of them; None where they differ.

    Rows of text differ in length, and so do batches of them; blocks that are filled to the last token do not.
    """
    counted = [
        (int(row["step"]), tokens)
        for row in history.rows
        if "loss" in row and (tokens := logged_number(row.get("num_tokens"))) is not None
    ]
    found = [
        (later - tokens) / (after - step)
        for (step, tokens), (after, later) in pairwise(counted)
        if after > step
    ]
    if len(found) < _FEWEST:
        return None
    most, times = Counter(found).most_common(1)[0]
    return int(most) if times > _MOSTLY * len(found) and most > 0 else None
