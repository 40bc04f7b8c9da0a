"""Are two single values the same: numbers exactly, units and percent signs read, the rest by math-verify."""

from __future__ import annotations

import re

from overmem.grading.mathematics.engine import verify
from overmem.grading.mathematics.latex import squeeze
from overmem.grading.mathematics.numbers import (
    Number,
    read_clock,
    read_decimal_comma,
    read_number,
    same_number,
)
from overmem.grading.mathematics.quantities import Quantity, read_quantity
from overmem.grading.mathematics.safe_powers import is_safe
from overmem.grading.mathematics.units import unit_ratio

_WORDS_ALONE = re.compile(r"(?=.*[^\W\d_]{2})[^\W\d_](?:[^\d\\^=<>+*/_$|()-]|(?<=\w)-(?=\w))*")
_DEGREES_OF = re.compile(r"(\\(?:sin|cos|tan|cot|sec|csc)\s*\(?\s*)([0-9.]+)\s*\^\\circ")


def same_values(gold: str, answer: str) -> bool:
    """Whether two single values are the same, with units, currency and percent signs.

    Args:
        gold: the reference, as `latex.spell` writes it.
        answer: the answer, likewise.
    """
    time, other = read_clock(gold), read_clock(answer)
    if time is not None and other is not None:
        return time[0] == other[0] and (time[1] == other[1] or not time[1] or not other[1])
    if time is not None or other is not None:
        return False
    left, right = read_quantity(gold), read_quantity(answer)
    ratio = unit_ratio(left.unit, right.unit)
    if ratio is None:
        return False
    first, second = _number(left, right), _number(right, left)
    if first is not None and second is not None:
        scaled = Number(second.value * ratio, second.places)
        return _same_shares(first, left.percent, scaled, right.percent)
    if _WORDS_ALONE.fullmatch(gold) or _WORDS_ALONE.fullmatch(answer):
        return _words(gold) == _words(answer)
    if left.multiplier != right.multiplier or ratio != 1:
        return False
    if squeeze(left.amount) == squeeze(right.amount):
        return left.percent or not right.percent
    return is_same_to_math_verify(
        *(f"{side.amount}\\%" if side.percent else side.amount for side in (left, right))
    )


def _number(side: Quantity, other: Quantity) -> Number | None:
    """The number of a quantity; written with a decimal comma where the other side is a number without."""
    number = read_number(side.amount)
    if number is None and read_number(other.amount) is not None:
        number = read_decimal_comma(side.amount)
    return number and Number(number.value * side.multiplier, number.places)


def _same_shares(gold: Number, gold_percent: bool, answer: Number, answer_percent: bool) -> bool:
    """Numbers of which one may be a percentage: `50%` is 0.5, and 50 where the sign was left out.

    A reference below one without the sign is a share, so that `0.5%` is not 0.5.
    """
    if gold_percent == answer_percent:
        return same_number(gold, answer)
    percentage, plain = (gold, answer) if gold_percent else (answer, gold)
    if same_number(Number(percentage.value / 100, 0), plain):
        return True
    return (gold_percent or abs(plain.value) >= 1) and same_number(percentage, plain)


def _words(text: str) -> str:
    return re.sub(r"[^\w]+", " ", re.sub(r"\\text|\\ |[{}]", " ", text)).strip().casefold()


def is_same_to_math_verify(gold: str, answer: str) -> bool:
    """Whether math-verify, in its process, takes two texts for the same; what could explode it never sees."""
    sides = [_DEGREES_OF.sub(r"\1(\\frac{\2 \\pi}{180})", text) for text in (gold, answer)]
    return all(map(is_safe, sides)) and verify(*sides)
