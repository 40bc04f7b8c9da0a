r"""Are two answers mathematically the same: exactly for numbers, part by part, and by math-verify for the rest.

Grading a generation must neither raise nor hang, whatever a model wrote, and must work in worker threads. What
can be decided exactly is decided here; single expressions go to math-verify, in a process of its own
(`engine`), and what is equal as text needs none.
"""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache

from overmem.grading.answers import plain_number
from overmem.grading.engine import verify
from overmem.grading.latex import spell, squeeze
from overmem.grading.quantities import (
    read_based,
    read_clock,
    read_decimal_comma,
    read_number,
    read_quantity,
    same_number,
    unit_ratio,
)
from overmem.grading.safe_powers import is_safe
from overmem.grading.structure import Interval, Structure, is_name, read_structure, split

MAX_EXPRESSION_CHARS = 250
"""Longer answers are compared as text alone: they are prose, and cost seconds."""

_EXACT_DIGITS = 15
_CLEAR_DIFFERENCE = Decimal("0.00001")
_SAME_SIZE = Decimal("0.000002")
_APPROXIMATELY = re.compile(r"\\approx(?![A-Za-z])|\\simeq(?![A-Za-z])")
_WORDS_ALONE = re.compile(r"(?=.*[^\W\d_]{2})[^\W\d_](?:[^\d\\^=<>+*/_$|()-]|(?<=\w)-(?=\w))*")


def same_math(gold: str, answer: str) -> bool:
    """Whether `answer` states the same as `gold`; unreadable text is not the same.

    Args:
        gold: the reference answer, number or LaTeX.
        answer: the model's answer, already extracted from its text.
    """
    gold, answer = gold.strip(), answer.strip()
    if gold == answer:
        return bool(gold)
    decided = _same_plain_number(gold, answer)
    return _same_texts(gold, answer) if decided is None else decided


def _same_plain_number(gold: str, answer: str) -> bool | None:
    """Exact comparison of two plain numbers; None where they are none, or so near that rounding decides.

    math-verify rounds to six decimals as soon as one side has a decimal part; differences near that rounding
    are left to the comparison that also looks at the size.
    """
    left, right = plain_number(gold), plain_number(answer)
    if left is None or right is None:
        return None
    if left == left.to_integral_value() and right == right.to_integral_value():
        return left == right
    if max(len(number.as_tuple().digits) for number in (left, right)) > _EXACT_DIGITS:
        return None
    if left == right:
        return True
    return False if abs(left - right) > _CLEAR_DIFFERENCE else None


@lru_cache(maxsize=2**16)
def _same_texts(gold: str, answer: str) -> bool:
    if max(len(gold), len(answer)) > 4 * MAX_EXPRESSION_CHARS:
        return squeeze(gold) == squeeze(answer)
    return _same(spell(gold), spell(answer), 4)


def _same(gold: str, answer: str, depth: int) -> bool:
    """Whether two spelled answers are the same; `depth` levels of brackets are looked into."""
    if not gold or not answer:
        return False
    if squeeze(gold) == squeeze(answer):
        return True
    if depth == 0 or max(len(gold), len(answer)) > MAX_EXPRESSION_CHARS:
        return False
    if (based := _same_base(gold, answer)) is not None:
        return based
    for left, right in ((gold, answer), (answer, gold)):
        sides = _APPROXIMATELY.split(left)
        if len(sides) == 2:
            return any(
                _same(*((side, right) if left is gold else (right, side)), depth - 1) for side in sides
            )
    return _same_structures(read_structure(gold), read_structure(answer), depth)


def _same_base(gold: str, answer: str) -> bool | None:
    """Numbers that name their base; one that does is not one that does not, unless the base is ten."""
    left, right = read_based(gold), read_based(answer)
    if left is None and right is None:
        return None
    if left is not None and right is not None:
        return left[0] == right[0]
    value, base = left or right or (0, 0)
    other = read_number(answer if left is not None else gold)
    return base == 10 and other is not None and other.value == value


