"""The grader `code`: run the problem's tests on the code in what a model wrote, in the sandbox.

What it needs stands in an example's `meta`, where the fields of one's own files go too:

    tests         Python that fails on wrong answers: asserts, run after the answer in the same module
    entry_point   optional: name of the function that the tests call
    prefix        optional: start of the program, which ends the prompt and which the answer may go on with
    setup         optional: run before the answer, such as imports
"""

from __future__ import annotations

import hashlib
import re

from overmem.errors import DataError, GradeError
from overmem.grading.find_code import find_code
from overmem.grading.sandbox import Outcome, check_sandbox, run_code
from overmem.records import Example

FIELDS = ("tests", "entry_point", "prefix", "setup")
"""Of an example's `meta`."""
_CALLED = re.compile(r"\b([A-Za-z_]\w*)\(")


def judge_code(text: str, example: Example) -> Outcome:
    """Run one answer against its problem's tests.

    Args:
        text: what the model wrote after the prompt; anything at all.
        example: the problem, with its tests in `meta`.

    Raises:
        DataError: the example has no tests.
        GradeError: this machine cannot contain the code.
    """
    check_code_example(example)
    tests, entry_point, prefix, setup = _fields(example)
    names = {entry_point} if entry_point else set(_CALLED.findall(tests))
    return run_code(find_code(text, names), tests, entry_point=entry_point, prefix=prefix, setup=setup)


def tests_key(example: Example) -> str:
    """A short name for all that decides, beside the answer, whether an answer is right."""
    return hashlib.sha256("\0".join(_fields(example)).encode(errors="surrogatepass")).hexdigest()[:12]


def _fields(example: Example) -> list[str]:
    return [str(example.meta.get(name) or "") for name in FIELDS]


def check_code_example(example: Example) -> None:
    """Refuse a problem that has no tests.

    Raises:
        DataError: names the row and the field.
    """
    tests = example.meta.get("tests")
    if not isinstance(tests, str) or not tests.strip():
        raise DataError(
            f"row `{example.id}` has no tests for the grader `code` to run",
            got="no field `tests`" if tests is None else repr(tests)[:100],
            expected="asserts as text in the field `tests`, beside prompt and completion",
            next_step="add tests, or use the grader `none` to measure likelihood only",
        )


def check_allowed(allowed: bool) -> None:
    """Refuse to run code that models write unless the user said so, and where it cannot be contained.

    Raises:
        GradeError: names the option, or the protection that is missing.
    """
    if not allowed:
        raise GradeError(
            "the grader `code` runs code that the model wrote, which has to be allowed",
            expected="--allow-code-execution, in Python allow_code_execution=True",
            next_step="read docs/code.md on what the sandbox contains, or measure likelihood: --grader none",
        )
    check_sandbox()
