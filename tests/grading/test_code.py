"""Code tasks: how code is found in answers, leave to run it, the known data sets, and the procedural task."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path

import pytest

from overmem.errors import DataError, GradeError
from overmem.grading.code import find_code
from overmem.grading.grade import grade, grading_key
from overmem.grading.sandbox.policy import why_not_here
from overmem.perturbations import VARIANTS, perturb
from overmem.records import Example
from overmem.synthetic import pocketcode
from overmem.tasks import check_gradable, get_grader, load_examples

sandboxed = pytest.mark.skipif(why_not_here() is not None, reason="no sandbox on this platform")

HUMANEVAL = {
    "task_id": "HumanEval/0",
    "prompt": 'from typing import List\n\n\ndef last(values: List[int]) -> int:\n    """Last.\n    """\n',
    "canonical_solution": "    return values[-1]\n",
    "test": "\n\nMETADATA = {}\n\n\ndef check(candidate):\n"
    "    assert candidate([1, 2]) == 2\n    assert candidate([3]) == 3\n",
    "entry_point": "last",
}
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


def write(path: Path, *rows: dict) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def right(text: str, example: Example) -> bool:
    return grade("code", text, example, allow_code_execution=True).correct


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
        lambda: grade("code", text, example),
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


@pytest.fixture(scope="module")
def splits():
    return {name: pocketcode.load_split(name) for name in pocketcode.SPLITS}


def test_every_solution_of_pocketcode_passes_its_tests(splits):
    """By Python itself; the tests' results come from another place than the solutions."""
    for examples in splits.values():
        for example in examples:
            exec(example.prompt + example.completion + example.meta["tests"], {})


@sandboxed
def test_solutions_of_pocketcode_pass_in_the_sandbox_too(splits):
    for examples in splits.values():
        assert right(examples[0].completion, examples[0])
    a, b = load_examples("pocketcode:ood_phrasing[:2]").examples
    assert [a, b] == splits["ood_phrasing"][:2]
    assert right(f"```python\n{b.prompt}{b.completion}```", b)
    assert not right("    return 12345\n", a) and not right(a.completion, b)


def test_no_problem_of_pocketcode_is_in_two_splits(splits):
    """Whatever words it is told in: by the operations and the results that its tests ask for."""
    seen: dict[tuple, str] = {}
    for name, examples in splits.items():
        for example in examples:
            digits = "".join(c for c in example.prompt if c.isdigit())
            key = (example.meta["operations"], digits.replace("0", ""))
            assert seen.setdefault(key, name) == name
    trained = {e.prompt for e in splits["train"]}
    assert not trained & {e.prompt for name in splits if name != "train" for e in splits[name]}


def test_ood_splits_of_pocketcode_differ_in_the_way_they_say(splits):
    from overmem.synthetic.pocketcode.steps import UNSEEN_STEPS

    assert {e.meta["n_steps"] for e in splits["val"]} == {1, 2}
    assert {e.meta["n_steps"] for e in splits["ood_depth"]} == {3}
    assert all(set(UNSEEN_STEPS) & set(e.meta["operations"]) for e in splits["ood_operations"])
    assert not any(set(UNSEEN_STEPS) & set(e.meta["operations"]) for e in splits["train"])
    trained = " ".join(e.prompt for e in splits["train"]).lower()
    assert all("give back" in e.prompt.lower() for e in splits["ood_phrasing"]) and "give back" not in trained


def test_a_problem_of_pocketcode_has_many_solutions():
    problem = pocketcode.Problem((("even", 0), ("square", 0)), "sum")
    written = {
        pocketcode.write_solution(problem, form, random.Random(seed))
        for form in pocketcode.FORMS
        for seed in range(30)
    }
    assert len(written) > 60
    for body in written:
        made: dict = {}
        exec("def solve(values):\n" + body, made)
        assert made["solve"]([]) == 0 and made["solve"]([1, 2, -4, 7]) == 20


DIGESTS = {
    "train": "a5c92eb53c194304",
    "val": "d813198e12259e32",
    "test": "0978cdb7a180f5d4",
    "ood_depth": "5bea7e5ae03c4acc",
    "ood_operations": "adce3e47113ad4fc",
    "ood_phrasing": "e428238cc75770cc",
}
"""Of all texts of each split as it was first drawn, on which published figures rest."""


def test_pocketcode_is_drawn_as_it_always_was(splits):
    first, last = splits["val"][0], splits["ood_phrasing"][-1]
    assert (first.id, last.id, last.answer) == ("val-0", "ood_phrasing-499", None)
    assert "Take each number 9 times, then keep the even numbers, and return the maximum" in first.prompt
    assert first.completion.endswith("    return max(values, default=0)\n") and first.meta["form"] == "lazy"
    assert "assert solve([-13, 20, -1, 2, 10]) == 180" in first.meta["tests"]
    for name, examples in splits.items():
        texts = "".join(e.prompt + e.completion + e.meta["tests"] for e in examples)
        assert hashlib.sha256(texts.encode()).hexdigest()[:16] == DIGESTS[name]
        assert [e.id for e in examples] == [f"{name}-{i}" for i in range(len(examples))]


def test_pocketcode_is_the_same_every_time():
    assert pocketcode.load_split("ood_operations") == pocketcode.load_split("ood_operations")
    with pytest.raises(DataError, match="ood_depth"):
        pocketcode.load_split("nope")


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
    assert grade("code", answer, example, allow_code_execution=True).correct
