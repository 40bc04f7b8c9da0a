"""The data sets known by name, as their rows are published.

Covers: overmem.tasks.known.math, overmem.tasks.known.code
"""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overmem.errors import DataError
from overmem.grading.grade import grade
from overmem.tasks import load_examples
from overmem.tasks.known.math import join_story, solve_steps
from overmem.tasks.known_datasets import KNOWN
from tests.helpers.code import HUMANEVAL, right, sandboxed, write
from tests.helpers.datasets import GSM8K, GSM_HARD, SVAMP
from tests.tasks.test_sources import error_of


def test_gsm8k(data: Path) -> None:
    loaded = load_examples("gsm8k:gsm8k.jsonl")
    assert (loaded.task, loaded.grader, len(loaded.examples)) == ("gsm8k", "math", 10)
    first = loaded.examples[0]
    assert (first.id, first.prompt, first.completion, first.answer) == (
        "0",
        GSM8K[0]["question"],
        GSM8K[0]["answer"],
        "1000",
    )


def test_the_shape_alone_reads_gsm8k_the_same(data: Path) -> None:
    named, recognised = load_examples("gsm8k:gsm8k.jsonl"), load_examples("gsm8k.jsonl")
    assert recognised.examples == named.examples
    assert (recognised.task, recognised.grader) == ("file", "math")
    assert recognised.shape.startswith("question/answer")


def test_svamp(data: Path) -> None:
    a, b, c, d = load_examples("svamp:SVAMP.json").examples
    assert a.prompt == (
        "Each pack of dvds costs 76 dollars. If there is a discount of 25 dollars on each pack, "
        "how much do you have to pay to buy each pack?"
    )
    assert (a.id, a.completion, a.answer) == ("chal-1", "76 - 25 = 51\n#### 51", "51")
    assert b.prompt == "They had 90 pens in 4 boxes. How many pens in 2 boxes?"
    assert b.completion == "90 / 4 = 22.5\n2 * 22.5 = 45\n#### 45"
    assert (c.prompt, c.completion) == ("He has 3 left. How many?", "#### 3")
    assert d.completion == "#### 1"


def test_gsm_hard(data: Path) -> None:
    examples = load_examples("gsm_hard:hard.jsonl").examples
    assert [e.answer for e in examples] == ["-9867630", "3244047.1", "9284017268534.4", "0.0000001"]
    assert examples[1].completion == "#### 3244047.1"
    assert examples[1].prompt == "q2"


@pytest.mark.parametrize("source", ["gsm8k:gsm8k.jsonl", "svamp:SVAMP.json", "gsm_hard:hard.jsonl"])
def test_every_reference_solution_is_graded_right(data: Path, source: str) -> None:
    loaded = load_examples(source)
    assert all(
        grade(e.completion, e, loaded.grader) == (grade(f"#### {e.answer}", e, "math"))
        for e in loaded.examples
    )
    assert all(grade(e.completion, e, loaded.grader).correct for e in loaded.examples)


@pytest.mark.parametrize(
    ("body", "question", "text"),
    [
        ("A.", "How many?", "A. How many?"),
        ("A", "How many?", "A. How many?"),
        ("A. If b", "What is c?", "A. If b, what is c?"),
        ("If b", "Jack has how many?", "If b, Jack has how many?"),
        ("Is it so?", "How many?", "Is it so? How many?"),
        ("", "How many?", "How many?"),
        ("Iffy", "How many?", "Iffy. How many?"),
    ],
)
def test_join_story(body: str, question: str, text: str) -> None:
    assert join_story(body, question) == text


@pytest.mark.parametrize(
    ("equation", "lines"),
    [
        ("( 10.0 / 4.0 )", ["10 / 4 = 2.5"]),
        ("( 10.0 / 3.0 )", ["10 / 3 = 3.33"]),
        ("( 3.0 * ( 10.0 / 3.0 ) )", ["10 / 3 = 3.33", "3 * 3.33 = 10"]),
        ("( ( 2.5 + 0.5 ) - 7.0 )", ["2.5 + 0.5 = 3", "3 - 7 = -4"]),
        ("5.0", []),
    ],
)
def test_solve_steps(equation: str, lines: list[str]) -> None:
    assert [line for line, _ in solve_steps(equation, "row 0")] == lines