def _same_structures(gold: Structure, answer: Structure, depth: int) -> bool:
    regions = {structure.kind for structure in (gold, answer)}
    if "region" in regions or _is_interval(gold) or _is_interval(answer):
        return _same_regions(gold, answer, depth)
    if gold.kind == answer.kind == "equation":
        return _same_equations(gold, answer, depth)
    if "equation" in regions:
        return _same_as_named(gold, answer, depth)
    if "matrix" in regions:
        return _same_matrices(gold, answer, depth)
    if regions == {"value"}:
        return _same_values(gold.text, answer.text)
    if _comma_number(gold, answer):
        return True
    return _same_collections(gold, answer, depth)


def _same_collections(gold: Structure, answer: Structure, depth: int) -> bool:
    """Lists and sets in any order, tuples in their own; a set is no tuple."""
    kinds = {gold.kind, answer.kind}
    if kinds == {"set", "tuple"}:
        return False
    parts = [structure.parts or (structure.text,) for structure in (gold, answer)]
    if kinds == {"list", "value"} and len(parts[0]) != len(parts[1]):
        parts = [_without_commas(side, other) for side, other in ((gold, answer), (answer, gold))]
    if "tuple" in kinds:
        return len(parts[0]) == len(parts[1]) and all(
            _same(*pair, depth - 1) for pair in zip(*parts, strict=True)
        )
    return _match(_named_parts(parts[0]), _named_parts(parts[1]), depth)


def _match(gold: list[str], answer: list[str], depth: int) -> bool:
    """Whether each of some parts has one of the others that is the same, one to one."""
    if len(gold) != len(answer):
        gold, answer = list(dict.fromkeys(map(squeeze, gold))), list(dict.fromkeys(map(squeeze, answer)))
        if len(gold) != len(answer):
            return False
    left = list(answer)
    for part in gold:
        found = next((other for other in left if _same(part, other, depth - 1)), None)
        if found is None:
            return False
        left.remove(found)
    return True


def _named_parts(parts: tuple[str, ...]) -> list[str]:
    """The parts of a list whose first alone is named: `n = 2, 3, 4` lists three values of n."""
    first = split(parts[0], "=") if parts else []
    alone = (
        len(parts) > 1
        and len(first) == 2
        and is_name(first[0])
        and not any("=" in part for part in parts[1:])
    )
    return [first[1], *parts[1:]] if alone else list(parts)


def _comma_number(gold: Structure, answer: Structure) -> bool:
    """Whether one side is a number with a decimal comma, which looks like a list, and the other its value."""
    for comma, other in ((gold, answer), (answer, gold)):
        value = read_decimal_comma(_amount(comma.text))
        plain = read_number(_amount(other.text))
        if value is None or plain is None or (plain.value.denominator == 1 and value.value.denominator != 1):
            continue
        listed = comma is gold and value.places == 1 and _amount(gold.text) == gold.text
        if not listed and same_number(value, plain):
            return True
    return False


def _amount(text: str) -> str:
    return read_quantity(text).amount


def _without_commas(side: Structure, other: Structure) -> tuple[str, ...]:
    """Numbers of three digits between commas may be one number; as many parts as the other side has."""
    if side.kind == "value" and "," in side.text and len(other.parts) == side.text.count(",") + 1:
        return tuple(side.text.split(","))
    return side.parts or (side.text,)


def _is_interval(structure: Structure) -> bool:
    """Whether a tuple of two can only be an interval: by its brackets, or an infinite end."""
    return (
        structure.kind == "tuple"
        and len(structure.parts) == 2
        and (structure.brackets != "()" or any("\\infty" in part for part in structure.parts))
    )


def _same_regions(gold: Structure, answer: Structure, depth: int) -> bool:
    if gold.variable and answer.variable and squeeze(gold.variable) != squeeze(answer.variable):
        return False
    if gold.intervals is None or answer.intervals is None:
        return "region" in (gold.kind, answer.kind) and _ask(gold.text, answer.text)
    left, right = list(gold.intervals), list(answer.intervals)
    if len(left) != len(right):
        return len(left) + len(right) > 2 and _ask(gold.text, answer.text)
    for interval in left:
        found = next((other for other in right if _same_interval(interval, other, depth)), None)
        if found is None:
            return False
        right.remove(found)
    return True


def _same_interval(gold: Interval, answer: Interval, depth: int) -> bool:
    closed = [
        (
            interval.low_closed and "\\infty" not in interval.low,
            interval.high_closed and "\\infty" not in interval.high,
        )
        for interval in (gold, answer)
    ]
    ends = ((gold.low, answer.low), (gold.high, answer.high))
    return closed[0] == closed[1] and all(_same(_end(left), _end(right), depth - 1) for left, right in ends)


