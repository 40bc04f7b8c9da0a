"""What `pocketcode` does with a list of whole numbers: steps, ends, how each is said and written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Step:
    """One thing done to the numbers: some are kept (`keeps`), or all are changed."""

    keeps: bool
    said: tuple[str, ...]
    """As trained prompts say it; {k} is the step's constant."""
    unseen: str
    """As no trained prompt says it."""
    code: tuple[str, ...]
    """Equivalent expressions of {x} and {k}."""
    meaning: Callable[[int, int], Any]
    """The truth: of a number and the constant."""
    constants: tuple[int, ...] = (0,)
    """Values of {k}; one where there is none."""


@dataclass(frozen=True)
class End:
    """What becomes of the numbers at last."""

    said: tuple[str, ...]
    unseen: str
    code: str
    """Of a list {v}."""
    lazy: str
    """Of anything that can be gone through once."""
    start: str
    """What a loop starts from."""
    add: str
    """What a loop does with each number {x}."""
    meaning: Callable[[Sequence[int]], Any]


_SMALL = tuple(range(2, 10))
STEPS = {
    "even": Step(
        True,
        ("keep the even numbers", "keep only the numbers that are even"),
        "throw away whatever is odd",
        ("{x} % 2 == 0", "not {x} % 2"),
        lambda x, k: x % 2 == 0,
    ),
    "odd": Step(
        True,
        ("keep the odd numbers", "keep only the numbers that are odd"),
        "throw away whatever is even",
        ("{x} % 2 == 1", "{x} % 2 != 0"),
        lambda x, k: x % 2 == 1,
    ),
    "positive": Step(
        True,
        ("keep the positive numbers", "keep only the numbers above zero"),
        "throw away zeros and negatives",
        ("{x} > 0", "0 < {x}"),
        lambda x, k: x > 0,
    ),
    "negative": Step(
        True,
        ("keep the negative numbers", "keep only the numbers below zero"),
        "throw away zeros and positives",
        ("{x} < 0", "0 > {x}"),
        lambda x, k: x < 0,
    ),
    "above": Step(
        True,
        ("keep the numbers greater than {k}", "keep only the numbers above {k}"),
        "throw away all that do not exceed {k}",
        ("{x} > {k}", "not {x} <= {k}"),
        lambda x, k: x > k,
        _SMALL,
    ),
    "below": Step(
        True,
        ("keep the numbers less than {k}", "keep only the numbers below {k}"),
        "throw away all that reach {k}",
        ("{x} < {k}", "not {x} >= {k}"),
        lambda x, k: x < k,
        _SMALL,
    ),
    "multiple": Step(
        True,
        ("keep the numbers divisible by {k}", "keep only the multiples of {k}"),
        "throw away all that {k} does not divide",
        ("{x} % {k} == 0", "not {x} % {k}"),
        lambda x, k: x % k == 0,
        _SMALL[1:],
    ),
    "square": Step(
        False,
        ("square each number", "take the square of each number"),
        "raise everything to the power of two",
        ("{x} * {x}", "{x} ** 2"),
        lambda x, k: x * x,
    ),
    "negate": Step(
        False,
        ("negate each number", "flip the sign of each number"),
        "turn everything into its opposite",
        ("-{x}", "0 - {x}"),
        lambda x, k: -x,
    ),
    "absolute": Step(
        False,
        ("take the absolute value of each number", "drop the sign of each number"),
        "measure how far from zero everything is",
        ("abs({x})", "max({x}, -{x})"),
        lambda x, k: abs(x),
    ),
    "add": Step(
        False,
        ("add {k} to each number", "increase each number by {k}"),
        "raise everything by {k}",
        ("{x} + {k}", "{k} + {x}"),
        lambda x, k: x + k,
        _SMALL,
    ),
    "subtract": Step(
        False,
        ("subtract {k} from each number", "decrease each number by {k}"),
        "lower everything by {k}",
        ("{x} - {k}", "-{k} + {x}"),
        lambda x, k: x - k,
        _SMALL,
    ),
    "times": Step(
        False,
        ("multiply each number by {k}", "take each number {k} times"),
        "scale everything up {k}-fold",
        ("{x} * {k}", "{k} * {x}"),
        lambda x, k: x * k,
        _SMALL,
    ),
}
"""Steps that training may use."""
UNSEEN_STEPS = {
    "last_digit": Step(
        True,
        ("keep the numbers that leave {k} when divided by 10",),
        "throw away all that do not leave {k} when divided by 10",
        ("{x} % 10 == {k}", "{k} == {x} % 10"),
        lambda x, k: x % 10 == k,
        _SMALL,
    ),
    "near_zero": Step(
        True,
        ("keep the numbers at most {k} away from zero",),
        "throw away all that are farther than {k} from zero",
        ("abs({x}) <= {k}", "-{k} <= {x} <= {k}"),
        lambda x, k: -k <= x <= k,
        _SMALL,
    ),
    "cube": Step(
        False,
        ("cube each number",),
        "raise everything to the power of three",
        ("{x} ** 3", "{x} * {x} * {x}"),
        lambda x, k: x * x * x,
    ),
    "halve": Step(
        False,
        ("halve each number, rounding down",),
        "cut everything in half, rounding down",
        ("{x} // 2", "{x} >> 1"),
        lambda x, k: (x - x % 2) // 2,
    ),
    "remainder": Step(
        False,
        ("take the remainder of each number divided by {k}",),
        "reduce everything modulo {k}",
        ("{x} % {k}", "{x} - {x} // {k} * {k}"),
        lambda x, k: x % k,
        _SMALL[1:],
    ),
}
"""Steps for the OOD split `ood_operations` alone."""
ENDS = {
    "sum": End(
        ("return their sum", "return the total"), "give back what they add up to",
        "sum({v})", "sum({v})", "0", "result += {x}", sum,
    ),
    "count": End(
        ("return how many there are", "return their count"), "give back the size of what is left",
        "len({v})", "sum(1 for _ in {v})", "0", "result += 1", len,
    ),
    "largest": End(
        ("return the largest, or 0 if there is none", "return the maximum, or 0 if there is none"),
        "give back whatever no other exceeds, or 0 if nothing is left",
        "max({v}, default=0)", "max({v}, default=0)", "[]", "result.append({x})",
        lambda v: sorted(v)[-1] if v else 0,
    ),
    "smallest": End(
        ("return the smallest, or 0 if there is none", "return the minimum, or 0 if there is none"),
        "give back whatever exceeds no other, or 0 if nothing is left",
        "min({v}, default=0)", "min({v}, default=0)", "[]", "result.append({x})",
        lambda v: sorted(v)[0] if v else 0,
    ),
    "list": End(
        ("return them as a list", "return the list of them"), "give back what is left, in order",
        "{v}", "list({v})", "[]", "result.append({x})", list,
    ),
}  # fmt: skip
"""How a function ends."""
