"""The grader `code`: find the code in what a model wrote, and run the problem's tests on it in the sandbox.

What it needs stands in an example's `meta`, where the fields of one's own files go too:

    tests         Python that fails on wrong answers: asserts, run after the answer in the same module
    entry_point   optional: name of the function that the tests call
    prefix        optional: start of the program, which ends the prompt and which the answer may go on with
    setup         optional: run before the answer, such as imports
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Set

from overmem.errors import DataError, GradeError
from overmem.grading.sandbox import Outcome, check_sandbox, run_code
from overmem.records import Example

FIELDS = ("tests", "entry_point", "prefix", "setup")
"""Of an example's `meta`."""
_FENCE = re.compile(r"^[ \t]*(```+|~~~+)[ \t]*([\w+#.-]*)[ \t]*$", re.MULTILINE)
_CODE = re.compile(r"^(?:[ \t]+\S|@\w|(?:async def|class|def|from|import)\b)", re.MULTILINE)
"""A line of code rather than prose: indented, or beginning as a definition or an import does."""

_CALLED = re.compile(r"\b([A-Za-z_]\w*)\(")
_DEFINED = re.compile(r"^(?:async def|def|class)[ \t]+(\w+)", re.MULTILINE)
_PYTHON = re.compile(r"(?:py(?:thon)?(?:3(?:\.\d+)?)?)?")
"""Names of the language after a fence."""


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


def find_code(text: str, names: Set[str] = frozenset()) -> str:
    """The code in an answer: of the fenced blocks marked as Python, else of the unmarked ones, else all.

    Of several blocks the last that defines what the tests call counts, else the last: an example of use
    often follows the function. A block that is never closed ends with the text, as when an answer is cut
    short. A lone fence after code closes what the prompt opened.

    Args:
        text: what the model wrote.
        names: of what the tests call.
    """
    text = text.replace("\r\n", "\n")
    blocks: dict[bool, list[str]] = {}
    opened: re.Match[str] | None = None
    for fence in _FENCE.finditer(text):
        if opened is None:
            opened = fence
        elif fence[1].startswith(opened[1]) and not fence[2]:
            _keep(blocks, opened, text[opened.end() + 1 : fence.start()])
            opened = None
    if opened is not None:
        before, after = text[: opened.start()], text[opened.end() + 1 :]
        alone = not opened[2] and not _FENCE.search(before)
        if alone and before.strip() and (_CODE.search(before) or not after.strip()):
            return before
        _keep(blocks, opened, after)
    found = blocks.get(True) or blocks.get(False) or [text]
    return next((code for code in reversed(found) if names & set(_DEFINED.findall(code))), found[-1])


def _keep(blocks: dict[bool, list[str]], opened: re.Match[str], code: str) -> None:
    if _PYTHON.fullmatch(opened[2].lower()):
        blocks.setdefault(bool(opened[2]), []).append(code)


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