@pytest.mark.parametrize(
    "equation", ["", "(", "( 1 +", "( 1 + 2", "( 1 ^ 2 )", "( 1 / 0 )", "1 2", "x", "( 1 + 2 ) )"]
)
def test_unreadable_equations(equation: str) -> None:
    with pytest.raises(DataError, match="row 3"):
        solve_steps(equation, "row 3")


NUMBERS = st.integers(1, 999).map(lambda n: f"{n}.0")
TREES = st.recursive(
    NUMBERS,
    lambda inner: st.tuples(inner, st.sampled_from("+-*/"), inner).map(lambda t: f"( {t[0]} {t[1]} {t[2]} )"),
    max_leaves=5,
)


@given(equation=TREES)
def test_steps_reach_the_value_that_python_computes(equation: str) -> None:
    exact = equation
    for number in {token for token in equation.split() if token[0].isdigit()}:
        exact = " ".join(f"Fraction('{t}')" if t == number else t for t in exact.split())
    try:
        expected = eval(exact, {"Fraction": Fraction})
    except ZeroDivisionError:
        with pytest.raises(DataError):
            solve_steps(equation, "row 0")
        return
    steps = solve_steps(equation, "row 0")
    assert len(steps) == sum(token in "+-*/" for token in equation.split())
    assert (steps[-1][1] if steps else Fraction(equation)) == expected


@pytest.mark.parametrize(
    ("source", "parts"),
    [
        ("gsm8k:hard.jsonl", ["hard.jsonl, row 0 (line 1)", "`question`", "input"]),
        ("svamp:gsm8k.jsonl", ["row 0", "`Body`"]),
        ("gsm_hard:gsm8k.jsonl", ["row 0", "`target`"]),
    ],
)
def test_a_file_of_another_data_set(data: Path, source: str, parts: list[str]) -> None:
    message = error_of(source)
    for part in parts:
        assert part in message


