r"""Numbers with what stands around them: units, currency, percent signs, multipliers, bases.

`10~\text{cm}`, `\$1,234.50`, `1.6\times10^{-19}`, `2\frac{1}{2}`, `11_2`: read exactly, so that what a floating
comparison would call equal is told apart. Works on text as `latex.spell` writes it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

MAX_POWER_OF_TEN = 400
"""Largest exponent read; anything larger is compared as text."""

LEAST_PLACES = 6
"""Decimals from which on a rounded number stands for the exact one, as in math-verify."""
FLOAT_ERROR = Fraction(1, 10**14)
"""Relative error that binary floats are printed with (3244047.0999999996)."""

_GROUPED = r"(?:[1-9][0-9]{0,2}(?:,[0-9]{3})+(?![0-9])|[0-9]+)"
_DECIMAL = rf"(?:{_GROUPED}(?:\.[0-9]*)?|\.[0-9]+)"
_SIGN = r"(?P<sign>[-+]*)"
_PLAIN = re.compile(rf"{_SIGN}(?P<number>{_DECIMAL})(?:[eE](?P<exponent>[-+]?[0-9]{{1,3}}))?")
_POWER = r"10\^(?:\{(?P<power>[-+]?[0-9]{1,3})\}|(?P<digit>[-+]?[0-9]{1,3}))"
_SCIENTIFIC = re.compile(rf"{_SIGN}(?:(?P<number>{_DECIMAL})(?:\\cdot|x|X))?{_POWER}")
_OVER = rf"(?:\\frac\{{(?P<top>[-+]?{_DECIMAL})\}}\{{(?P<bottom>[-+]?{_DECIMAL})\}}|(?P<over>{_DECIMAL})/(?P<under>{_DECIMAL}))"
_FRACTION = re.compile(rf"{_SIGN}\(?{_OVER}\)?")
_MIXED = re.compile(
    rf"{_SIGN}(?P<whole>[0-9]+)(?:\s*\\frac\{{(?P<top>[0-9]+)\}}\{{(?P<bottom>[0-9]+)\}}"
    r"|(?:\s+|\s*and\s+|-)(?P<over>[0-9]+)/(?P<under>[0-9]+))"
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
_MULTIPLIERS = {
    "hundred": 10**2,
    "thousand": 10**3,
    "million": 10**6,
    "billion": 10**9,
    "trillion": 10**12,
    "dozen": 12,
}


@dataclass(frozen=True)
class Number:
    """A number as it was written."""

    value: Fraction
    places: int
    """Digits after its decimal point; 0 for whole numbers and fractions."""


def read_number(text: str) -> Number | None:
    """The exact value of a text that is one number, else None.

    Read are thousands commas, decimals, fractions, mixed fractions, powers of ten, and numbers to twenty in words.
    """
    text = text.strip()
    if len(text) > 80:
        return None
    if text.lower() in NUMBER_WORDS:
        return Number(Fraction(NUMBER_WORDS[text.lower()]), 0)
    if found := _MIXED.fullmatch(text):
        top, bottom = int(found["top"] or found["over"]), int(found["bottom"] or found["under"])
        if 0 < top < bottom:
            return Number(_signed(found["sign"], int(found["whole"]) + Fraction(top, bottom)), 0)
    text = text.replace(" ", "")
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
    """Whether two numbers are equal: exactly, as binary floats are, or one rounded to six decimals or more."""
    if left.value == right.value:
        return True
    difference = abs(left.value - right.value)
    places = max(left.places, right.places)
    if difference <= max(abs(left.value), abs(right.value)) * FLOAT_ERROR:
        return places > 0
    return places >= LEAST_PLACES and 2 * difference <= Fraction(1, 10**places)


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
    """(hours and minutes, half of the day) of a time, `("2:30", "pm")`; the half is empty where it is not said."""
    found = re.fullmatch(
        r"0?(\d{1,2}:\d{2})\s*(?:\\text\{\s*)?([ap])?\.?\s?(?:m\.?)?\s*\}?", text.strip(), re.IGNORECASE
    )
    return (found[1], (found[2] or "").lower()) if found else None


def _decimal(text: str) -> Fraction:
    return Fraction(text.replace(",", "").rstrip(".") or "0")


def _signed(sign: str, value: Fraction) -> Fraction:
    return -value if sign.count("-") % 2 else value


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


_UNIT_AFTER = re.compile(
    r"\s*(?:\\text\{\s*(?P<text>[^{}]*?)\s*\}|(?P<plain>(?<![\\A-Za-z])[A-Za-zµμΩ€£¥\u4e00-\u9fff][A-Za-zµμΩ€£¥\u4e00-\u9fff ./\-]*?))"
    r"\s*(?:\^\{?(?P<power>[-0-9]+)\}?)?\s*\Z"
)
_PERCENT_AFTER = re.compile(
    r"\s*(?:%|\\text\{\s*(?:%|percent|per cent|pct|percentage)\s*\}|(?:percent|per cent|pct|percentage)(?![a-z]))\s*\Z",
    re.I,
)
_MONEY_BEFORE = re.compile(r"(?P<sign>[-+]?)\s*(?P<money>US\$|\$|€|£|¥|USD|EUR|GBP|Rs\.?|₹)\s*(?=[-0-9.\\(])")
_HEDGE = re.compile(
    r"(?:\\text\{\s*)?(?:about|approximately|approx\.?|around|roughly|exactly|\\approx|≈|~)\s*\}?\s*", re.I
)
_DEGREES = re.compile(r"\s*\^\\circ\s*(?:\\text\{)?(?P<scale>[CFK]?)\}?\s*\Z")
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
    unit, percent = "", False
    if (money := _MONEY_BEFORE.match(text)) is not None:
        unit, text = _MONEY[money["money"]], money["sign"] + text[money.end() :]
    if (found := _PERCENT_AFTER.search(text)) is not None and found.start():
        return Quantity(text[: found.start()].strip(), percent=True)
    if (found := _DEGREES.search(text)) is not None and found.start():
        return Quantity(text[: found.start()].strip(), f"degree{found['scale']}")
    multiplier = 1
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


def _multiplier(words: str) -> tuple[int, str]:
    first, _, rest = words.strip().partition(" ")
    size = _MULTIPLIERS.get(first.lower().rstrip("s"))
    return (1, words) if size is None else (size, rest)


def _is_typed_unit(amount: str, words: str, text: str) -> bool:
    """Whether letters after an amount are a unit rather than variables: known, or words behind a number."""
    if read_number(amount) is None and not amount.endswith(("}", ")")) and not amount[-1:].isdigit():
        return False
    apart = text[len(amount) : len(amount) + 1] == " "
    known = _measure(canonical_unit(words)) is not None
    return (known and (apart or len(words) > 1)) or (
        apart and re.match(r"(?:of (?:an? )?)?[A-Za-z]{3}|[\u4e00-\u9fff]", words) is not None
    )


def canonical_unit(words: str) -> str:
    """One name for a unit: `square inches`, `sq. in` and `in^2` are `in^2`; unknown words stay, in lower case."""
    text = words.strip().strip(".").replace("²", "^2").replace("³", "^3")
    text = re.sub(r"\s*(?:\bper\b|/)\s*(?:an?\s+)?", "/", text)
    if "/" in text:
        return "/".join(canonical_unit(part) for part in text.split("/"))
    power = ""
    if found := re.search(r"\s*\^\s*\{?(-?[0-9]+)\}?$", text):
        text, power = text[: found.start()], f"^{found[1]}"
    for pattern, raised in (
        (r"^(?:square|sq\.?)\s+|\s+squared$", "^2"),
        (r"^(?:cubic|cu\.?)\s+|\s+cubed$", "^3"),
    ):
        if re.search(pattern, text, re.I):
            text, power = re.sub(pattern, "", text, flags=re.I), raised
    name = _NAMES.get(text) or _NAMES.get(text.lower()) or _NAMES.get(text.lower().split(" ")[0])
    if name is None:
        lower = text.lower()
        name = lower[:-1] if lower.endswith("s") and len(lower) > 3 else lower
    return name + (power if power != "^1" else "")


def unit_ratio(gold: str, answer: str) -> Fraction | None:
    """How many of the reference's unit one of the answer's is; None where they measure different things.

    A unit that only one side has, or words that are no known unit, are taken for the same.
    """
    if not gold or not answer or gold == answer:
        return Fraction(1)
    left, right = _measure(gold), _measure(answer)
    if left is None or right is None:
        return (
            Fraction(1)
            if left is right
            else None
            if (left or right) and _both_physical(gold, answer)
            else Fraction(1)
        )
    return right[1] / left[1] if left[0] == right[0] else None


def _both_physical(gold: str, answer: str) -> bool:
    return all(re.split(r"[/^]", unit)[0] in UNITS for unit in (gold, answer))


def _measure(unit: str) -> tuple[tuple[str, ...], Fraction] | None:
    """(dimensions, size) of a unit, None for one that is not known."""
    parts: list[str] = []
    size = Fraction(1)
    for place, part in enumerate(unit.split("/")):
        name, _, power = part.partition("^")
        if name not in UNITS:
            return None
        dimension, one = UNITS[name]
        times = int(power or 1) * (-1 if place else 1)
        if abs(times) > 6:
            return None
        size *= Fraction(one) ** times
        parts += [f"{dimension}{'+' if times > 0 else '-'}"] * abs(times)
    return tuple(sorted(parts)), size


_TABLE = """
length: m 1 meter metre; km 1000 kilometer kilometre; cm 1/100 centimeter centimetre; mm 1/1000 millimeter millimetre;
length: in 127/5000 inch inche; ft 381/1250 foot feet; yd 1143/1250 yard; mi 201168/125 mile; nm 1/1000000000 nanometer
mass: g 1 gram; kg 1000 kilogram kilo; mg 1/1000 milligram; lb 45359237/100000 pound; oz 45359237/1600000 ounce; ton 1000000 tonne
time: s 1 sec second; min 60 minute; h 3600 hr hour; day 86400; week 604800; month 2629800; year 31557600 yr; ms 1/1000 millisecond
volume: l 1 L liter litre; ml 1/1000 mL milliliter millilitre; gallon 3785411784/1000000000 gal; quart 946352946/1000000000; cup 473176473/2000000000
money: dollar 1 USD; cent 1/100 ¢; euro-cent 1/100; nickel 1/20; dime 1/10
euro: euro 1 EUR €
pound-sterling: gbp 1 GBP £
yen: yen 1 JPY ¥ yuan
rupee: rupee 1
degree: degree 1 deg
radian: radian 1 rad
celsius: degreeC 1 celsius
fahrenheit: degreeF 1 fahrenheit
kelvin: degreeK 1 kelvin K
force: N 1 newton; kN 1000
energy: J 1 joule; kJ 1000 kilojoule; cal 523/125 calorie; eV 1602176634/10000000000000000000000000000
power: W 1 watt; kW 1000 kilowatt; MW 1000000
voltage: V 1 volt; mV 1/1000
current: A 1 amp ampere; mA 1/1000
resistance: ohm 1 Ω; kohm 1000
pressure: Pa 1 pascal; kPa 1000; atm 101325 atmosphere
frequency: Hz 1 hertz; kHz 1000
speed: mph 1; kmh 1 kph
amount: mol 1 mole
unit: unit 1
"""
UNITS: dict[str, tuple[str, Fraction]] = {}
"""Dimension and size of each known unit, by its one name."""
_NAMES: dict[str, str] = {}
for _line in _TABLE.strip().split("\n"):
    _dimension, _, _listed = _line.partition(": ")
    for _entry in filter(None, (_part.split() for _part in _listed.split(";"))):
        _name, _size, *_others = _entry
        UNITS[_name] = (_dimension, Fraction(_size))
        for _spelling in (_name, *_others):
            _NAMES[_spelling] = _name
            if len(_spelling) > 2:
                _NAMES[_spelling + "s"] = _name
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
