r"""Parts of the real line: intervals, and the inequalities that mean them.

`x > 3` is `(3,\infty)`, `-2 \le x < 7` is `[-2,7)`, `|x| > 1` is `(-\infty,-1) \cup (1,\infty)`. Ends stay
text, to be compared as any other answer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from overmem.grading.mathematics.names import has_letters, is_name
from overmem.grading.mathematics.numbers import read_number

_RELATION = re.compile(r"\\(?:le|ge|ne|in|notin|approx|subset|subseteq)(?![A-Za-z])|<|>|=")
_FLIPPED = {"<": ">", ">": "<", "\\le": "\\ge", "\\ge": "\\le", "\\ne": "\\ne"}


@dataclass(frozen=True)
class Interval:
    """A stretch of the real line; one point where both ends are the same text."""

    low: str
    low_closed: bool
    high: str
    high_closed: bool


@dataclass(frozen=True)
class Region:
    """Some intervals, and the variable that an inequality bounds to them."""

    intervals: tuple[Interval, ...]
    variable: str = ""


REAL_LINE = Interval("-\\infty", False, "\\infty", False)


def read_inequality(text: str) -> Region | None:
    r"""The values that an inequality leaves to one variable: `x > 3`, `-2 \le x < 7`, `x \ne 3`, `|x| < 2`.

    Args:
        text: as `latex.spell` writes it.

    Returns:
        None for other relations, such as those between expressions.
    """
    found = list(_RELATION.finditer(text))
    signs = [relation[0].strip() for relation in found]
    if not 1 <= len(signs) <= 2 or any(sign not in _FLIPPED for sign in signs):
        return None
    starts, ends = [0, *(r.end() for r in found)], [*(r.start() for r in found), len(text)]
    sides = [text[start:end].strip() for start, end in zip(starts, ends, strict=True)]
    if (len(sides) == 2 and not is_name(sides[0])) or (len(sides) == 3 and signs[0] in (">", "\\ge")):
        sides, signs = sides[::-1], [_FLIPPED[sign] for sign in signs[::-1]]
    variable = sides[0] if len(sides) == 2 else sides[1]
    bounds = sides[1:] if len(sides) == 2 else [sides[0], sides[2]]
    if not is_name(variable) or any(has_letters(bound) or not bound for bound in bounds):
        return None
    if len(sides) == 2:
        intervals = _half_line(signs[0], bounds[0])
    elif all(sign in ("<", "\\le") for sign in signs):
        intervals = (Interval(bounds[0], signs[0] == "\\le", bounds[1], signs[1] == "\\le"),)
    else:
        return None
    size = re.fullmatch(r"\|\s*(.+?)\s*\|", variable)
    return Region(_of_size(intervals), size[1]) if size else Region(intervals, variable)


def read_inequalities(parts: Sequence[str], either: bool) -> Region | None:
    """Several inequalities of one variable; None where they are none.

    Args:
        parts: one inequality each.
        either: they are joined by `or`; else they hold at once, unless they exclude each other.
    """
    regions = [read_inequality(part) for part in parts]
    known = [region for region in regions if region is not None]
    if len(known) != len(parts) or len({region.variable for region in known}) != 1:
        return None
    intervals = tuple(interval for region in known for interval in region.intervals)
    if not either and len(intervals) == 2:
        lower = [interval for interval in intervals if interval.high == "\\infty"]
        upper = [interval for interval in intervals if interval.low == "-\\infty"]
        if len(lower) == len(upper) == 1 and _is_below(lower[0].low, upper[0].high):
            intervals = (Interval(lower[0].low, lower[0].low_closed, upper[0].high, upper[0].high_closed),)
    return Region(intervals, known[0].variable)


def all_but(points: Sequence[str]) -> tuple[Interval, ...] | None:
    """The real line without some points, which have to be numbers where they are several."""
    if len(points) > 1:
        values = [read_number(point) for point in points]
        known = [value.value for value in values if value is not None]
        if len(known) != len(points):
            return None
        points = [point for _, point in sorted(zip(known, points, strict=True))]
    ends = ["-\\infty", *points, "\\infty"]
    return tuple(Interval(low, False, high, False) for low, high in pairwise(ends))


def _half_line(sign: str, end: str) -> tuple[Interval, ...]:
    if sign == "\\ne":
        return all_but([end]) or ()
    if sign in ("<", "\\le"):
        return (Interval("-\\infty", False, end, sign == "\\le"),)
    return (Interval(end, sign == "\\ge", "\\infty", False),)


def _of_size(intervals: tuple[Interval, ...]) -> tuple[Interval, ...]:
    """Where a variable lies whose absolute value lies in some intervals."""
    found: list[Interval] = []
    for interval in intervals:
        if interval.low == "-\\infty":
            found.append(
                Interval(_minus(interval.high), interval.high_closed, interval.high, interval.high_closed)
            )
        else:
            found += [
                Interval(
                    _minus(interval.high), interval.high_closed, _minus(interval.low), interval.low_closed
                ),
                interval,
            ]
    return tuple(found)


def _minus(text: str) -> str:
    return (
        f"-{text}"
        if re.fullmatch(r"[\w.]+|\\infty|\\(?:frac\{[^{}]*\}\{[^{}]*\}|sqrt\{[^{}]*\})", text)
        else f"-({text})"
    )


def _is_below(left: str, right: str) -> bool:
    low, high = read_number(left), read_number(right)
    return low is not None and high is not None and low.value < high.value
