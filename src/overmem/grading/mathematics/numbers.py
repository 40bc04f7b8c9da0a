r"""Numbers as answers write them, read exactly.

`1,234.50`, `1.234,5`, `\frac{3}{4}`, `2\frac{1}{2}`, `1.6\times10^{-19}`, `11_2`: what a floating comparison
would call equal is told apart. Works on text as `latex.spell` writes it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

MAX_POWER_OF_TEN = 400
"""Largest exponent read; anything larger is compared as text."""

LEAST_PLACES = 6
"""Decimals from which on a rounded number stands for the exact one, as in math-verify."""
ROUNDED_BY = Fraction(1, 1000)
"""Relative error that such rounding may make: `0.000001` is not 0.0000012."""
FLOAT_ERROR = Fraction(1, 10**14)
"""Relative error that binary floats are printed with (3244047.0999999996)."""

_GROUPED = r"(?:[1-9][0-9]{0,2}(?:,[0-9]{3})+(?![0-9])|[0-9]+)"
_DECIMAL = rf"(?:{_GROUPED}(?:\.[0-9]*)?|\.[0-9]+)"
_SIGN = r"(?P<sign>[-+]*)"
_PLAIN = re.compile(rf"{_SIGN}(?P<number>{_DECIMAL})(?:[eE](?P<exponent>[-+]?[0-9]{{1,3}}))?")
_POWER = r"10\^(?:\{(?P<power>[-+]?[0-9]{1,3})\}|(?P<digit>[-+]?[0-9]{1,3}))"
_SCIENTIFIC = re.compile(rf"{_SIGN}(?:(?P<number>{_DECIMAL})(?:\\cdot|x|X))?{_POWER}")
_OVER = (
    rf"(?:\\frac\{{(?P<top>[-+]?{_DECIMAL})\}}\{{(?P<bottom>[-+]?{_DECIMAL})\}}"
    rf"|(?P<over>{_DECIMAL})/(?P<under>{_DECIMAL}))"
)
_FRACTION = re.compile(rf"{_SIGN}\(?{_OVER}\)?")
_MIXED = re.compile(
    rf"{_SIGN}(?P<whole>[0-9]+)(?:\s*\\frac\{{(?P<top>[0-9]+)\}}\{{(?P<bottom>[0-9]+)\}}"
    r"|(?:\s+|\s*and\s+|-)(?P<over>[0-9]+)/(?P<under>[0-9]+))"
)
_REPEATING = re.compile(
    rf"{_SIGN}(?P<whole>[0-9]*)\.(?P<start>[0-9]*)(?:\\overline\{{|\\bar\{{|\\dot\{{)(?P<again>[0-9]+)\}}"
)
_EUROPEAN = re.compile(rf"{_SIGN}(?P<whole>[0-9]{{1,3}}(?:\.[0-9]{{3}})+|[0-9]+),(?P<rest>[0-9]+)")
_BASED = re.compile(
    r"\(?(?P<digits>[0-9A-Za-z]+)\)?(?:_\{?\s*\(?(?P<base>[0-9]{1,2})\)?\s*\}?|_\{?\\text\{(?P<name>[a-z]+)\}\}?"
    r"|\s*\(?\s*(?:\\text\{)?\s*\(?\s*(?:in )?base[- ](?P<spoken>[0-9]{1,2}|[a-z]+)\s*\}?\s*\)?\s*\}?)"
)
NUMBER_WORDS = {
    word: value
    for value, word in enumerate(
        [
            "zero",
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
            "thirteen",
            "fourteen",
            "fifteen",
            "sixteen",
            "seventeen",
            "eighteen",
            "nineteen",
            "twenty",
        ]
    )
}
_ONES = list(NUMBER_WORDS.items())[1:10]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
NUMBER_WORDS |= {word: 10 * place for place, word in enumerate(_TENS, start=2)}
NUMBER_WORDS |= {f"{ten}-{one}": NUMBER_WORDS[ten] + value for ten in _TENS for one, value in _ONES}


@dataclass(frozen=True)
class Number:
    """A number as it was written."""

    value: Fraction
    places: int
    """Digits after its decimal point; 0 for whole numbers and fractions."""


def read_number(text: str) -> Number | None:
    """The exact value of a text that is one number, else None.

    Read are thousands commas, decimals, fractions, mixed fractions, powers of ten, and numbers below a
    hundred in words.
    """
    text = text.strip()
    if len(text) > 80:
        return None
    if text.lower() in NUMBER_WORDS:
        return Number(Fraction(NUMBER_WORDS[text.lower()]), 0)
    if found := _MIXED.fullmatch(text):
        upper, lower = int(found["top"] or found["over"]), int(found["bottom"] or found["under"])
        if 0 < upper < lower:
            return Number(_signed(found["sign"], int(found["whole"]) + Fraction(upper, lower)), 0)
    text = re.sub(r"(?<![0-9]) +| +(?![0-9])", "", text)
    if found := _REPEATING.fullmatch(text):
        whole = Fraction(f"{found['whole'] or 0}.{found['start'] or 0}")
        again = Fraction(
            int(found["again"]), (10 ** len(found["again"]) - 1) * 10 ** len(found["start"] or "")
        )
        return Number(_signed(found["sign"], whole + again), 0)
    if found := _PLAIN.fullmatch(text):
        value = _decimal(found["number"]) * Fraction(10) ** int(found["exponent"] or 0)
        places = len(found["number"].partition(".")[2]) - int(found["exponent"] or 0)
        return Number(_signed(found["sign"], value), max(0, places))
    if found := _SCIENTIFIC.fullmatch(text):
        power = int(found["power"] or found["digit"])
        if abs(power) <= MAX_POWER_OF_TEN:
            value = _decimal(found["number"] or "1") * Fraction(10) ** power
            return Number(_signed(found["sign"], value), 0)
    if found := _FRACTION.fullmatch(text):
        top, under = _decimal(found["top"] or found["over"]), _decimal(found["bottom"] or found["under"])
        return None if under == 0 else Number(_signed(found["sign"], top / under), 0)
    return None


def read_decimal_comma(text: str) -> Number | None:
    """The value of a number that is written with a decimal comma, `2,74` or `1.234,5`, else None."""
    found = _EUROPEAN.fullmatch(text.replace(" ", ""))
    if found is None or (
        len(found["rest"]) == 3 and found["whole"] not in ("0",) and "." not in found["whole"]
    ):
        return None
    value = Fraction(f"{found['whole'].replace('.', '')}.{found['rest']}")
    return Number(_signed(found["sign"], value), len(found["rest"]))


def same_number(left: Number, right: Number) -> bool:
    """Whether two numbers are equal: exactly, as binary floats, or one rounded to six decimals or more."""
    if left.value == right.value:
        return True
    difference = abs(left.value - right.value)
    places = max(left.places, right.places)
    if difference <= max(abs(left.value), abs(right.value)) * FLOAT_ERROR:
        return places > 0
    near = difference <= max(abs(left.value), abs(right.value)) * ROUNDED_BY
    return near and places >= LEAST_PLACES and 2 * difference <= Fraction(1, 10**places)


def read_based(text: str) -> tuple[int, int] | None:
    r"""(value, base) of a number that names its base: `204_5`, `11_{two}`, `204 base 5`; else None."""
    found = _BASED.fullmatch(text.strip())
    if found is None or not re.search(r"[0-9]", found["digits"]):
        return None
    named = found["base"] or found["name"] or found["spoken"]
    base = int(named) if named.isdigit() else NUMBER_WORDS.get(named, 16 if named == "sixteen" else 0)
    try:
        return int(found["digits"], base), base
    except ValueError:
        return None


def read_clock(text: str) -> tuple[str, str] | None:
    """(hours and minutes, half of the day) of a time, `("2:30", "p")`; the half is empty if none is said."""
    half = re.search(r"(?:\\text\{)?\s*([ap])\.?\s?m\.?\s*\}?\Z", text.strip(), re.IGNORECASE)
    time = re.fullmatch(r"0?(\d{1,2})(:\d{2})?\s*", text.strip()[: half.start()] if half else text.strip())
    if time is None or not (half or time[2]):
        return None
    return f"{time[1]}{time[2] or ':00'}", half[1].lower() if half else ""


def _decimal(text: str) -> Fraction:
    return Fraction(text.replace(",", "").rstrip(".") or "0")


def _signed(sign: str, value: Fraction) -> Fraction:
    return -value if sign.count("-") % 2 else value
