r"""Amounts with what stands around them: units, currency, percent signs, multipliers.

`10~\text{cm}`, `\$1,234.50`, `5\text{ million}`, `28\%`. Works on text as `latex.spell` writes it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from overmem.grading.mathematics.numbers import read_number
from overmem.grading.mathematics.units import canonical_unit, is_unit, unit_ratio

_MULTIPLIERS = {
    "hundred": 10**2,
    "thousand": 10**3,
    "million": 10**6,
    "billion": 10**9,
    "trillion": 10**12,
    "dozen": 12,
}


@dataclass(frozen=True)
class Quantity:
    """An amount and its unit."""

    amount: str
    """The number or expression, without unit, multiplier and percent sign."""
    unit: str = ""
    """In one spelling, empty where there is none."""
    multiplier: int = 1
    """Of words such as `million`."""
    percent: bool = False


_UNIT_LETTER = r"[A-Za-zµμΩ€£¥\u4e00-\u9fff]"
_UNIT_AFTER = re.compile(
    r"\s*(?:\\text\{\s*(?P<text>[^{}]*?)\s*\}"
    rf"|(?P<plain>(?<![\\A-Za-z]){_UNIT_LETTER}(?:{_UNIT_LETTER}|[ ./\-])*?))"
    r"\s*(?:\^\{?(?P<power>[-0-9]+)\}?)?\s*\Z"
)
_PERCENT_AFTER = re.compile(
    r"\s*(?:\\text\{\s*)?(?:%|(?:percent|per cent|pct|percentage)(?![a-z]))\s*\}?\s*\Z",
    re.I,
)
_MONEY_BEFORE = re.compile(r"(?P<sign>[-+]?)\s*(?P<money>US\$|\$|€|£|¥|USD|EUR|GBP|Rs\.?|₹)\s*(?=[-0-9.\\(])")
_HEDGE = re.compile(
    r"(?:\\text\{\s*)?(?:about|approximately|approx\.?|around|roughly|exactly|\\approx|≈|~)\s*\}?\s*", re.I
)
_AMOUNT_PATTERN = r"([0-9]+(?:\.[0-9]+)?)\s*(?:\\text\{\s*([A-Za-z]+)\.?,?(?:\s+and)?\s*\}|([A-Za-z]+))"
_AMOUNT = re.compile(_AMOUNT_PATTERN)
_SEVERAL_AMOUNTS = re.compile(
    rf"{_AMOUNT_PATTERN}(?:\s*(?:,|and|\\text\{{\s*and\s*\}})?\s*{_AMOUNT_PATTERN}){{1,3}}"
)
_DEGREES = re.compile(r"\s*\^\\circ\s*(?:\\text\{)?(?P<scale>[CFK]?)\}?\s*\Z")
_ANGLE_OF = re.compile(r"\\(?:sin|cos|tan|cot|sec|csc)(?![A-Za-z])")
_NOT_UNITS = re.compile(
    r"\b(?:half|quarter|third|tenth|hundredth|thousandth|below|negative|minus|plus|factorial|times|mod"
    r"|pi|sqrt|sin|cos|tan|log|ln|or|and|to|if|for|when|where|remainder|root|not|no|infinity|base|over"
    r"|am|pm|a\.m|p\.m|dozen|score)s?\b|^\s*(?:squared|cubed)",
    re.I,
)


def read_quantity(text: str) -> Quantity:
    """Part an answer into its amount and what stands around it; all of it is the amount where nothing does.

    Args:
        text: one answer, as `latex.spell` writes it.
    """
    text = _HEDGE.sub("", text, count=1) if _HEDGE.match(text) else text
    unit = ""
    if (money := _MONEY_BEFORE.match(text)) is not None:
        unit, text = _MONEY[money["money"]], money["sign"] + text[money.end() :]
    if (found := _PERCENT_AFTER.search(text)) is not None and found.start():
        return Quantity(text[: found.start()].strip(), percent=True)
    if (found := _DEGREES.search(text)) is not None and found.start() and not _ANGLE_OF.search(text):
        return Quantity(text[: found.start()].strip(), f"degree{found['scale']}")
    found = _UNIT_AFTER.search(text)
    if found is not None and found.start():
        amount = text[: found.start()].strip()
        words = found["text"] if found["text"] is not None else found["plain"]
        multiplier, words = _multiplier(words)
        written = found["text"] is not None or multiplier > 1 or _is_typed_unit(amount, words, text)
        if written and not _NOT_UNITS.search(words):
            named = canonical_unit(words + (f"^{found['power']}" if found["power"] else ""))
            return Quantity(amount, unit or named, multiplier)
    return Quantity(text.strip(), unit)


def joined_amounts(text: str) -> str:
    r"""Amounts of one kind in falling units as one: `2\text{ hours and }30\text{ minutes}` is 150 minutes.

    Args:
        text: one answer, as `latex.spell` writes it; another text stays as it is.
    """
    if not _SEVERAL_AMOUNTS.fullmatch(text):
        return text
    found = [(Fraction(n), canonical_unit(one or other)) for n, one, other in _AMOUNT.findall(text)]
    units = [unit for _, unit in found]
    last, ratios = units[-1], [unit_ratio(units[-1], unit) for unit in units]
    falling = all(a is not None and b is not None and a > b for a, b in pairwise(ratios))
    total = sum((n * (ratio or 0) for (n, _), ratio in zip(found, ratios, strict=True)), Fraction(0))
    if not falling or total.denominator != 1:
        return text
    return f"{total}\\text{{ {last}}}"


def _multiplier(words: str) -> tuple[int, str]:
    first, _, rest = words.strip().partition(" ")
    size = _MULTIPLIERS.get(first.lower().rstrip("s"))
    return (1, words) if size is None else (size, rest)


def _is_typed_unit(amount: str, words: str, text: str) -> bool:
    """Whether letters after an amount are a unit rather than variables: known, or words behind a number."""
    if read_number(amount) is None and not amount.endswith(("}", ")")) and not amount[-1:].isdigit():
        return False
    apart = text[len(amount) : len(amount) + 1] == " "
    known = is_unit(words)
    return (known and (apart or len(words) > 1 or not words.isalpha())) or (
        apart and re.match(r"(?:of (?:an? )?)?[A-Za-z]{3}|[\u4e00-\u9fff]", words) is not None
    )


_MONEY = {
    "US$": "dollar",
    "$": "dollar",
    "USD": "dollar",
    "€": "euro",
    "EUR": "euro",
    "£": "gbp",
    "GBP": "gbp",
}
_MONEY |= {"¥": "yen", "Rs": "rupee", "Rs.": "rupee", "₹": "rupee"}
