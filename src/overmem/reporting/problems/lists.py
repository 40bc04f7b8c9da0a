"""What a reader can choose in a list: two models, which rows to show, and in which order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from overmem.records import Verdict
from overmem.reporting.problems.training_rows import TrainingRows
from overmem.reporting.problems.val_problems import ValProblems

Choices = list[tuple[str, str]]


def val_part(found: ValProblems, verdict: Verdict) -> dict[str, Any]:
    """The list of val problems as the template shows it; `before` and `after` are places in `models`."""
    graded = [
        ("lost", "right, then wrong"),
        ("gained", "wrong, then right"),
        ("wrong", "wrong at both"),
        ("right", "right at both"),
    ]
    shows: Choices = [("all", "all problems"), *(graded if found.graded else [])]
    shows.append(("verbatim", "answered word for word as the reference"))
    if found.n_left_out:
        shows.append(("out", "left out: in the training data"))
    orders = [
        ("file", "as in the data"),
        ("loss", "highest NLL first"),
        ("rise", "largest rise of NLL first"),
    ]
    return {**_shown(found, verdict), "shows": shows, "orders": orders, "grouped": found.grouped}


def training_part(found: TrainingRows, verdict: Verdict) -> dict[str, Any]:
    """The list of training rows as the template shows it; `before` and `after` are places in `models`."""
    shows: Choices = [
        ("all", "all rows"),
        ("verbatim", "written word for word"),
        ("became", "became word for word"),
    ]
    if found.ranked:
        shows.insert(1, ("memorized", "memorized (over 0)"))
    order = ("file", "most memorized first") if found.ranked else ("file", "most written first")
    orders = [order, *([("loss", "lowest NLL first")] if found.ranked else [])]
    return {**_shown(found, verdict), "shows": shows, "orders": orders}


def _shown(found: ValProblems | TrainingRows, verdict: Verdict) -> dict[str, Any]:
    before, after = first_pair(found.models, verdict)
    return {**vars(found), "before": before, "after": after}


def first_pair(models: Sequence[str], verdict: Verdict) -> tuple[int, int]:
    """The places of the two models to compare at first: what one would ship, and the last.

    Where they are one, or nothing is shipped, the first stands beside the last.
    """
    last = len(models) - 1
    shipped = verdict.recommended.name if verdict.recommended is not None else None
    lowest = verdict.alternatives.get("lowest_perplexity")
    for name in (shipped, lowest):
        if name in models and models.index(name) != last:
            return models.index(name), last
    return 0, last
