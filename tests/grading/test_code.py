"""Code tasks: how code is found in answers, and leave to run it."""

from __future__ import annotations

import pytest

from overmem.errors import DataError, GradeError
from overmem.grading.code import find_code
from overmem.grading.grade import grade, grading_key
from overmem.perturbations import VARIANTS, perturb
from overmem.records import Example
from overmem.synthetic import pocketcode
from overmem.tasks import check_gradable, get_grader, load_examples
from tests.helpers.code import HUMANEVAL, right, sandboxed, write


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("    return 1\n", "    return 1\n"),
        ("So:\n```python\na = 1\n```\nThat is it.", "a = 1\n"),
        ("```python\na = 1\n```\nor better\n```python\na = 2\n```", "a = 2\n"),
        ("```python\na = 1\n```\nIt prints\n```\n1\n```", "a = 1\n"),
        ("```\na = 1\n```\n```bash\nrm x\n```", "a = 1\n"),
        ("```py\na = 1\nb = ", "a = 1\nb = "),
        ("~~~python\na = '''```'''\n~~~", "a = '''```'''\n"),
        ("````python\n'''\n```\n'''\n````", "'''\n```\n'''\n"),
        ("```python\n```", ""),
        ("```", ""),
        ("    return 1\n```\n", "    return 1\n"),
        ("    return 1\n```\nIt returns one.", "    return 1\n"),
        ("def f():\n    return 1\n```\nSo `f` is done.", "def f():\n    return 1\n"),
        ("So:\n```\na = 1\nb = ", "a = 1\nb = "),
    ],
)
def test_code_is_found_in_what_surrounds_it(text, code):
    assert find_code(text) == code


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
    example = pocketcode.load_split("ood_phrasing")[0]
    assert all(perturb(example, variant, 0) is None for variant in VARIANTS)


FUNCTION = "def add(a, b):\n    return a + b\n"


@pytest.mark.parametrize(
    "text",
    [
        f"```python\n{FUNCTION}```\n\nExample usage:\n\n```python\nprint(add(1, 2))  # 3\n```",
        f"```python3.10\n{FUNCTION}```",
        f"```python\n{FUNCTION}```".replace("\n", "\r\n"),
        f"```python\n{FUNCTION}```\nIt prints:\n```text\n3\n```",
    ],
)
def test_an_example_of_use_does_not_take_the_place_of_the_function(text):
    assert find_code(text, {"add"}) == FUNCTION


def test_of_several_definitions_the_last_counts_and_without_one_the_last_block():
    first, second = FUNCTION, FUNCTION.replace("a + b", "b + a")
    both = f"```python\n{first}```\nBetter:\n```python\n{second}```"
    assert find_code(both, {"add"}) == second
    assert find_code(f"```python\n{first}```\n```python\nx = 1\n```", {"other"}) == "x = 1\n"
    answer = f"```python\n{first}```\nUse:\n```python\nprint(add(1, 2))\n```"
    example = Example("x", "q", "c", meta={"tests": "assert add(1, 2) == 3"})
    assert grade(answer, example, "code", allow_code_execution=True).correct
