r"""The structure of an answer: one value, several, a tuple, a set, an interval, a matrix, an equation.

What an answer is decides how it is compared: several values in any order, a tuple in its own; an interval is
not the set of its ends. Works on text as `latex.spell` writes it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from overmem.grading.quantities import read_number

MAX_PARTS = 60
"""Parts of one answer that are compared one by one."""

_OPENING, _CLOSING = "([{", ")]}"
_THOUSANDS = re.compile(r"[-+]?\s*[$€£]?\s*[1-9][0-9]{0,2}(?:,[0-9]{3})+(?:\.[0-9]+)?(?![0-9])[^,;0-9]*")
_RELATION = re.compile(r"\\(?:le|ge|ne|in|notin|approx|subset|subseteq)(?![A-Za-z])|<|>|=")
_NAME = (
    r"(?:[a-zA-Z](?:_(?:\{[^{}]*\}|\w))?'*|\\(?!frac|sqrt|pi|infty|text|begin|log|ln|sin|cos|tan)[a-zA-Z]+(?:_(?:\{[^{}]*\}|\w))?"
    r"|\\text\{[^{}]*\}(?:_(?:\{[^{}]*\}|\w))?)"
)
_NAMED = re.compile(
    rf"\s*(?:m?\\angle\s*[A-Z]+|\|?\s*\\?[A-Z]{{1,3}}\s*\|?|{_NAME}\s*(?:\(\s*[^()=]*\s*\))?|\|\s*{_NAME}\s*\|"
    rf"|\\(?:overline|overrightarrow|vec|hat|bar|tilde|mathbf|mathcal)\{{[^{{}}]*\}}|[A-Za-z][a-z]+(?: [A-Za-z]+){{0,3}}"
    rf"|\\frac\{{(?:[A-Z]{{2}}|d[a-z]?)\}}\{{(?:[A-Z]{{2}}|d[a-z])\}}|[a-z]{{2,3}}"
    r"|[A-Z](?:_(?:\{\w+\}|\w))?\s*:\s*[A-Z](?:_(?:\{\w+\}|\w))?)\s*"
)
_TUPLE_OF_NAMES = re.compile(rf"\s*\(\s*{_NAME}(?:\s*,\s*{_NAME})+\s*\)\s*")
_MATRIX = re.compile(
    r"\\begin\{(?P<kind>[pbBvV]?matrix|array|smallmatrix)\}(?:\{[lcr| ]*\})?(?P<body>.*)\\end\{(?P=kind)\}",
    re.S,
)
_REALS = re.compile(
    r"\\mathbb\{?R\}?|all real(?: number)?s?(?: numbers)?|\\text\{\s*all real(?: number)?s?\s*\}", re.I
)

Kind = Literal["value", "list", "tuple", "set", "matrix", "equation", "region"]


@dataclass(frozen=True)
class Interval:
    """A stretch of the real line; one point where both ends are the same text."""

    low: str
    low_closed: bool
    high: str
    high_closed: bool


@dataclass(frozen=True)
class Structure:
    """An answer in its parts."""

    kind: Kind
    text: str
    """All of it."""
    parts: tuple[str, ...] = ()
    """Of a list, tuple or set; the two sides of an equation; the entries of a matrix by rows."""
    brackets: str = ""
    """Around a tuple."""
    columns: int = 0
    """Of a matrix."""
    intervals: tuple[Interval, ...] | None = None
    """Of what may be read as a part of the real line: a tuple of two as an open interval, too."""
    variable: str = ""
    """That an inequality bounds."""


def read_structure(text: str) -> Structure:
    """Part one answer.

    Args:
        text: as `latex.spell` writes it.
    """
    text = _without_membership(text.strip())
    if re.fullmatch(r"[\[\]][^\[\]]*[\[\]]", text) and (text[0] == "]" or text[-1] == "["):  # ]0,1]
        text = {"]": "(", "[": "["}[text[0]] + text[1:-1] + {"[": ")", "]": "]"}[text[-1]]
    if _REALS.fullmatch(text):
        return Structure("region", text, intervals=(Interval("-\\infty", False, "\\infty", False),))
    if (pieces := split(text, "\\cup")) and len(pieces) > 1:
        found = [_intervals_of(piece) for piece in pieces]
        known = tuple(interval for some in found if some for interval in some)
        return Structure("region", text, intervals=known if all(found) else None)
    if (
        without := re.fullmatch(r"(.+?)\s*(?:\\setminus|\\backslash|\\smallsetminus)\s*\\\{(.*)\\\}", text)
    ) and _REALS.fullmatch(without[1].strip()):
        return Structure("region", text, intervals=_all_but(split(without[2], ",")))
    if "\\pm" in text and len(text) <= 200 and not re.search(r"\\pm\s*\Z", text):
        both = _plus_and_minus(text)
        if both != [text]:
            return Structure("list", text, tuple(both))
    parts = [] if _THOUSANDS.fullmatch(text) else _listed(text)
    if len(parts) > 1:
        bounds = _bounded(parts, re.search(r"(?<![A-Za-z\\])or(?![A-Za-z])", text) is not None)
        return bounds or Structure("list", text, tuple(parts))
    return _read_single(text)


def _read_single(text: str) -> Structure:
    if (matrix := _MATRIX.fullmatch(_unbracketed(text))) and matrix["kind"] not in ("vmatrix", "Vmatrix"):
        rows = [row.split("&") for row in re.split(r"\\\\|\\cr", matrix["body"]) if row.strip()]
        if rows and len({len(row) for row in rows}) == 1:
            entries = tuple(entry.strip() for row in rows for entry in row)
            return Structure("matrix", text, entries, columns=len(rows[0]))
    if (group := _group(text)) is not None:
        return group
    if (bound := _bound(text)) is not None:
        return bound
    sides = split(text, "=")
    if len(sides) > 1 and all(sides):
        return _read_equation(text, sides)
    return Structure("value", text)


def _read_equation(text: str, sides: list[str]) -> Structure:
    first, last = sides[0], sides[-1]
    if len(sides) == 2 and read_number(first) is not None and _NAMED.fullmatch(last):
        first, last = last, first
    return Structure("equation", text, (first, last))


def is_name(text: str) -> bool:
    """Whether the left side of an equation only names what the right side is the value of."""
    return bool(_NAMED.fullmatch(text) or _TUPLE_OF_NAMES.fullmatch(text))


def split(text: str, separator: str) -> list[str]:
    """The parts of a text between separators that stand outside all brackets."""
    parts, depth, start, position = [], 0, 0, 0
    while position < len(text):
        character = text[position]
        depth += (character in _OPENING) - (character in _CLOSING)
        if depth <= 0 and text.startswith(separator, position) and not _glued(text, position, separator):
            parts.append(text[start:position].strip())
            position += len(separator)
            start = position
            continue
        position += 1
    return [*parts, text[start:].strip()]


def _glued(text: str, position: int, separator: str) -> bool:
    """Whether what looks like a separator is part of a longer word or command."""
    after = text[position + len(separator) : position + len(separator) + 1]
    return separator[-1].isalpha() and after.isalpha()


def _listed(text: str) -> list[str]:
    """The parts of a list: commas, semicolons, `and` and `or` outside brackets.

    Where semicolons part groups of several, each group is a tuple: `p=5, q=2; p=7, q=2`.
    """
    groups = split(text, ";")
    if 1 < len(groups) <= MAX_PARTS and all(
        len(split(group, ",")) > 1 and "(" not in group for group in groups
    ):
        return [f"({group})" for group in groups]
    text = re.sub(
        r"(?<![A-Za-z\\])(?:and|or|und|oder)(?![A-Za-z])|(?:\\text\{\s*,?\s*(?:and|or)\s*\})|\\(?:lor|vee|land|wedge)(?![A-Za-z])",
        ";",
        text,
    )
    parts = [part for piece in split(text, ";") for part in split(piece, ",")]
    parts = [part for part in parts if part]
    return parts if 1 < len(parts) <= MAX_PARTS else []


def _plus_and_minus(text: str) -> list[str]:
    r"""Both values of every part that has a `\pm`, in the brackets of a set if it has them."""
    inner = text[2:-2] if text.startswith("\\{") and text.endswith("\\}") else text
    values = []
    for part in _listed(inner) or [inner]:
        if "\\pm" in part:
            values += [
                re.sub(r"\\mp(?![a-z])", other, re.sub(r"\\pm(?![a-z])", sign, part))
                .strip()
                .removeprefix("+")
                .strip()
                for sign, other in (("+", "-"), ("-", "+"))
            ]
        else:
            values.append(part)
    return list(dict.fromkeys(values))


def _unbracketed(text: str) -> str:
    """Without round or square brackets around all of it."""
    text = text.strip()
    around = text[:1] + text[-1:] in ("()", "[]") and _is_whole(text, 1, 1)
    return text[1:-1].strip() if around else text


def _group(text: str) -> Structure | None:
    r"""A tuple, set or interval: `(1,2)`, `\{1,2\}`, `[0,1)`, `]0,1[`, `\langle 1,2 \rangle`."""
    for left, right, kind in (("\\{", "\\}", "set"), ("\\langle", "\\rangle", "tuple"), ("{", "}", "list")):
        if text.startswith(left) and text.endswith(right) and _is_whole(text, len(left), len(right)):
            inner = text[len(left) : len(text) - len(right)].strip()
            parts = tuple(_listed(inner)) or ((inner,) if inner else ())
            if kind == "set":
                return Structure(
                    "set", text, parts, intervals=tuple(Interval(p, True, p, True) for p in parts) or None
                )
            return Structure("tuple" if kind == "tuple" else "list", text, parts, "()")
    if text[:1] in ("(", "[") and text[-1:] in (")", "]") and _is_whole(text, 1, 1):
        parts = tuple(_listed(text[1:-1]))
        brackets = text[0] + text[-1]
        if len(parts) > 1:
            ends = (
                (Interval(parts[0], text[0] == "[", parts[1], text[-1] == "]"),) if len(parts) == 2 else None
            )
            return Structure("tuple", text, parts, brackets, intervals=ends)
        if brackets == "()" and text[1:-1].strip():
            return read_structure(text[1:-1])
    return None


def _is_whole(text: str, left: int, right: int) -> bool:
    """Whether the bracket that a text begins with is closed by the one that it ends with."""
    depth = 0
    for position in range(left, len(text) - right):
        depth += (text[position] in _OPENING) - (text[position] in _CLOSING)
        if depth < 0:
            return False
    return depth == 0


def _without_membership(text: str) -> str:
    r"""The set after `x \in`, or after the name of a set: `D = (0, 1)`."""
    text = re.sub(
        rf"\A\s*(?:\\text\{{[^{{}}]*\}}\s*)?(?:{_NAME}|\(\s*{_NAME}(?:\s*,\s*{_NAME})+\s*\))(?:\([a-z]\))?\s*\\in(?![A-Za-z])\s*",
        "",
        text,
    )
    return re.sub(r"\A\s*(?:for|where|when|if)\s+", "", text)


def _bound(text: str) -> Structure | None:
    r"""An inequality that bounds one variable by values: `x > 3`, `-2 \le x < 7`, `x \ne 3`."""
    relations = [(found.start(), found.end(), found[0].strip()) for found in _RELATION.finditer(text)]
    if not relations or any(sign not in ("<", ">", "\\le", "\\ge", "\\ne") for _, _, sign in relations):
        return None
    starts = [0, *(end for _, end, _ in relations)]
    ends = [*(start for start, _, _ in relations), len(text)]
    sides = [text[start:end].strip() for start, end in zip(starts, ends, strict=True)]
    signs = [sign for _, _, sign in relations]
    if len(sides) == 2 and _NAMED.fullmatch(sides[1]) and not _NAMED.fullmatch(sides[0]):
        flipped = {"<": ">", ">": "<", "\\le": "\\ge", "\\ge": "\\le", "\\ne": "\\ne"}
        sides, signs = sides[::-1], [flipped[signs[0]]]
    if len(sides) == 2 and _NAMED.fullmatch(sides[0]) and not _has_letters(sides[1]):
        return Structure("region", text, intervals=_half_line(signs[0], sides[1]), variable=sides[0])
    if len(sides) == 3 and _NAMED.fullmatch(sides[1]) and not _has_letters(sides[0] + sides[2]):
        if all(sign in (">", "\\ge") for sign in signs):
            sides, signs = sides[::-1], [{">": "<", "\\ge": "\\le"}[sign] for sign in signs[::-1]]
        if all(sign in ("<", "\\le") for sign in signs):
            interval = Interval(sides[0], signs[0] == "\\le", sides[2], signs[1] == "\\le")
            return Structure("region", text, intervals=(interval,), variable=sides[1])
    return None


def _half_line(sign: str, end: str) -> tuple[Interval, ...] | None:
    if sign == "\\ne":
        return _all_but([end])
    if sign in ("<", "\\le"):
        return (Interval("-\\infty", False, end, sign == "\\le"),)
    return (Interval(end, sign == "\\ge", "\\infty", False),)


def _all_but(points: list[str]) -> tuple[Interval, ...] | None:
    """The real line without some points, which have to be numbers where they are several."""
    if len(points) > 1:
        values = [read_number(point) for point in points]
        if any(value is None for value in values):
            return None
        points = [
            point for _, point in sorted(zip((value.value for value in values if value), points, strict=True))
        ]
    ends = ["-\\infty", *points, "\\infty"]
    return tuple(Interval(low, False, high, False) for low, high in zip(ends, ends[1:], strict=False))


def _has_letters(text: str) -> bool:
    return re.search(r"(?<![\\A-Za-z])[a-zA-Z]", re.sub(r"\\text\{[^{}]*\}", "", text)) is not None


def _bounded(parts: list[str], either: bool) -> Structure | None:
    """Several inequalities of one variable: a union where they say `or` or exclude each other, else both at once."""
    bounds = [_bound(part) for part in parts]
    known = [bound for bound in bounds if bound is not None and bound.intervals]
    if len(known) != len(parts) or len({bound.variable for bound in known}) != 1:
        return None
    intervals = tuple(interval for bound in known for interval in bound.intervals or ())
    if not either and len(intervals) == 2:
        lower = [interval for interval in intervals if interval.high == "\\infty"]
        upper = [interval for interval in intervals if interval.low == "-\\infty"]
        if len(lower) == len(upper) == 1:
            low, high = read_number(lower[0].low), read_number(upper[0].high)
            if low is not None and high is not None and low.value < high.value:
                both = Interval(lower[0].low, lower[0].low_closed, upper[0].high, upper[0].high_closed)
                intervals = (both,)
    return Structure("region", ",".join(parts), intervals=intervals, variable=known[0].variable)


def _intervals_of(text: str) -> tuple[Interval, ...] | None:
    found = read_structure(text)
    return found.intervals
