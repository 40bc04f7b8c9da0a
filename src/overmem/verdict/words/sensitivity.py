"""Sentences on a verdict that hangs on few problems; from the record alone."""

from __future__ import annotations

import math

from overmem.formatting import certainty_text, percent
from overmem.records import Sensitivity, Verdict
from overmem.verdict.words.axes import INFLATED

MUCH = 0.25
"""Share of the excess NLL carried by the top 1% of the problems from which on it is said."""
RULE_OF_THREE = 3
"""A kind of problem that makes up 3 / n of all is missing from 5% of samples of n."""


def sensitivity_words(verdict: Verdict) -> str | None:
    """Which few problems decide, or carry much of the excess NLL; None where none do."""
    found = verdict.sensitivity
    if found is None:
        return None
    parts = [part for part in (_deciding(found), _carried(found, verdict)) if part]
    if not parts:
        return None
    rare = RULE_OF_THREE / found.n
    if rare >= 0.01:
        parts.append(
            f"With {found.n:,} problems, a kind that makes up less than {percent(rare, 0)} of all may be "
            "missing from them altogether, and no interval allows for that."
        )
    return " ".join(parts)


def _deciding(found: Sensitivity) -> str | None:
    if not found.decides or found.stage is None:
        return None
    names = " and ".join(f"`{name}`" for name in found.problems)
    many = len(found.problems)
    lead = f"One problem of {found.n:,} decides" if many == 1 else f"{many} problems of {found.n:,} decide"
    without = f"without {'problem' if many == 1 else 'problems'} {names}"
    sure = certainty_text(found.leaning, found.confidence)
    ship = f"{found.recommended} would be recommended" if found.recommended else "none would be recommended"
    row = "that row" if many == 1 else "those rows"
    return f"{lead}: {without} the stage would be {found.stage} ({sure}), and {ship}. Look at {row} first."


def _carried(found: Sensitivity, verdict: Verdict) -> str | None:
    inflated = verdict.stage in INFLATED or verdict.checkpoints[-1].leaning in INFLATED
    if not inflated or math.isnan(found.top_share) or found.top_share < MUCH:
        return None
    some = "One problem carries" if found.top_problems == 1 else f"{found.top_problems} problems carry"
    top = " (the top 1%)" if found.top_problems > 1 else ""
    return f"{some} {percent(found.top_share, 0)} of the excess NLL, of {found.n:,}{top}."
