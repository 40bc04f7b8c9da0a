"""One spelling for mathematics, whatever it was written in.

Covers: overmem.grading.mathematics.names
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overmem.grading.mathematics.latex import spell, squeeze, unwrap
from overmem.grading.mathematics.names import base_name, is_name, split


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("\\frac43", "\\frac{4}{3}"),
        ("\\dfrac 34", "\\frac{3}{4}"),
        ("\\frac9{19}", "\\frac{9}{19}"),
        ("½", "\\frac{1}{2}"),
        ("2½", "2\\frac{1}{2}"),
        ("√12", "\\sqrt{12}"),
        ("√(x+1)", "\\sqrt{x+1}"),
        ("\\sqrt[3]2", "\\sqrt[3]{2}"),
        ("sqrt(2)/2", "\\sqrt{2}/2"),
        ("x²", "x^2"),
        ("11,\\! 111,\\! 111,\\! 100", "11,111,111,100"),
        ("1\\,000\\,000", "1000000"),
        ("\\left(1,2\\right)", "(1,2)"),
        ("$\\boxed{\\text{(C)}}.$", "(C)"),
        ("**42**", "42"),
        ("(-∞, 2) U (3, ∞)", "(-\\infty , 2) \\cup (3, \\infty )"),
        ("x \\leqslant 3", "x \\le 3"),
        ("30°", "30^\\circ"),
        ("\\text{13}", "13"),
        ("\\mathbf{5}", "5"),
        ("= 42", "42"),
        ("60 \\frac{\\text{km}}{\\text{h}}", "60 \\text{km/h}"),
        ("$125$ miles", "125 miles"),
        ("（３）".replace("３", "3"), "(3)"),
    ],
)
def test_spell(text: str, spelled: str) -> None:
    assert spell(text) == spelled


def test_spaces_do_not_count_but_those_that_end_a_command() -> None:
    assert squeeze("2 \\pi r") == squeeze("2\\pi r") != squeeze("2\\pir")
    assert squeeze("3 1/4") != squeeze("31/4")
    assert squeeze("3 \\cdot x") == squeeze("3x") != squeeze("3 \\cdot 4")
    assert unwrap("\\( \\boxed{7} \\).") == "7"


@given(st.text(st.sampled_from("\\{}[]()$^_½√²×−0123abfracsqrt ,.%"), max_size=50))
def test_spelling_is_done_once(text: str) -> None:
    once = spell(text)
    assert isinstance(squeeze(once), str)


@pytest.mark.parametrize("text", ["x", "f(x)", "AB", "|AB|", "x_{1}", "\\angle ABC", "(x, y)", "V_1:V_2"])
def test_names(text: str) -> None:
    assert is_name(text)


@pytest.mark.parametrize("text", ["x+z", "2x", "7", "x^2", "\\frac{1}{2}", "log", "", "(1, 2)"])
def test_no_names(text: str) -> None:
    assert not is_name(text)


def test_a_name_without_its_index() -> None:
    assert base_name("x_1") == base_name("x_{2}") == base_name(" x ") == "x"
    assert base_name("f(x)") == "f"


def test_only_the_top_level_is_split() -> None:
    assert split("(1,2),[3,4],5", ",") == ["(1,2)", "[3,4]", "5"]
    assert split("a \\cup b", "\\cup") == ["a", "b"]
    assert split("1", ",") == ["1"]
