r"""Are two answers mathematically the same: exactly for numbers, part by part, by math-verify for the rest.

Grading a generation must neither raise nor hang, whatever a model wrote, and must work in worker threads.
What can be decided exactly is decided here; single expressions go to math-verify, in a process of its own
(`engine`), and what is equal as text needs none.
"""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache

from overmem.grading.answers import plain_number
from overmem.grading.mathematics.latex import spell, squeeze
from overmem.grading.mathematics.names import base_name, has_letters, is_name, split
from overmem.grading.mathematics.numbers import read_based, read_decimal_comma, read_number, same_number
from overmem.grading.mathematics.quantities import joined_amounts, read_quantity
from overmem.grading.mathematics.regions import Interval
from overmem.grading.mathematics.structure import Structure, read_structure
from overmem.grading.mathematics.values import is_same_to_math_verify, same_values

MAX_EXPRESSION_CHARS = 250
"""Longer answers are compared as text alone: they are prose, and cost seconds."""
MAX_DEPTH = 4
"""Levels of brackets that are looked into."""

_EXACT_DIGITS = 15
_CLEAR_DIFFERENCE = Decimal("0.00001")
_APPROXIMATELY = re.compile(r"\\approx(?![A-Za-z])|\\simeq(?![A-Za-z])")


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
    return _same(joined_amounts(spell(gold)), joined_amounts(spell(answer)), MAX_DEPTH)


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
    golds, answers = _APPROXIMATELY.split(gold), _APPROXIMATELY.split(answer)
    if len(golds) + len(answers) == 3:
        return any(_same(left, right, depth - 1) for left in golds for right in answers)
    return _same_structures(read_structure(gold), read_structure(answer), depth)


def _same_base(gold: str, answer: str) -> bool | None:
    """Numbers that name their base; one that does is not one that does not, unless the base is ten."""
    left, right = read_based(gold), read_based(answer)
    if left is not None and right is not None:
        return left[0] == right[0]
    if left is None and right is None:
        return None
    value, base = left or right or (0, 0)
    other = read_number(answer if left is not None else gold)
    return base == 10 and other is not None and other.value == value


def _same_structures(gold: Structure, answer: Structure, depth: int) -> bool:
    kinds = {gold.kind, answer.kind}
    if "region" in kinds or gold.is_interval or answer.is_interval:
        return _same_regions(gold, answer, depth)
    if kinds == {"equation"}:
        return _same_equations(gold, answer, depth)
    if "equation" in kinds:
        return _same_as_named(gold, answer, depth)
    if "matrix" in kinds:
        return _same_matrices(gold, answer, depth)
    if kinds == {"value"}:
        return same_values(gold.text, answer.text)
    return _is_decimal_comma(gold, answer) or _same_collections(gold, answer, depth)


def _same_collections(gold: Structure, answer: Structure, depth: int) -> bool:
    """Lists and sets in any order, tuples in their own; a set is no tuple."""
    kinds = {gold.kind, answer.kind}
    if kinds == {"set", "tuple"}:
        return False
    left, right = _parts(gold, answer), _parts(answer, gold)
    if "tuple" in kinds:
        pairs = zip(left, right, strict=False)
        return len(left) == len(right) and all(_same(*pair, depth - 1) for pair in pairs)
    return _match(_without_name(left), _without_name(right), depth)


def _parts(side: Structure, other: Structure) -> tuple[str, ...]:
    """The parts of a list; a number with thousands commas is one too where the other side has as many."""
    if side.kind == "value" and "," in side.text and len(other.parts) == side.text.count(",") + 1:
        return tuple(side.text.split(","))
    return side.parts or (side.text,)


def _without_name(parts: tuple[str, ...]) -> list[str]:
    """The parts of a list whose first alone is named: `n = 2, 3, 4` lists three values of n."""
    first = split(parts[0], "=")
    named = len(first) == 2 and is_name(first[0]) and not any("=" in part for part in parts[1:])
    return [first[1], *parts[1:]] if named and len(parts) > 1 else list(parts)


