"""Graders of one's own: `regex:PATTERN`, and a function, `python:FILE.py:function`."""

from __future__ import annotations

import re
from collections.abc import Callable

from overmem.errors import GradeError
from overmem.grading.answers import canonical_answer
from overmem.grading.judges import Grade
from overmem.own_functions import FAULTS, find_own_function, said_by
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


def judge_by_function(name: str) -> Callable[[str, Example], Grade]:
    """Judge by a function of the user's.

    Args:
        name: of the grader; see `overmem.own_functions`.

    Raises:
        GradeError: it cannot be found; later, it failed or returned something else.
    """
    function = find_own_function(name, "grader", GradeError)

    def judge(text: str, example: Example) -> Grade:
        try:
            result = function(text, example)
        except FAULTS as error:
            raise GradeError(
                f"the grader `{name}` failed on row `{example.id}`",
                got=said_by(error),
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
