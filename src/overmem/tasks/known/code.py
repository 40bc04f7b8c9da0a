"""Data sets of code: HumanEval, MBPP and APPS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from overmem.errors import DataError
from overmem.records import Example
from overmem.tasks.fields import read_list, read_text, required_raw_text, required_text


def humaneval_example(row: Mapping[str, Any], example_id: str, where: str) -> Example:
    """A function to complete: the prompt is its head, the completion its body, both to the letter."""
    prompt, entry_point = required_raw_text(row, "prompt", where), required_text(row, "entry_point", where)
    tests = f"{required_raw_text(row, 'test', where)}\n\ncheck({entry_point})\n"
    return Example(
        str(row.get("task_id") or example_id),
        prompt,
        required_raw_text(row, "canonical_solution", where),
        meta={"tests": tests, "entry_point": entry_point, "prefix": prompt},
    )


def mbpp_example(row: Mapping[str, Any], example_id: str, where: str) -> Example:
    """A function described in a sentence; the tests stand in the prompt, since they alone name it.

    Read are both published forms: the full one (`text`, `test_setup_code`) and the sanitized one (`prompt`,
    `test_imports`).
    """
    task = required_text(row, "text" if row.get("text") is not None else "prompt", where)
    listed = row.get("test_list")
    if not isinstance(listed, list | tuple) or not listed:
        raise DataError(
            f"{where} has no tests", got=repr(listed)[:100], expected="`test_list`, a list of asserts"
        )
    tests = "\n".join(map(str, listed))
    setup = [str(row.get("test_setup_code") or ""), *map(str, row.get("test_imports") or ())]
    return Example(
        str(row.get("task_id") or example_id),
        f"{task}\n\nYour code should pass these tests:\n{tests}\n\n",
        required_text(row, "code", where).replace("\r\n", "\n"),
        meta={"tests": tests, "setup": "\n".join(filter(None, setup))},
    )


def apps_example(row: Mapping[str, Any], example_id: str, where: str) -> Example | None:
    """APPS: the question with its starter code, and the first of the published solutions.

    Its tests feed a program's standard input, which the grader `code` does not, so that nothing is graded.
    Source: 2105.09938.

    Returns:
        The example; None for a row without a published solution.
    """
    listed = row.get("solutions")
    solutions = read_list(listed, f"{where}, `solutions`") if listed else []
    if not solutions:
        return None
    starter = read_text(row.get("starter_code") or "", f"{where}, `starter_code`")
    question = required_text(row, "question", where)
    return Example(
        str(row.get("problem_id", example_id)),
        f"{question}\n\n{starter.rstrip()}\n" if starter.strip() else f"{question}\n",
        read_text(solutions[0], f"{where}, `solutions`").strip(),
        meta={"difficulty": row["difficulty"]} if isinstance(row.get("difficulty"), str) else {},
    )
