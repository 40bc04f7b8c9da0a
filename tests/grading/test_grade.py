"""Graders: what counts as right, held against math-verify where the fast path decides.

Covers: overmem.grading.judges, overmem.grading.own_graders
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overmem.errors import DataError, GradeError
from overmem.grading.answers import canonical_answer, last_boxed, number_text, plain_number
from overmem.grading.grade import CHOICES, grade
from overmem.grading.judges import extract_math
from overmem.grading.letters import extract_choice
from overmem.grading.mathematics.equal import _same_plain_number, same_math
from overmem.records import Example
from overmem.tasks import Grade, check_gradable, get_grader

math_verify = pytest.importorskip("math_verify")


def problem(answer: str | None) -> Example:
    return Example("row-7", "What is it?", "It is.", answer)


def verified(gold: str, answer: str) -> bool:
    """math-verify's own opinion, both sides boxed."""
    sides = [math_verify.parse("\\boxed{" + text + "}") for text in (gold, answer)]
    return bool(math_verify.verify(*sides))


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("3 + 4 = 7\n#### 7", "7"),
        ("so \\boxed{12}. And #### 3", "12"),
        ("\\boxed{1} then \\boxed{\\frac{1}{2}}", "\\frac{1}{2}"),
        ("\\boxed{7} and a cut one: \\boxed{\\frac{1", "7"),
        ("\\boxed{}, #### 5", "5"),
        ("#### 18\nQuestion: 4?\n#### 20", "20"),
        ("#### 18\n####", "18"),
        ("#### $1,234.50.", "1234.5"),
        ("#### 18 dollars", "18"),
        ("#### **18**", "18"),
        ("#### $18$", "18"),
        ("#### 5\\text{ apples}", "5"),
        ("#### 5 million", "5 million"),
        ("#### 50%", "50%"),
        ("She has 12 apples, then 1,200 in all.", "1200"),
        ("It costs $3.50 each.", "3.5"),
        ("16-3 leaves 13", "13"),
        ("5 - 3", "3"),
        ("The result is -3.", "-3"),
        ("x = -3", "-3"),
        ("about 1/2 of it", "1/2"),
        ("it is 1e5", "1e5"),
        ("20km away, H2O", "20"),
        ("Growth of 12.5%", "12.5%"),
        ("007", "7"),
        ("-0.0", "0"),
        ("no number", None),
        ("", None),
        ("\\boxed{" + "x" * 300 + "}", None),
    ],
)
def test_extract_math(text: str, answer: str | None) -> None:
    assert extract_math(text) == answer


@pytest.mark.parametrize(
    ("gold", "text", "correct"),
    [
        ("42", "#### 42", True),
        ("42", "#### 42.0", True),
        ("42", "#### 43", False),
        ("1,234", "The answer is $1234.", True),
        ("-5", "#### -$5", True),
        ("1/2", "#### 0.5", True),
        ("0.5", "\\boxed{\\frac{1}{2}}", True),
        ("\\frac{1}{3}", "\\boxed{0.333333}", True),
        ("50%", "#### 50", True),
        ("0.5", "#### 50%", True),
        ("2\\sqrt{3}", "\\boxed{\\sqrt{12}}", True),
        ("2\\sqrt{3}", "\\boxed{2\\sqrt{5}}", False),
        ("x+1", "\\boxed{1+x}", True),
        ("2x+3", "\\boxed{2x+5}", False),
        ("5", "\\boxed{x=5}", True),
        ("5000000", "#### 5 million", True),
        ("5", "#### 5 million", False),
        ("(1,2)", "\\boxed{(1, 2)}", True),
        ("1", "nothing to see", False),
        ("#### 42", "42", True),
        ("\\boxed{42}", "42", True),
        ("yes", "#### yes", True),
        ("18", "####", False),
    ],
)
def test_math(gold: str, text: str, correct: bool) -> None:
    assert grade(text, problem(gold), "math").correct is correct


@st.composite
def plain_pairs(draw: st.DrawFn) -> tuple[str, str]:
    """Two spellings of numbers that are often equal or nearly so."""
    whole = draw(st.integers(0, 30) | st.integers(0, 10**6) | st.integers(0, 10**13))
    places = draw(st.sampled_from(["", "", ".0", ".5", ".25", ".3333333", ".000001", ".0000004", ".1"]))
    sign = draw(st.sampled_from(["", "", "-"]))
    spell = st.sampled_from(["{:d}", "{:,d}", "${:,d}", "0{:d}"])
    first = f"{sign}{draw(spell).format(whole)}{places}"
    other = draw(st.sampled_from([whole, whole, whole + 1, whole * 10, 0]))
    ending = draw(st.sampled_from([places, places, places + ("0" if places else ".00"), "", ".0000001"]))
    return first, f"{draw(st.sampled_from([sign, sign, '-']))}{draw(spell).format(other)}{ending}"