def test_known_rows_must_fit(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    for rows, part in (
        ([{"question": "q", "answer": "no mark"}], "no final answer"),
        ([5], "not a record"),
    ):
        path.write_text(json.dumps(rows))
        assert part in error_of(f"gsm8k:{path}")
    path.write_text(json.dumps([SVAMP[0], SVAMP[0]]))
    assert "chal-1" in error_of(f"svamp:{path}")
    for target in (None, "many", True, float("inf"), float("nan")):
        path.write_text(json.dumps([{"input": "q", "target": target}]))
        assert "`target` is not a number" in error_of(f"gsm_hard:{path}")


MBPP = {
    "task_id": 11,
    "text": "Write a function to add two numbers.",
    "code": "def add(a, b):\r\n  return math.floor(a + b)",
    "test_list": ["assert add(1, 2) == 3", "assert add(0, 0) == 0"],
    "test_setup_code": "import math",
    "challenge_test_list": [],
}
SANITIZED = {
    "source_file": "Benchmark Questions Verification V2.ipynb",
    "task_id": 2,
    "prompt": "Write a function to find the root.",
    "code": "import math\ndef root(a):\n  return math.sqrt(a)",
    "test_imports": ["from math import isclose"],
    "test_list": ["assert isclose(root(4), 2)"],
}


@sandboxed
def test_humaneval(tmp_path):
    loaded = load_examples(f"humaneval:{write(tmp_path / 'h.jsonl', HUMANEVAL)}")
    (example,) = loaded.examples
    assert (loaded.grader, example.id) == ("code", "HumanEval/0")
    # To the letter: its indentation is part of the program.
    assert example.prompt + example.completion == HUMANEVAL["prompt"] + HUMANEVAL["canonical_solution"]
    assert right(example.completion, example)
    assert not right("    return values[0]\n", example)
    assert not right("    pass\n", example)
    assert right("    return values[-1]\n\nprint('and so on", example)
    # A chat model writes all of it, without the imports that stand in the prompt.
    assert right("Sure!\n```python\ndef last(values: List[int]) -> int:\n    return values[-1]\n```", example)
    assert not right("```python\ndef first(values):\n    return values[-1]\n```", example)


@sandboxed
def test_mbpp_in_both_published_forms(tmp_path):
    loaded = load_examples(f"mbpp:{write(tmp_path / 'm.jsonl', MBPP, SANITIZED)}")
    full, sanitized = loaded.examples
    assert (loaded.grader, full.id, sanitized.id) == ("code", "11", "2")
    for example, row in ((full, MBPP), (sanitized, SANITIZED)):
        assert all(test in example.prompt for test in row["test_list"])
        assert "\r" not in example.completion
        assert right(example.completion, example)
        assert not right("def add(a, b):\n    return a - b\ndef root(a):\n    return a", example)
    with pytest.raises(DataError, match="test_list"):
        load_examples(f"mbpp:{write(tmp_path / 'bad.jsonl', MBPP | {'test_list': []})}")


APPS = {
    "problem_id": 3,
    "question": "Add two numbers.",
    "solutions": json.dumps(["print(sum(map(int, input().split())))\n", "pass"]),
    "input_output": json.dumps({"inputs": ["1 2"], "outputs": ["3"]}),
    "difficulty": "interview",
    "url": "https://example.org",
    "starter_code": "",
}


def test_apps(tmp_path):
    rows = (
        APPS,
        APPS | {"problem_id": 4, "solutions": ""},
        APPS | {"problem_id": 5, "starter_code": "def f():"},
    )
    path = write(tmp_path / "a.jsonl", *rows)
    for source in (path, f"apps:{path}"):
        loaded = load_examples(str(source))
        assert (loaded.grader, [e.id for e in loaded.examples]) == ("none", ["3", "5"])
        assert "1 rows left out: no solution is published" in loaded.shape and "are not run" in loaded.shape
        assert loaded.examples[0].completion == "print(sum(map(int, input().split())))"
        assert loaded.examples[1].prompt == "Add two numbers.\n\ndef f():\n"


def test_math500(tmp_path):
    row = {"problem": "p", "solution": "so \\boxed{3}", "answer": "3.0", "subject": "Algebra", "level": 2}
    path = write(tmp_path / "a.jsonl", row | {"unique_id": "test/1"})
    (example,) = load_examples(f"math500:{path}").examples
    assert (example.id, example.prompt, example.answer, example.meta["level"]) == ("test/1", "p", "3", 2)


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("svamp", SVAMP[0]),
        ("gsm_hard", GSM_HARD[0]),
        ("humaneval", HUMANEVAL),
        ("mbpp", MBPP),
        ("mbpp", SANITIZED),
        (
            "metamathqa",
            {"query": "q", "response": "r. The answer is: 5", "type": "t", "original_question": "o"},
        ),
    ],
)
def test_published_rows_are_recognised_without_the_name(tmp_path, name, row):
    path = write(tmp_path / "a.jsonl", row)
    recognised, named = load_examples(str(path)), load_examples(f"{name}:{path}")
    assert (recognised.task, named.task) == ("file", name)
    assert recognised.examples == named.examples
    assert (recognised.grader, recognised.shape) == (named.grader, named.shape)


def test_names_are_what_the_table_says():
    assert all(name == known.name for name, known in KNOWN.items())
    assert {name for name, known in KNOWN.items() if known.hub_id.count("/") != 1} == {"math_perturb"}


def test_math_perturb(tmp_path):
    rows = [
        {"problem_id": 2, "problem": "p", "answer": answer, "level": "Level 5", "original_split": "train"}
        for answer in ("6-\\sqrt{5}\n", 36, 0.5, "0 or 4")
    ]
    for row, answer in zip(rows, ("6-\\sqrt{5}", "36", "0.5", "0 or 4"), strict=True):
        path = write(tmp_path / "a.jsonl", row)
        for source in (path, f"math_perturb:{path}"):
            loaded = load_examples(str(source))
            (example,) = loaded.examples
            assert (loaded.grader, example.id, example.answer) == ("math", "2", answer)
            assert grade(example.completion, example).correct
    assert "not on the hub" in error_of("math_perturb")
