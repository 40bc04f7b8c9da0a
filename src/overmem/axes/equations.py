"""The equations of a worked solution: the path it takes to its answer.

Two solutions take the same path when they compute the same things in the same order, however they
are worded.
"""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache

from overmem.grading.answers import number_text


@lru_cache(maxsize=2**14)
def equation_path(text: str) -> tuple[str, ...]:
    r"""The equations of a solution in the order they occur: the path it takes to its answer.

    An equation is arithmetic among numbers with an operator and an equals sign, such as `3*4=12`; a
    chain `2*3=6+1=7` is one. Made alike: spaces, thousands commas, `$`, spellings of a number (`27.00`,
    `.5`), units between numbers (`5 hours * 4`), the signs for times, divided and minus, LaTeX's
    too, emphasis around a result. Kept: the order of operands, brackets, percent signs. A GSM8K
    calculator mark `<<2+3=5>>` counts only where the text around it does not write its equation out.
    """
    text = _spell_alike(text.replace(_MARKED, ""))
    marks, plain = _MARK.findall(text), _MARK.sub(_MARKED, text)
    found: list[tuple[str, bool]] = []
    for match in _EQUATION.finditer(plain):
        equation = _canonical_equation(match.group())
        n_marks = match.group().count(_MARKED)
        here, marks = marks[:n_marks], marks[n_marks:]
        if _is_equation(equation):
            found.append((equation, False))
        else:
            found += [(mark, True) for mark in map(_canonical_equation, here) if _is_equation(mark)]
    return tuple(
        equation
        for place, (equation, is_mark) in enumerate(found)
        if place == 0 or found[place - 1] != (equation, not is_mark)
    )


_MARK = re.compile(r"<<([^<>\n]*)>>")
_MARKED = "\x00"
"""Stands where a calculator mark was."""
_SPELLINGS = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\\(?:boxed|text|mathrm|mathbf)\{([^{}]*)\}", r"\1"),
        (r"\\[dt]?frac\{([^{}]*)\}\{([^{}]*)\}", r"\1/\2"),
        (r"\*\*([^*\n]+)\*\*", r"\1"),
        (r"\\(?:left|right)(?![A-Za-z])|\\?\$", ""),
        ("\\\\(?:times|cdot)(?![A-Za-z])|[\u00d7\u00b7\u22c5]", "*"),
        (r"\\div(?![A-Za-z])|÷", "/"),
        ("[\u2212\u2013]", "-"),
        (r"\\%", "%"),
        (r"\\approx(?![A-Za-z])|≈", "="),
        (r"(?<=[0-9]),(?=[0-9]{3}(?![0-9]))", ""),
        (r"(?<=[0-9)% \t])[xX](?=[ \t]*(?:<<[^<>\n]*>>)?[0-9(.])", "*"),
    )
)
_GAP = r"[ \t\x00]*+"
_NUMBER = r"(?:[0-9]++(?:\.[0-9]++)?+|\.[0-9]++)"
_UNIT = r"(?:[ \t]*+/?+[ \t]*+[A-Za-z]++){0,3}+"
"""Up to three words, as in `16 eggs per day`."""
_TERM = rf"(?:\({_GAP})*+-?+{_MARKED}*+{_NUMBER}{_GAP}%?+{_UNIT}(?:{_GAP}\))*+{_UNIT}"
_SIDE = rf"{_TERM}(?:{_GAP}[-+*/^]{_GAP}{_TERM})*+"
_EQUATION = re.compile(rf"(?<![0-9.]){_SIDE}(?:{_GAP}={_GAP}{_SIDE})*+|{_MARKED}")
_NOT_ARITHMETIC = re.compile(r"\s*/?\s*[A-Za-z]+|[\s\x00]")
_OPERATOR = re.compile(r"(?<=[0-9)%])[-+*/^]")


def _spell_alike(text: str) -> str:
    for pattern, replacement in _SPELLINGS:
        text = pattern.sub(replacement, text)
    return text


def _canonical_equation(text: str) -> str:
    """One spelling: no spaces, units or brackets that close on another side; plain numbers."""
    sides = _NOT_ARITHMETIC.sub("", text).split("=")
    numbers = re.compile(_NUMBER)
    return "=".join(
        numbers.sub(lambda match: number_text(Decimal(match.group())), _balanced(side)) for side in sides
    )


def _balanced(side: str) -> str:
    """Without the brackets that have no partner, such as those around a whole equation."""
    opened: list[int] = []
    unmatched: set[int] = set()
    for place, character in enumerate(side):
        if character == "(":
            opened.append(place)
        elif character == ")" and opened:
            opened.pop()
        elif character == ")":
            unmatched.add(place)
    unmatched.update(opened)
    return "".join(character for place, character in enumerate(side) if place not in unmatched)


def _is_equation(equation: str) -> bool:
    return "=" in equation and _OPERATOR.search(equation) is not None