@pytest.mark.slow
@settings(max_examples=600, deadline=None)
@given(pair=plain_pairs())
def test_the_fast_path_agrees_with_math_verify(pair: tuple[str, str]) -> None:
    gold, answer = map(canonical_answer, pair)
    decided = _same_plain_number(gold, answer)
    assert decided is None or decided == verified(gold, answer)
    left, right = map(plain_number, (gold, answer))
    near = left is not None and right is not None and abs(left - right) < Decimal("0.000002")
    if near:  # math-verify rounds to six decimals; what differs is not the same here
        as_floats = abs(left - right) <= max(abs(left), abs(right)) * Decimal("1e-14")
        assert same_math(*pair) <= (as_floats or verified(gold, answer))
    else:
        assert same_math(*pair) == verified(gold, answer)


@pytest.mark.parametrize(
    "number", ["42", "$1,234", "42.0", "1,234.50", "-7", "007", "$5", "0.5", "1,000,000"]
)
def test_spellings_agree_with_math_verify_as_written(number: str) -> None:
    canonical = canonical_answer(number)
    assert verified(canonical, number)
    assert math_verify.verify(math_verify.parse(canonical), math_verify.parse(number))


def test_the_fast_path_does_decide_and_leaves_the_doubtful() -> None:
    assert _same_plain_number("12", "12.0") is True
    assert _same_plain_number("12", "13") is False
    assert _same_plain_number("0.25", "0.26") is False
    for doubtful in (("50%", "50"), ("1/2", "0.5"), ("0.1234567", "0.1234568"), ("1.00000000000000001", "1")):
        assert _same_plain_number(*doubtful) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1,234.50", "1234.50"),
        ("$-5", "-5"),
        ("-$5", "-5"),
        ("+3", "3"),
        ("€ 7", "7"),
        (".5", ".5"),
        ("5.", "5"),
        ("\u22124", "-4"),
        ("1,23", None),
        ("1,2345", None),
        ("12,345,67", None),
        ("1 234", None),
        ("1e5", None),
        ("50%", None),
        ("1/2", None),
        ("٤", None),
        ("½", None),
        ("", None),
        ("-", None),
        ("$", None),
        ("1.2.3", None),
        ("9" * 50, None),
    ],
)
def test_plain_number(text: str, value: str | None) -> None:
    assert plain_number(text) == (None if value is None else Decimal(value))


@given(
    value=st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**12), max_value=10**12)
)
def test_number_text_keeps_the_value(value: Decimal) -> None:
    text = number_text(value)
    assert Decimal(text) == value
    assert number_text(Decimal(text)) == text
    assert "E" not in text
    assert text != "-0"


def test_boxed_braces_are_balanced() -> None:
    assert last_boxed("\\boxed{\\frac{1}{\\sqrt{2}}} }") == "\\frac{1}{\\sqrt{2}}"
    assert last_boxed("\\boxed {1}") == "1"


@pytest.mark.parametrize(
    "text",
    [
        "9^{9^{9^{9}}}",
        "10^{99999999}",
        "2**3**4**5**6",
        "99999!",
        "((9!)!)!",
        "\\int_0^\\infty e^{-x^2} dx",
        "{{{",
        "}}}{",
        "\\frac{}{}",
        "\\sqrt",
        "\\left(",
        "x" * 150,
        "\\" * 50,
        "1" * 190,
        "(" * 90,
    ],
)
def test_explosive_and_broken_expressions_end_quickly(text: str) -> None:
    # Of computing: on a busy machine the clock says nothing, and waiting for ever meets pytest's own limit.
    started = time.process_time()
    assert grade("\\boxed{" + text + "}", problem("42"), "math").correct is False
    assert not same_math("42", text)
    assert time.process_time() - started < 5


@settings(max_examples=200, deadline=None)
@given(
    text=st.text(max_size=60)
    | st.text(st.sampled_from("\\boxed{}fracsqrt^_0123456789.,%$#() +-*/=xABan\n"), max_size=40)
    | st.text(st.sampled_from("0123456789.,-+*/^()%$ \\{}"), max_size=20).map("\\boxed{{{}}}".format)
)
@pytest.mark.parametrize("grader", ["math", "exact", "choice", "regex:(\\d+)|x"])
def test_no_text_makes_a_grader_raise(grader: str, text: str) -> None:
    result = grade(text, problem("B" if grader == "choice" else "42"), grader)
    assert result.correct is False or result.answer is not None


