"""Numbers and quantities are read exactly.

Covers: overmem.grading.mathematics.quantities, overmem.grading.mathematics.units
"""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overmem.grading.mathematics.numbers import (
    Number,
    read_based,
    read_clock,
    read_decimal_comma,
    read_number,
    same_number,
)
from overmem.grading.mathematics.quantities import Quantity, read_quantity
from overmem.grading.mathematics.units import canonical_unit, unit_ratio


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("42", Fraction(42)),
        ("-1,234.50", Fraction("-1234.5")),
        (".5", Fraction(1, 2)),
        ("\\frac{2}{4}", Fraction(1, 2)),
        ("-\\frac{1}{-2}", Fraction(1, 2)),
        ("2\\frac{1}{2}", Fraction(5, 2)),
        ("-2 1/2", Fraction(-5, 2)),
        ("1.6 \\cdot 10^{-19}", Fraction(16, 10**20)),
        ("10^3", Fraction(1000)),
        ("1.5e3", Fraction(1500)),
        ("0.1\\overline{6}", Fraction(1, 6)),
        ("seven", Fraction(7)),
    ],
)
def test_read_number(text: str, value: Fraction) -> None:
    found = read_number(text)
    assert found is not None and found.value == value


@pytest.mark.parametrize("text", ["", "x", "1/0", "1,23", "0,111", "10^{99999}", "2 3/2", "1.2.3", "9" * 90])
def test_what_is_no_number(text: str) -> None:
    assert read_number(text) is None


@given(value=st.fractions(min_value=-(10**6), max_value=10**6, max_denominator=10**4))
def test_fractions_are_read_back(value: Fraction) -> None:
    sign, size = ("-" if value < 0 else ""), abs(value)
    for text in (f"{value}", f"{sign}\\frac{{{size.numerator}}}{{{size.denominator}}}"):
        found = read_number(text)
        assert found is not None and found.value == value


def test_decimal_commas() -> None:
    for text, value in (("2,74", "2.74"), ("1.234,5", "1234.5"), ("0,111", "0.111"), ("-3,5", "-3.5")):
        found = read_decimal_comma(text)
        assert found is not None and found.value == Fraction(value)
    assert read_decimal_comma("1,234") is None
    assert read_decimal_comma("12") is None


def test_a_rounded_number_stands_for_the_exact_one() -> None:
    third = Number(Fraction(1, 3), 0)
    assert same_number(third, Number(Fraction("0.333333"), 6))
    assert not same_number(third, Number(Fraction("0.333"), 3))
    assert not same_number(third, Number(Fraction("0.333334"), 6))
    assert same_number(Number(Fraction("3244047.1"), 1), Number(Fraction("3244047.0999999996"), 10))
    assert not same_number(Number(Fraction(10**20), 0), Number(Fraction(10**20 + 1), 0))


def test_bases() -> None:
    assert read_based("11_2") == read_based("11_{two}".replace("two", "\\text{two}")) == (3, 2)
    assert read_based("204 base 5") == (54, 5)
    assert read_based("1A_{16}") == (26, 16)
    assert read_based("29_8") is read_based("x_1") is read_based("11") is None


def test_clock() -> None:
    assert read_clock("2:30 pm") == ("2:30", "p")
    assert read_clock("02:30") == ("2:30", "")
    assert read_clock("11\\text{ a.m.}") == read_clock("11:00 AM") == ("11:00", "a")
    assert read_clock("3:4") is None


@pytest.mark.parametrize(
    ("text", "quantity"),
    [
        ("10 \\text{km/h}", Quantity("10", "km/h")),
        ("$32,348", Quantity("32,348", "dollar")),
        ("5 million", Quantity("5", "", 10**6)),
        ("$5 million", Quantity("5", "dollar", 10**6)),
        ("28%", Quantity("28", percent=True)),
        ("28 percent", Quantity("28", percent=True)),
        ("15\\text{ cm}^2", Quantity("15", "cm^2")),
        ("15 square inches", Quantity("15", "in^2")),
        ("30^\\circ", Quantity("30", "degree")),
        ("5 apples", Quantity("5", "apple")),
        ("5 squared", Quantity("5 squared")),
        ("5x", Quantity("5x")),
        ("2k", Quantity("2k")),
        ("x m", Quantity("x m")),
    ],
)
def test_quantities(text: str, quantity: Quantity) -> None:
    assert read_quantity(text) == quantity


def test_units() -> None:
    assert canonical_unit("miles per hour") == canonical_unit("mph") == "mi/h"
    assert canonical_unit("sq. in") == canonical_unit("in^2") == "in^2"
    assert unit_ratio("m", "cm") == Fraction(1, 100)
    assert unit_ratio("cm^2", "m^2") == 10**4
    assert unit_ratio("h", "min") == Fraction(1, 60)
    assert unit_ratio("cm", "kg") is None
    assert unit_ratio("cm", "") == unit_ratio("apple", "orange") == 1
