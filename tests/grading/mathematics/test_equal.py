"""What is the same mathematics and what is not, by kind; and that nothing a model writes hangs or raises.

Covers: overmem.grading.mathematics.structure, overmem.grading.mathematics.regions,
overmem.grading.mathematics.values
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overmem.grading.mathematics.equal import same_math
from overmem.grading.mathematics.regions import Interval, read_inequality
from overmem.grading.mathematics.structure import read_structure

SAME = [
    ("2\\text{ hours and }30\\text{ minutes}", "150\\text{ minutes}"),
    ("13", "a+b = 5 + 8 = 13"),
    ("60", "f(f(2)) = f(4) = 60"),
    ("25", "twenty-five"),
    ("120000", "₹1,20,000"),
    ("300,20,10", "10,20,300"),
    ("2^{2005}", "2^{2005}"),
    ("2^{2005}", "2 \\cdot 2^{2004}"),
    ("\\int_0^1 x^2 dx", "\\frac{1}{3}"),
    ("10~\\text{km/h}", "10"),
    ("100 \\text{ cm}", "1 m"),
    ("90^\\circ", "90"),
    ("\\sin 30^\\circ", "\\frac12"),
    ("\\$5.40", "5.4"),
    ("50\\%", "\\frac{1}{2}"),
    ("1000000", "1\\,000\\,000"),
    ("2.74", "2,74"),
    ("1234.5", "1.234,5 €"),
    ("1.6\\times10^{-19}", "1.6e-19"),
    ("5/2", "2 1/2"),
    ("\\frac{1}{3}", "0.\\overline{3}"),
    ("(3,\\infty)", "x>3"),
    ("x \\in [-2,7]", "-2 \\le x \\le 7"),
    ("(-\\infty,-1) \\cup (1,\\infty)", "|x|>1"),
    ("(-\\infty, 2) \\cup (3, \\infty)", "x<2 \\text{ or } x>3"),
    ("\\mathbb{R} \\setminus \\{2\\}", "x \\ne 2"),
    ("1,-3", "x=-3 \\text{ or } x=1"),
    ("1 \\pm \\sqrt{19}", "1-\\sqrt{19}, 1+\\sqrt{19}"),
    ("p=5,q=2;p=7,q=2", "(5,2),(7,2)"),
    ("\\{1,2\\}", "\\{2,1\\}"),
    ("y = 2x + 3", "2x - y = -3"),
    ("y = 2x + 3", "2x+3"),
    ("\\begin{pmatrix} 1/5 \\\\ 2 \\end{pmatrix}", "\\begin{bmatrix}0.2\\\\2\\end{bmatrix}"),
    ("204_5", "204 base 5"),
    ("5000000", "5 million"),
    ("\\text{Evelyn}", "evelyn"),
    ("2:30 pm", "2:30"),
    ("\\sqrt{1/n}", "\\frac{1}{\\sqrt{n}}"),
    ("e^{i\\pi}", "-1"),
]
DIFFERENT = [
    ("7", "3\\text{ apples and }4\\text{ pears}"),
    ("31/4", "3 1/4"),
    ("1", "x+z=1"),
    ("0.000001", "1.2 \\times 10^{-6}"),
    ("2^{1000}-1", "2^{1000}"),
    ("\\frac{1}{2004!}", "\\frac{1}{2006!}"),
    ("10 \\text{ cm}", "10 m"),
    ("15\\text{ cm}^2", "15 cm^3"),
    ("0.5", "0.5\\%"),
    ("1,2", "1.2"),
    ("1.6\\times10^{-18}", "1.6\\times10^{-19}"),
    ("0.25", "0.2500001"),
    ("0", "0.0000001"),
    ("(1,2)", "[1,2]"),
    ("\\{1,2\\}", "[1,2]"),
    ("\\{1,2\\}", "(1,2)"),
    ("(1,2)", "(2,1)"),
    ("x>3", "y>3"),
    ("(0,9) \\cup (9,36)", "(0,36)"),
    ("\\pm 2021", "2021"),
    ("11_2", "11"),
    ("11", "11_2"),
    ("5", "5 million"),
    ("x+z=1", "1"),
    ("x=5", "y=5"),
    ("7 = 11a+c", "11a+c"),
    ("x", "\\sqrt{x^2}"),
    ("f(x)", "f(y)"),
    ("1 - \\frac{1}{\\mathrm{e}}", "1 + \\frac{1}{\\mathrm{e}}"),
    ("12:00", "1:00"),
    ("\\text{even}", "\\text{odd}"),
]


@pytest.mark.parametrize(("gold", "answer"), SAME)
def test_the_same(gold: str, answer: str) -> None:
    assert same_math(gold, answer)


@pytest.mark.parametrize(("gold", "answer"), DIFFERENT)
def test_not_the_same(gold: str, answer: str) -> None:
    assert not same_math(gold, answer)
    assert same_math(gold, gold) and same_math(answer, answer)


@settings(max_examples=300, deadline=None)
@given(
    gold=st.sampled_from([pair[0] for pair in SAME + DIFFERENT]),
    text=st.text(st.sampled_from("\\{}()[]<>=,;^_%$|0123.xpmfracinty "), max_size=40),
)
def test_no_answer_breaks_the_comparison(gold: str, text: str) -> None:
    assert same_math(gold, text) in (True, False)
    assert same_math(text, gold) in (True, False)


def test_threads_get_the_same_answers() -> None:
    pairs = [*SAME, *DIFFERENT] * 2
    with ThreadPoolExecutor(4) as pool:
        there = list(pool.map(lambda pair: same_math(*pair), pairs))
    assert there == ([True] * len(SAME) + [False] * len(DIFFERENT)) * 2


@pytest.mark.parametrize(
    ("text", "kind", "parts"),
    [
        ("1,-3", "list", ("1", "-3")),
        ("3, 5, \\text{ and } 7".replace("\\text{ and }", "and"), "list", ("3", "5", "7")),
        ("58,500", "value", ()),
        ("(1,2)", "tuple", ("1", "2")),
        ("((1,2))", "tuple", ("1", "2")),
        ("\\{1\\}", "set", ("1",)),
        ("x = 5", "equation", ("x", "5")),
        ("5 = x", "equation", ("x", "5")),
        ("x = 2 + 3 = 5", "equation", ("x", "5")),
        ("(x+1)(x-1)", "value", ()),
        ("1\\pm\\sqrt{2}", "list", ("1+\\sqrt{2}", "1-\\sqrt{2}")),
        ("]0,1]", "tuple", ("0", "1")),
        ("x < 2", "region", ()),
        ("2x < y", "value", ()),
        ("\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}", "matrix", ("1", "2", "3", "4")),
    ],
)
def test_structure(text: str, kind: str, parts: tuple[str, ...]) -> None:
    found = read_structure(text)
    assert (found.kind, found.parts) == (kind, parts)


@pytest.mark.parametrize(
    ("text", "intervals"),
    [
        ("x > 3", (Interval("3", False, "\\infty", False),)),
        ("3 \\ge x", (Interval("-\\infty", False, "3", True),)),
        ("7 > x \\ge -2", (Interval("-2", True, "7", False),)),
        ("|x| < 2", (Interval("-2", False, "2", False),)),
        ("|x| \\ge 2", (Interval("-\\infty", False, "-2", True), Interval("2", True, "\\infty", False))),
        ("x \\ne 1", (Interval("-\\infty", False, "1", False), Interval("1", False, "\\infty", False))),
    ],
)
def test_inequalities_are_intervals(text: str, intervals: tuple[Interval, ...]) -> None:
    region = read_inequality(text)
    assert region is not None and region.intervals == intervals and region.variable == "x"


@pytest.mark.parametrize("text", ["x + y > 3", "x = 3", "1 < x > 2", "x > y", "<", "x <"])
def test_other_relations_are_no_intervals(text: str) -> None:
    assert read_inequality(text) is None