def test_math_works_in_threads_and_agrees_with_the_main_thread() -> None:
    texts = [
        "\\boxed{\\frac{1}{2}}",
        "\\boxed{\\frac{2}{4}}",
        "#### 50%",
        "\\boxed{\\sqrt{2}}",
        "#### 0.5",
    ] * 4
    here = [grade(text, problem("1/2"), "math") for text in texts]
    with ThreadPoolExecutor(4) as pool:
        there = list(pool.map(lambda text: grade(text, problem("1/2"), "math"), texts))
    assert there == here
    assert [result.correct for result in here[:5]] == [True, True, True, False, True]


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGALRM")
def test_a_pending_alarm_of_the_caller_survives() -> None:
    fired = threading.Event()
    before = signal.signal(signal.SIGALRM, lambda *_: fired.set())
    old_timer = signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        assert same_math("\\frac{1}{7}", "\\frac{2}{14}")
        time.sleep(0.5)
        assert fired.is_set()
    finally:
        signal.signal(signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, *old_timer)


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("B", "B"),
        ("(B)", "B"),
        ("b", "B"),
        ("B.", "B"),
        (" **C** ", "C"),
        ("[D]", "D"),
        ("The answer is B", "B"),
        ("the answer is (b).", "B"),
        ("answer: b", "B"),
        ("Answer: J\nDone", "J"),
        ("The answer is **E**.", "E"),
        ("The correct answer is option C because A is wrong.", "C"),
        ("The answer is A. No: the answer is D.", "D"),
        ("Answer: \\boxed{F}", "F"),
        ("\\boxed{\\text{(G)}}", "G"),
        ("reasons\n#### H", "H"),
        ("B. Paris", "B"),
        ("B) Paris", "B"),
        ("(C) since it rains", "C"),
        ("B because", "B"),
        ("A. One", "A"),
        ("It rains (A) or snows (B)", "B"),
        ("Final answer: I", "I"),
        ("A man walks", None),
        ("I think so", None),
        ("the answer is a cat", None),
        ("the answer is I think", None),
        ("K", None),
        ("The answer is K", None),
        ("Because", None),
        ("", None),
        ("answers vary", None),
    ],
)
def test_choice(text: str, letter: str | None) -> None:
    assert extract_choice(text) == letter
    assert grade(text, problem("(e)"), "choice") == Grade(letter, letter == "E")


@pytest.mark.parametrize(
    ("text", "result"),
    [
        (" Paris \n", Grade("Paris", True)),
        ("paris", Grade("Paris", True)),
        ("I say\n#### Paris", Grade("Paris", True)),
        ("\\boxed{Paris}", Grade("Paris", True)),
        ("It is Paris", Grade("It is Paris", False)),
        (" ", Grade(None, False)),
    ],
)
def test_exact(text: str, result: Grade) -> None:
    assert grade(text, problem(" Paris "), "exact") == result


def test_regex() -> None:
    assert grade("=1, =42", problem("42"), r"regex:=(\d+)") == Grade("42", True)
    assert grade("1 then 42", problem("42"), r"regex:\d+") == Grade("42", True)
    assert grade("=42 a", problem("42"), r"regex:a|=(\d+)") == Grade(None, False)
    assert grade("a:42", problem("42"), r"regex:a:(\d+)").correct
    assert grade("none", problem("42"), r"regex:\d+") == Grade(None, False)


def test_answers_that_are_written_otherwise_vote_together() -> None:
    texts = ["\\boxed{\\frac{1}{2}}", "So $x=\\dfrac12$.", "The answer is ½.", "\\boxed{\\tfrac{1}{2}}"]
    assert {extract_math(text) for text in texts} == {"\\frac{1}{2}"}


def test_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_overmem_grader.py").write_text(
        "from overmem.tasks import Grade\n"
        "def yes(text, example): return text == example.answer\n"
        "def score(text, example): return len(text) / 10\n"
        "def full(text, example): return Grade(text[:1], True)\n"
        "def fails(text, example): return 1 / 0\n"
        "def odd(text, example): return 'yes'\n"
        "number = 3\n"
    )
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    prefix = "python:my_overmem_grader.py:"
    assert grade("5", problem("5"), prefix + "yes") == Grade(None, True)
    assert sys.path == before
    assert [grade("a" * n, problem(None), prefix + "score").correct for n in (4, 5)] == [False, True]
    assert grade("abc", problem(None), prefix + "full") == Grade("a", True)
    for name, part in (
        ("fails", "ZeroDivisionError"),
        ("odd", "str"),
        ("number", "no function"),
        ("nope", "nope"),
    ):
        with pytest.raises(GradeError, match=part):
            grade("5", problem("5"), prefix + name)
    with pytest.raises(GradeError, match="row-7"):
        grade("5", problem("5"), prefix + "fails")


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("maths", "unknown grader `maths`"),
        ("", "unknown"),
        ("regex:", "unknown"),
        ("regex:(", "does not compile"),
        ("python:os", "python:path/to/file.py:function"),
        ("python:no_such_module_xyz:f", "cannot import"),
        ("python:os:no_such_function", "no function"),
    ],
)
def test_graders_are_validated_up_front(name: str, part: str) -> None:
    with pytest.raises(GradeError) as caught:
        get_grader(name)
    assert part in str(caught.value)


