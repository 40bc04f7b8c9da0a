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
import textwrap

from overmem.errors import DataError, GradeError
from overmem.grading.find_code import find_code
from overmem.grading.sandbox import Outcome, check_sandbox, run_code
from overmem.records import Example

FIELDS = ("tests", "entry_point", "prefix", "setup")
"""Of an example's `meta`."""
_STANDS_ALONE = re.compile(r"\s|\Z|#|@|(?:async def|def|class|import|from)\b")
"""A line that is indented, or that begins a program of its own."""
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
    code = continuing(find_code(text, names), prefix, entry_point)
    return run_code(code, tests, entry_point=entry_point, prefix=prefix, setup=setup)


def continuing(code: str, prefix: str, entry_point: str) -> str:
    """Code that goes on with a prompt, with the indentation of a body that it or its first line lost.

    Args:
        code: what the model wrote.
        prefix: start of the program in the prompt, or empty.
        entry_point: name of the function that is tested, or empty; code that defines it stands alone.
    """
    lines = code.strip("\n").split("\n")
    started = [line for line in prefix.split("\n") if line.strip()]
    in_body = started and (started[-1][0] in " \t" or started[-1].rstrip().endswith(":"))
    defined = rf"^(?:(?:async )?def +{re.escape(entry_point)}\b|{re.escape(entry_point)} *=)"
    defines = entry_point and re.search(defined, code, re.MULTILINE)
    if not in_body or defines or _STANDS_ALONE.match(lines[0]):
        return code
    second = next((line for line in lines[1:] if line.strip()), "")
    deep = 8 if lines[0].rstrip().endswith(":") else 4
    if len(second.expandtabs(4)) - len(second.expandtabs(4).lstrip()) >= deep:
        return "\n".join([f"    {lines[0]}", *lines[1:]])
    return textwrap.indent("\n".join(lines), "    ")


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