def _end(text: str) -> str:
    return text.replace("+\\infty", "\\infty").replace("+ \\infty", "\\infty")


def _same_equations(gold: Structure, answer: Structure, depth: int) -> bool:
    (left, value), (right, other) = gold.parts, answer.parts
    if is_name(left) and is_name(right):
        if _base_name(left) == _base_name(right) and _same(value, other, depth - 1):
            return True
        if left.strip().startswith("("):
            return False
    return _ask(gold.text, answer.text)


def _base_name(text: str) -> str:
    """A name without its index and argument: solutions `x_1` and `x_2` are values of x."""
    return (
        re.sub(r"_(?:\{[^{}]*\}|\w)|\(.*\)|[\s|{}]", "", text)
        if not text.strip().startswith("(")
        else squeeze(text)
    )


def _same_as_named(gold: Structure, answer: Structure, depth: int) -> bool:
    """An equation against a value: `x = 5` says what 5 says; a result after steps may be the last side."""
    equation, other = (gold, answer) if gold.kind == "equation" else (answer, gold)
    name, value = equation.parts
    chain = equation is answer and "=" in answer.text and not _has_variable(name)
    if is_name(name) or chain:
        pair = (value, other.text) if equation is gold else (other.text, value)
        return _same(*pair, depth - 1)
    return False


def _has_variable(text: str) -> bool:
    return re.search(r"(?<![\\A-Za-z])[a-zA-Z]", text) is not None


def _same_matrices(gold: Structure, answer: Structure, depth: int) -> bool:
    """Entry by entry; a column, and a tuple, are one vector."""
    shapes = [structure.columns if structure.kind == "matrix" else 1 for structure in (gold, answer)]
    if "value" in (gold.kind, answer.kind):
        return "\\begin{" in gold.text and "\\begin{" in answer.text and _ask(gold.text, answer.text)
    tuples = [structure.kind in ("tuple", "matrix") for structure in (gold, answer)]
    if not all(tuples) or shapes[0] != shapes[1] or len(gold.parts) != len(answer.parts):
        return False
    return all(_same(spell(g), spell(a), depth - 1) for g, a in zip(gold.parts, answer.parts, strict=True))


def _same_values(gold: str, answer: str) -> bool:
    """Two single values, with units, currency and percent signs."""
    times = read_clock(gold), read_clock(answer)
    if times[0] is not None and times[1] is not None:
        return times[0][0] == times[1][0] and (times[0][1] == times[1][1] or "" in (times[0][1], times[1][1]))
    left, right = read_quantity(gold), read_quantity(answer)
    ratio = unit_ratio(left.unit, right.unit)
    if ratio is None:
        return False
    numbers = [_number_of(side.amount, other.amount) for side, other in ((left, right), (right, left))]
    if numbers[0] is not None and numbers[1] is not None:
        first, second = (
            type(number)(number.value * scale, number.places)
            for number, scale in zip(numbers, (left.multiplier, right.multiplier * ratio), strict=True)
        )
        if left.percent == right.percent:
            return same_number(first, second)
        share = type(first)((second if right.percent else first).value / 100, 8)
        plain = first if right.percent else second
        if same_number(share, plain):
            return True
        whole = second if right.percent else first
        return (left.percent or abs(plain.value) >= 1) and same_number(whole, plain)
    if _WORDS_ALONE.fullmatch(gold) or _WORDS_ALONE.fullmatch(answer):
        return _words(gold) == _words(answer)
    if left.multiplier != right.multiplier or ratio != 1:
        return False
    if squeeze(left.amount) == squeeze(right.amount):
        return left.percent == right.percent or left.percent
    amounts = [f"{side.amount}\\%" if side.percent else side.amount for side in (left, right)]
    return _ask(*amounts)


def _number_of(text: str, other: str) -> object:
    number = read_number(text)
    return number if number is not None or read_number(other) is None else read_decimal_comma(text)


def _words(text: str) -> str:
    return re.sub(r"[^\w]+", " ", re.sub(r"\\text|\\ |[{}]", " ", text)).strip().casefold()


def _ask(gold: str, answer: str) -> bool:
    return is_safe(gold) and is_safe(answer) and verify(gold, answer)