def _match(gold: list[str], answer: list[str], depth: int) -> bool:
    """Whether each of some parts has one of the others that is the same, one to one."""
    if len(gold) != len(answer):  # of several that are written alike one counts
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


def _is_decimal_comma(gold: Structure, answer: Structure) -> bool:
    """Whether one side is a number with a decimal comma, which looks like a list, and the other its value.

    A reference `1,2` lists two values: only two decimals or more, a zero before or a unit make it one number.
    """
    for comma, other in ((gold, answer), (answer, gold)):
        amount = read_quantity(comma.text).amount
        value, plain = read_decimal_comma(amount), read_number(read_quantity(other.text).amount)
        if value is None or plain is None or (plain.value.denominator == 1 and value.value.denominator != 1):
            continue
        is_list = comma is gold and value.places == 1 and amount == comma.text and not amount.startswith("0")
        if not is_list and same_number(value, plain):
            return True
    return False


def _same_regions(gold: Structure, answer: Structure, depth: int) -> bool:
    """The same intervals, in any order; math-verify joins those that touch."""
    if gold.variable and answer.variable and squeeze(gold.variable) != squeeze(answer.variable):
        return False
    if gold.intervals is None or answer.intervals is None:
        return "region" in (gold.kind, answer.kind) and is_same_to_math_verify(gold.text, answer.text)
    left, right = list(gold.intervals), list(answer.intervals)
    if len(left) != len(right):
        return is_same_to_math_verify(gold.text, answer.text)
    for interval in left:
        found = next((other for other in right if _same_interval(interval, other, depth)), None)
        if found is None:
            return False
        right.remove(found)
    return True


def _same_interval(gold: Interval, answer: Interval, depth: int) -> bool:
    closed = [
        (one.low_closed and "\\infty" not in one.low, one.high_closed and "\\infty" not in one.high)
        for one in (gold, answer)
    ]
    return closed[0] == closed[1] and all(
        _same(re.sub(r"\+\s*(?=\\infty)", "", left), re.sub(r"\+\s*(?=\\infty)", "", right), depth - 1)
        for left, right in ((gold.low, answer.low), (gold.high, answer.high))
    )


def _same_equations(gold: Structure, answer: Structure, depth: int) -> bool:
    """The same value of the same name, or sides that math-verify's process takes for the same relation."""
    (left, value), (right, other) = gold.parts, answer.parts
    if is_name(left) and is_name(right) and base_name(left) == base_name(right):
        if _same(value, other, depth - 1):
            return True
        if left.strip().startswith("("):
            return False
    return is_same_to_math_verify(gold.text, answer.text)


def _same_as_named(gold: Structure, answer: Structure, depth: int) -> bool:
    """An equation against a value: `x = 5` says what 5 says; a result after steps may be the last side."""
    equation, other = (gold, answer) if gold.kind == "equation" else (answer, gold)
    name, value = equation.parts
    sides = split(equation.text, "=")
    computed = len(sides) > 2 and not has_letters(value)  # `a + b = 5 + 8 = 13`
    if not is_name(name) and (equation is gold or has_letters(name)) and not computed:
        return False
    return _same(value, other.text, depth - 1) if equation is gold else _same(other.text, value, depth - 1)


def _same_matrices(gold: Structure, answer: Structure, depth: int) -> bool:
    """Entry by entry; a column and a tuple are one vector, and sums of matrices are computed."""
    if "value" in (gold.kind, answer.kind):
        return (
            "\\begin{" in gold.text
            and "\\begin{" in answer.text
            and is_same_to_math_verify(gold.text, answer.text)
        )
    columns = [side.columns if side.kind == "matrix" else 1 for side in (gold, answer)]
    vectors = all(side.kind in ("tuple", "matrix") for side in (gold, answer))
    if not vectors or columns[0] != columns[1] or len(gold.parts) != len(answer.parts):
        return False
    pairs = zip(gold.parts, answer.parts, strict=True)
    return all(_same(spell(left), spell(right), depth - 1) for left, right in pairs)
