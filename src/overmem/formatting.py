"""How a figure is spoken, the same in the words, the report and the terminal.

An undefined figure is called undefined; a confidence never claims certainty.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from overmem.records import Estimate

DASH, MINUS, TIMES = "\u2013", "\u2212", "\u00d7"  # as escapes: they look like -, - and x


def percent(share: float, digits: int = 1) -> str:
    """A share in [0, 1] as a percentage."""
    return f"{100 * share:.{digits}f}%"


def confidence_text(confidence: float | None) -> str:
    """A confidence as a whole percentage that never claims certainty; `none` when there is none."""
    if confidence is None or not math.isfinite(confidence):
        return "none"
    if confidence > 0.99:
        return "over 99%"
    return "under 1%" if confidence < 0.01 else percent(confidence, 0)


def accuracy_text(estimate: Estimate, dash: str = " to ") -> str:
    """An accuracy in percent with its 95% interval, or `undefined`."""
    if not math.isfinite(estimate.value):
        return "undefined"
    interval = f" ({100 * estimate.low:.1f}{dash}{100 * estimate.high:.1f})" if has_interval(estimate) else ""
    return percent(estimate.value) + interval


def figure_text(estimate: Estimate, digits: int = 2, dash: str = " to ") -> str:
    """A perplexity or NLL with its 95% interval, or `undefined`."""
    if not math.isfinite(estimate.value):
        return "undefined"
    low, high = number(estimate.low, digits), number(estimate.high, digits)
    return number(estimate.value, digits) + (f" ({low}{dash}{high})" if has_interval(estimate) else "")


def has_interval(estimate: Estimate) -> bool:
    """Whether both ends of the interval are known."""
    return math.isfinite(estimate.low) and math.isfinite(estimate.high)


def number(value: float, digits: int = 2) -> str:
    """A plain number; fewer digits from 100 on, powers of ten from 100,000 on."""
    return f"{value:.3g}" if abs(value) >= 1e5 else f"{value:.{digits if abs(value) < 100 else 1}f}"


def points_text(share: float) -> str:
    """A difference of shares in percentage points."""
    points = f"{100 * share:.3g}"
    return f"{points} point" if points == "1" else f"{points} points"


def until_decided_text(stopping: Mapping[str, Any]) -> str:
    """What an audit that stops once it is decided left out, from the manifest's `until_decided`."""
    n, n_all = stopping["problems"], stopping["of"]
    if not stopping["decided"]:
        return f"not decided before all {n_all:,} problems were measured: none was skipped"
    chance = confidence_text(stopping["looks"][-1]["chance_of_change"])
    return (
        f"decided after {n:,} of {n_all:,} problems: the other {n_all - n:,} were skipped, which saved "
        f"{percent(1 - n / n_all, 0)} of the answers; the chance that they would have changed a stage is "
        f"{chance} (at most {percent(stopping['most_chance'], 0)} is allowed); run `overmem audit` again "
        "without --until-decided to measure them too"
    )


def base_left_out_text(why: str) -> str:
    """That privacy has no figures against the base model, from the manifest's `base_left_out`."""
    return f"privacy was measured without the base model, which cannot score the problems: {why}"


def sentence(text: str | None) -> str:
    """A text with its full stop."""
    text = (text or "").strip()
    return text if not text or text[-1] in ".!?" else f"{text}."