def test_an_unknown_grader_lists_the_choices() -> None:
    with pytest.raises(GradeError) as caught:
        check_gradable("accuracy", [])
    assert all(choice in str(caught.value) for choice in CHOICES)


@pytest.mark.parametrize("grader", ["math", "exact", "choice", "regex:x"])
def test_a_missing_answer_names_the_row_and_the_way_out(grader: str) -> None:
    for call in (lambda: grade("x", problem(None), grader), lambda: check_gradable(grader, [problem(None)])):
        with pytest.raises(DataError) as caught:
            call()
        assert "row-7" in str(caught.value)
        assert "`none`" in str(caught.value)


def test_choice_refuses_other_answers() -> None:
    with pytest.raises(DataError, match=r"row-7.*letter"):
        check_gradable("choice", [problem("Paris")])
    check_gradable("choice", [problem("b")])


def test_none_measures_no_accuracy() -> None:
    check_gradable("none", [problem(None)])
    with pytest.raises(GradeError, match="judges no text"):
        grade("x", problem(None), "none")


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("x^3-6x^2+11x-6", "x^3 - 6x^2 + 11x - 6"),
        ("x^2-y^2", "(x-y)(x+y)"),
        ("a^2b^2", "a^{2}b^{2}"),
        ("\\frac{x^2}{y^3}", "\\dfrac{x^2}{y^3}"),
        ("2^3 \\cdot 3^2", "72"),
        ("(x^2-1)^2", "x^4-2x^2+1"),
        ("x^2-y^2", "x^2+y^2"),
    ],
)
def test_powers_side_by_side_are_compared(gold: str, answer: str) -> None:
    assert same_math(gold, answer) == verified(gold, answer) == (answer != "x^2+y^2")


@pytest.mark.parametrize(
    "tower",
    [
        "9^9^9",
        "9^{(9)^9}",
        "9^{9}^{9}",
        "(9^{9})^{99}",
        "((9^{999})^9)^9",
        "\\left(9^{99}\\right)^{99}",
        "\\frac{9^9}{1}^{99}",
        "9^\\frac{9^9}{1}",
        "9^-(9^9)",
        "9**-9**9",
    ],
)
def test_towers_of_powers_never_reach_sympy(tower: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("given to math-verify")

    monkeypatch.setattr("overmem.grading.mathematics.values.verify", never)
    assert not same_math("5", tower)


@pytest.mark.parametrize(
    ("grader", "text", "gold", "right"),
    [
        ("math", "So.\nThe answer is: \\frac{1}{2}", "\\frac{1}{2}", True),
        ("math", "The answer is: (3, 4)", "(3, 4)", True),
        ("math", "The answer is: $42 dollars and that is final", "42", True),
        ("math", "The answer is: 42. #### 43", "42", False),
        ("math", "She is 12 years old.", "She is 12 years old.", True),
        ("math", "#### 7", "3 + 4 = 7, so Tom has 7 apples.", True),
        ("math", "#### 3", "5 feet 3 inches", False),
        ("math", "#### 7 squared", "7", False),
        ("math", "#### 5 below zero", "5", False),
        ("exact", "#### yes.", "yes", True),
        ("exact", "#### **Paris**", "Paris", True),
        ("exact", "12 am", "12 pm", False),
        ("exact", "Yes", "yes", True),
    ],
)
def test_an_answer_is_found_where_training_writes_it(grader: str, text: str, gold: str, right: bool) -> None:
    assert grade(text, problem(gold), grader).correct is right


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("The correct option is B.", "B"),
        ("The answer to this question is B.", "B"),
        ("answer is `B`", "B"),
        ("\\boxed{B) 5}", "B"),
        ("I rule out option B. (A)", "A"),
        ("The answer is A because it floats", "A"),
        ("#### Paris", None),
    ],
)
def test_a_letter_is_found_in_what_people_write(text: str, letter: str | None) -> None:
    assert extract_choice(text) == letter
