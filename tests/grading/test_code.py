"""Code tasks: leave to run them, and answers that are run."""

from __future__ import annotations

import pytest

from overmem.errors import DataError, GradeError
from overmem.grading.code import continuing
from overmem.grading.grade import grade, grading_key
from overmem.perturbations import VARIANTS, perturb
from overmem.records import Example
from overmem.synthetic import pocketcode
from overmem.tasks import check_gradable, get_grader, load_examples
from tests.helpers.code import HUMANEVAL, right, sandboxed, write


def test_code_runs_only_where_it_is_allowed(tmp_path):
    canary = tmp_path / "run"
    (example,) = load_examples(f"humaneval:{write(tmp_path / 'h.jsonl', HUMANEVAL)}").examples
    text = f"    open({str(canary)!r}, 'w')\n"
    for refused in (
        lambda: grade(text, example, "code"),
        lambda: get_grader("code").judge(text, example),
        lambda: check_gradable("code", [example]),
    ):
        with pytest.raises(GradeError, match="--allow-code-execution"):
            refused()
    assert not canary.exists()


@sandboxed
def test_problems_without_tests_are_refused_by_name(tmp_path):
    for tests in (None, "", 5, ["assert 1"]):
        meta = {} if tests is None else {"tests": tests}
        with pytest.raises(DataError, match="row-7"):
            check_gradable("code", [Example("row-7", "q", "a", meta=meta)], allow_code_execution=True)


@sandboxed
def test_ones_own_file(tmp_path):
    row = {
        "prompt": "Double x: def f(x)",
        "completion": "def f(x): return 2 * x",
        "tests": "assert f(2) == 4",
    }
    loaded = load_examples(write(tmp_path / "own.jsonl", row, row))
    assert loaded.grader == "code"
    assert right(row["completion"], loaded.examples[0])
    answered = load_examples(write(tmp_path / "two.jsonl", row | {"answer": "4"}))
    assert answered.grader != "code"


def test_a_saved_grade_rests_on_the_tests():
    one, other = (Example("a", "q", "a", meta={"tests": f"assert f({n})"}) for n in (1, 2))
    assert grading_key("code", one) != grading_key("code", other)
    assert grading_key("code", one) == grading_key("code", Example("b", "p", "c", meta=dict(one.meta)))
    assert grading_key("math", one) == "math"


def test_prompts_of_code_are_not_reworded():
    example = pocketcode.load_split("ood_phrasing", 1)[0]
    assert all(perturb(example, variant, 0) is None for variant in VARIANTS)


FUNCTION = "def add(a, b):\n    return a + b\n"


@sandboxed
def test_the_function_is_run_not_its_example_of_use():
    answer = f"```python\n{FUNCTION}```\nUse:\n```python\nprint(add(1, 2))\n```"
    example = Example("x", "q", "c", meta={"tests": "assert add(1, 2) == 3"})
    assert grade(answer, example, "code", allow_code_execution=True).correct


HEAD = 'def add(a, b):\n    """Add."""\n'


@sandboxed
@pytest.mark.parametrize(
    ("text", "prefix", "correct"),
    [
        (f"<think>def add(a, b): return 0</think>\n```python\n{FUNCTION}```", "", True),
        ("<think>I would write def add(a, b)", "", False),
        ("add = lambda a, b: a + b", "", True),
        ("    return a + b\n", HEAD, True),
        ("<think>sum</think>\n    return a + b\n", HEAD, True),
        ("\treturn a + b\n", HEAD, True),
        ("add = lambda a, b: a + b", HEAD, True),
        ("    return a - b\n", HEAD, False),
    ],
)
def test_answers_that_are_run(text, prefix, correct):
    meta = {"tests": "assert add(1, 2) == 3", "prefix": prefix, "entry_point": "add"}
    assert (
        grade(text, Example("x", "q", "c", meta=meta), "code", allow_code_execution=True).correct is correct
    )


HEAD = 'def first_even(numbers):\n    """The first even number."""\n'


@pytest.mark.parametrize(
    ("code", "continued"),
    [
        (
            "for n in numbers:\n    if n:\n        return n",
            "    for n in numbers:\n        if n:\n            return n",
        ),
        ("for n in numbers:\n        return n", "    for n in numbers:\n        return n"),
        ("x = 1\n    return x", "    x = 1\n    return x"),
        ("    return 1\n", "    return 1\n"),
        (
            "LIMIT = 3\ndef first_even(numbers):\n    return 2",
            "LIMIT = 3\ndef first_even(numbers):\n    return 2",
        ),
    ],
)
def test_a_body_that_lost_its_indentation_goes_on_with_the_prompt(code, continued):
    assert continuing(code, HEAD, "first_even") == continued
    assert continuing(code, "", "first_even") == code
