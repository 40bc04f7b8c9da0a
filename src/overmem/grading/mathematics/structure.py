r"""The structure of an answer: one value, several, a tuple, a set, an interval, a matrix, an equation.

What an answer is decides how it is compared: several values in any order, a tuple in its own; an interval is
not the set of its ends. Works on text as `latex.spell` writes it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from overmem.grading.mathematics.names import NAME, is_name, is_whole, split
from overmem.grading.mathematics.numbers import read_number
from overmem.grading.mathematics.regions import (
    REAL_LINE,
    Interval,
    all_but,
    read_inequalities,
    read_inequality,
)

MAX_PARTS = 60
"""Parts of one answer that are compared one by one."""

_THOUSANDS = re.compile(r"[-+]?\s*[$€£]?\s*[1-9][0-9]{0,2}(?:,[0-9]{3})+(?:\.[0-9]+)?(?![0-9])[^,;0-9]*")
_MATRIX = re.compile(
    r"\\begin\{(?P<kind>[pbB]?matrix|array|smallmatrix)\}(?:\{[lcr| ]*\})?(?P<body>.*)\\end\{(?P=kind)\}",
    re.DOTALL,
)
_REALS = re.compile(
    r"\\mathbb\{?R\}?|(?:the )?(?:set of )?(?:all )?real(?: number)?s?(?: numbers)?"
    r"|\\text\{\s*(?:all )?real(?: number)?s?\s*\}",
    re.IGNORECASE,
)
_MEMBER = re.compile(
    rf"\s*(?:\\text\{{[^{{}}]*\}}\s*)?(?:{NAME}|\(\s*{NAME}(?:\s*,\s*{NAME})+\s*\))(?:\([a-z]\))?\s*\\in(?![A-Za-z])\s*"
)
_AND_OR = re.compile(
    r"(?<![A-Za-z\\])(?:and|or|und|oder)(?![A-Za-z])|\\text\{\s*,?\s*(?:and|or)\s*\}"
    r"|\\(?:lor|vee|land|wedge)(?![A-Za-z])"
)
_EITHER = re.compile(r"(?<![A-Za-z\\])or(?![A-Za-z])|\\(?:lor|vee)(?![A-Za-z])")
_WITHOUT = re.compile(r"(.+?)\s*(?:\\setminus|\\backslash|\\smallsetminus)\s*\\\{(.*)\\\}")

_SUCH_THAT = re.compile(rf"{NAME}\s*(?:\\in\s*\\mathbb\{{?R\}}?\s*)?(?:\||:|\\colon)\s*")
"""Before the condition of a set: `x \\mid`."""

Kind = Literal["value", "list", "tuple", "set", "matrix", "equation", "region"]


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

    @property
    def is_interval(self) -> bool:
        """Whether a tuple of two can only be an interval: by its brackets, or an infinite end."""
        return (
            self.kind == "tuple"
            and len(self.parts) == 2
            and (self.brackets != "()" or any("\\infty" in part for part in self.parts))
        )


def read_structure(text: str) -> Structure:
    """Part one answer.

    Args:
        text: as `latex.spell` writes it.
    """
    text = re.sub(
        r"\A\s*(?:for|where|when|if)\s+",
        "",
        _MEMBER.sub("", text.strip(), count=1) if _MEMBER.match(text) else text.strip(),
    )
    if re.fullmatch(r"[\[\]][^\[\]]*[\[\]]", text) and (text[0] == "]" or text[-1] == "["):  # ]0,1]
        text = {"]": "(", "[": "["}[text[0]] + text[1:-1] + {"[": ")", "]": "]"}[text[-1]]
    return _read_region(text) or _read_several(text) or _read_single(text)


def _read_region(text: str) -> Structure | None:
    r"""The real line, unions, and a set without some points."""
    if _REALS.fullmatch(text):
        return Structure("region", text, intervals=(REAL_LINE,))
    if len(pieces := split(text, "\\cup")) > 1:
        found = [read_structure(piece).intervals for piece in pieces]
        known = tuple(interval for some in found if some for interval in some)
        return Structure("region", text, intervals=known if all(found) else None)
    if (without := _WITHOUT.fullmatch(text)) and _REALS.fullmatch(without[1].strip()):
        return Structure("region", text, intervals=all_but(split(without[2], ",")))
    return None


def _read_several(text: str) -> Structure | None:
    r"""Several values, also those of a `\pm`, and inequalities that are joined."""
    if "\\pm" in text and (both := _plus_and_minus(text)) != [text]:
        return Structure("list", text, tuple(both))
    parts = [] if _THOUSANDS.fullmatch(text) else _listed(text)
    if len(parts) < 2:
        return None
    if region := read_inequalities(parts, either=_EITHER.search(text) is not None):
        return Structure("region", text, intervals=region.intervals, variable=region.variable)
    return Structure("list", text, tuple(parts))


def _read_single(text: str) -> Structure:
    return (
        _read_matrix(text)
        or _read_group(text)
        or _read_inequality(text)
        or _read_equation(text)
        or Structure("value", text)
    )


def _read_matrix(text: str) -> Structure | None:
    """Entries by rows; a determinant is a value."""
    text = text.strip()
    around = text[:1] + text[-1:] in ("()", "[]") and is_whole(text, 1, 1)
    matrix = _MATRIX.fullmatch(text[1:-1].strip() if around else text)
    if matrix is None or "\\begin" in matrix["body"]:
        return None
    rows = [row.split("&") for row in re.split(r"\\\\|\\cr", matrix["body"]) if row.strip()]
    if not rows or len({len(row) for row in rows}) != 1:
        return None
    entries = tuple(entry.strip() for row in rows for entry in row)
    return Structure("matrix", text, entries, columns=len(rows[0]))


def _read_group(text: str) -> Structure | None:
    r"""A tuple, set or interval: `(1,2)`, `\{1,2\}`, `[0,1)`, `\{x | x > 3\}`."""
    for left, right in (("\\{", "\\}"), ("{", "}")):
        if text.startswith(left) and text.endswith(right) and is_whole(text, len(left), len(right)):
            inner = text[len(left) : len(text) - len(right)].strip()
            if left == "\\{" and (such := _SUCH_THAT.match(inner)):
                return read_structure(inner[such.end() :])
            parts = tuple(_listed(inner)) or ((inner,) if inner else ())
            if left == "\\{":
                points = tuple(Interval(part, True, part, True) for part in parts)
                return Structure("set", text, parts, intervals=points or None)
            return Structure("list", text, parts)
    if text[:1] not in ("(", "[") or text[-1:] not in (")", "]") or not is_whole(text, 1, 1):
        return None
    brackets, parts = text[0] + text[-1], tuple(_listed(text[1:-1]))
    if len(parts) == 2:
        ends = (Interval(parts[0], text[0] == "[", parts[1], text[-1] == "]"),)
        return Structure("tuple", text, parts, brackets, intervals=ends)
    if len(parts) > 2:
        return Structure("tuple", text, parts, brackets)
    return read_structure(text[1:-1]) if brackets == "()" and text[1:-1].strip() else None


def _read_inequality(text: str) -> Structure | None:
    region = read_inequality(text)
    if region is None:
        return None
    return Structure("region", text, intervals=region.intervals, variable=region.variable)


def _read_equation(text: str) -> Structure | None:
    """The first and the last side; a name comes first, also in `5 = x`."""
    sides = split(text, "=")
    if len(sides) < 2 or not all(sides):
        return None
    first, last = sides[0], sides[-1]
    if len(sides) == 2 and read_number(first) is not None and is_name(last):
        first, last = last, first
    return Structure("equation", text, (first, last))


def _listed(text: str) -> list[str]:
    """The parts of a list: commas, semicolons, `and` and `or` outside brackets.

    Where semicolons part groups of several, each group is a tuple: `p=5, q=2; p=7, q=2`.
    """
    groups = split(text, ";")
    several = [len(split(group, ",")) > 1 and "(" not in group for group in groups]
    if 1 < len(groups) <= MAX_PARTS and all(several):
        return [f"({group})" for group in groups]
    parts = [part for piece in split(_AND_OR.sub(";", text), ";") for part in split(piece, ",") if part]
    return parts if 1 < len(parts) <= MAX_PARTS else []


def _plus_and_minus(text: str) -> list[str]:
    r"""Both values of every part that has a `\pm`, out of the brackets of a set if it has them."""
    inner = text[2:-2] if text.startswith("\\{") and text.endswith("\\}") else text
    values = []
    for part in _listed(inner) or [inner]:
        for sign, other in (("+", "-"), ("-", "+")):
            signed = re.sub(r"\\mp(?![a-z])", other, re.sub(r"\\pm(?![a-z])", sign, part))
            values.append(signed.strip().removeprefix("+").strip())
    return list(dict.fromkeys(values))
