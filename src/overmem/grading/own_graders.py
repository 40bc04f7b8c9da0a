"""Graders of one's own: `regex:PATTERN` and `python:module:function`."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable
from typing import Any

from overmem.errors import GradeError
from overmem.grading.answers import canonical_answer
from overmem.grading.judges import Grade
from overmem.records import Example

RIGHT_FROM = 0.5
"""A function's score counts as right from here on."""


def judge_by_pattern(pattern: str) -> Callable[[str, Example], Grade]:
    """Judge by a pattern: its last match, there the first group that matched, or all of it where it has none.

    Raises:
        GradeError: the pattern does not compile.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise GradeError("the grader's pattern does not compile", got=pattern, expected=str(error)) from error

    def judge(text: str, example: Example) -> Grade:
        found: str | None = None
        for match in compiled.finditer(text):
            groups = [group for group in match.groups() if group is not None]
            found = (groups[0] if groups else None) if compiled.groups else match[0]
        answer = None if found is None else found.strip() or None
        gold = (example.answer or "").strip()
        same = answer is not None and (answer == gold or canonical_answer(answer) == canonical_answer(gold))
        return Grade(answer, same)

    return judge


def judge_by_function(name: str, detail: str) -> Callable[[str, Example], Grade]:
    """Judge by a function of the user's.

    Args:
        name: of the grader, for errors.
        detail: `module:function`.

    Raises:
        GradeError: it cannot be found; later, it failed or returned something else.
    """
    function = _find_function(name, detail)

    def judge(text: str, example: Example) -> Grade:
        try:
            result = function(text, example)
        except Exception as error:
            raise GradeError(
                f"the grader `{name}` failed on row `{example.id}`",
                got=f"{type(error).__name__}: {error}",
                next_step="make the function return False for text it cannot read",
            ) from error
        if isinstance(result, Grade):
            return result
        if isinstance(result, bool | int | float):
            return Grade(None, bool(result >= RIGHT_FROM))
        raise GradeError(
            f"the grader `{name}` returned {type(result).__name__}",
            got=repr(result)[:100],
            expected="bool, a score from 0 to 1, or overmem.tasks.Grade",
        )

    return judge


def _find_function(name: str, detail: str) -> Callable[[str, Example], Any]:
    module_name, _, function_name = detail.partition(":")
    if not module_name or not function_name:
        raise GradeError(f"malformed grader `{name}`", expected="python:module:function")
    here = "" not in sys.path
    if here:  # a console script does not look in the working folder, where the user's module usually lies
        sys.path.insert(0, "")
    try:
        function = getattr(importlib.import_module(module_name), function_name, None)
    except Exception as error:
        raise GradeError(
            f"cannot import the module of grader `{name}`",
            got=f"{type(error).__name__}: {error}",
            next_step="run from the folder that holds the module, or set PYTHONPATH",
        ) from error
    finally:
        if here:
            sys.path.remove("")
    if not callable(function):
        raise GradeError(f"`{module_name}` has no function `{function_name}`", got=type(function).__name__)
    return function  # type: ignore[no-any-return]
