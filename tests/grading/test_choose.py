"""The grader is chosen by the bulk of the answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from overmem.grading.choose import choose_grader, gradable, kind_of_answer, why_ungradable
from overmem.records import Example

DATA = Path(__file__).parents[3].parent / "shared" / "data"


def examples(answers: list[str | None]) -> tuple[Example, ...]:
    return tuple(Example(str(i), "q", "c", answer) for i, answer in enumerate(answers))


@pytest.mark.parametrize(
    ("answers", "grader", "n_ungradable"),
    [
        (["1", "2.5", "$3"], "math", 0),
        (["\\frac{1}{2}", "3"], "math", 0),
        (["1"] * 99 + ["A"], "math", 0),
        (["1"] * 9 + [None], "math", 1),
        (["1", None, " "], "math", 2),
        (["A", "(c)"], "choice", 0),
        (["A", "B", "C", "D"] * 5 + ["Paris", "12"], "choice", 0),
        (["A", "12"], "mixed", 0),
        (["A", "12", "Paris", "yes"], "mixed", 0),
        (["Paris", "Rome"], "exact", 0),
        (["yes", "no", None], "exact", 1),
        (["Paris"] * 9 + ["12"], "mixed", 0),
        ([None, None], "none", 0),
        ([], "none", 0),
    ],
)
def test_the_bulk_chooses(answers: list[str | None], grader: str, n_ungradable: int) -> None:
    chosen = choose_grader(examples(answers))
    assert (chosen.grader, chosen.n_ungradable) == (grader, n_ungradable)


def test_tests_in_place_of_answers_are_for_code() -> None:
    tested = Example("1", "q", "c", meta={"tests": "assert f()"})
    bare = Example("2", "q", "c")
    assert choose_grader([tested, tested, bare]).grader == "code"
    assert choose_grader([tested, tested, bare]).n_ungradable == 1
    assert gradable("code", [tested, bare]) == [True, False]
    assert why_ungradable("code", bare) == "no tests"
    assert why_ungradable("math", bare) == "no answer"
    assert gradable("none", [bare]) == gradable("python:m:f", [bare]) == [True]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ("42", "math"),
        ("-1,234.5", "math"),
        ("5 apples", "math"),
        ("10~\\text{km/h}", "math"),
        ("x+1", "math"),
        ("x", "math"),
        ("\\pi", "math"),
        ("(3,4)", "math"),
        ("$x=5$", "math"),
        ("½", "math"),
        ("B", "choice"),
        ("(b)", "choice"),
        ("\\text{(C)}", "choice"),
        ("\\boxed{D}", "choice"),
        ("Paris", "exact"),
        ("\\text{Evelyn}", "exact"),
        ("\\text{Not supported}", "exact"),
        ("Apollo 11", "exact"),
        ("yes", "exact"),
        ("She is 12 years old.", "exact"),
    ],
)
def test_kind_of_answer(answer: str, kind: str) -> None:
    assert kind_of_answer(answer) == kind


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "key"),
    [("math500/test.jsonl", "answer"), ("math_perturb/math_perturb_hard.jsonl", "answer")],
)
def test_real_mathematics_is_judged_by_math(name: str, key: str) -> None:
    path = DATA / name
    if not path.exists():
        pytest.skip("needs ../shared/data")
    answers = [str(json.loads(line)[key]) for line in path.read_text().splitlines()]
    chosen = choose_grader(examples([*answers]))
    assert (chosen.grader, chosen.n_ungradable) == ("math", 0)
