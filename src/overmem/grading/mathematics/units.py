"""Units of answers: one name for each, and how many of one the other is."""

from __future__ import annotations

import re
from fractions import Fraction


def canonical_unit(words: str) -> str:
    """One name for a unit: `square inches`, `sq. in` and `in^2` are `in^2`; others stay, in lower case."""
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


def is_unit(words: str) -> bool:
    """Whether words are a unit that is known, or made of such: `km`, `square inches`, `m/s`."""
    return _measure(canonical_unit(words)) is not None


def unit_ratio(gold: str, answer: str) -> Fraction | None:
    """How many of the reference's unit one of the answer's is; None where they measure different things.

    A unit that only one side has, or words that are no known unit, are taken for the same.

    Args:
        gold: the reference's unit as `canonical_unit` names it, empty where there is none.
        answer: the answer's.
    """
    left, right = _measure(gold), _measure(answer)
    if left is None or right is None or gold == answer:
        return Fraction(1)
    return right[1] / left[1] if left[0] == right[0] else None


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
length: m 1 meter metre; km 1000 kilometer kilometre; cm 1/100 centimeter centimetre
length: mm 1/1000 millimeter millimetre; nm 1/1000000000 nanometer; mi 201168/125 mile
length: in 127/5000 inch inche; ft 381/1250 foot feet; yd 1143/1250 yard
mass: g 1 gram; kg 1000 kilogram kilo; mg 1/1000 milligram; ton 1000000 tonne
mass: lb 45359237/100000 pound; oz 45359237/1600000 ounce
time: s 1 sec second; min 60 minute; h 3600 hr hour; day 86400; week 604800; month 2629800
time: year 31557600 yr; ms 1/1000 millisecond
volume: l 1 L liter litre; ml 1/1000 mL milliliter millilitre; gallon 3785411784/1000000000 gal
volume: quart 946352946/1000000000; cup 473176473/2000000000
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
_NAMES |= {"mph": "mi/h", "kmh": "km/h", "kph": "km/h", "fps": "ft/s", "rpm": "revolution/min"}
