r"""Graders: is the answer in a model's text the reference answer.

Accuracy is half of every verdict, so what counts as right is chosen by name, checked before any
model runs, and never raises on what a model wrote. Reasoning in think tags is set apart before any
grader sees the text; docs/grading.md says what each accepts.

    math                    the final answer states the same mathematics as the reference
    choice                  the letter (A to J) that the text settles on
    exact                   the final answer is the same text, but for case, Unicode form and punctuation
    mixed                   each row by the kind of its own answer: math, choice or exact
    code                    the problem's tests pass, run in a sandbox; only where the user allows it
    regex:PATTERN           the first group that matched (or the whole) of the last match, equal as text
    python:module:function  function(text, example) -> bool, a score from 0 to 1, or Grade
    none                    no answers: likelihood only
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from overmem.errors import DataError, GradeError
from overmem.grading.answers import canonical_answer, is_sentence, last_number, marked_answer, stated_answer
from overmem.grading.choose import kind_of_answer
from overmem.grading.code import check_allowed, check_code_example, judge_code, tests_key
from overmem.grading.letters import extract_choice, single_letter
from overmem.grading.math_equal import MAX_EXPRESSION_CHARS, same_math
from overmem.grading.reasoning import opens_reasoning, split_reasoning
from overmem.records import Example

CHOICES = ("math", "exact", "choice", "mixed", "code", "regex:PATTERN", "python:module:function", "none")
"""What `--grader` accepts."""
RIGHT_FROM = 0.5
"""A `python:` grader's score counts as right from here on."""


@dataclass(frozen=True)
class Grade:
    """The outcome for one generated text."""

    answer: str | None
    """The answer found, in one spelling so that equal answers vote together; None when none was found."""
    correct: bool
    unfinished: bool = False
    """The text broke off inside its reasoning, before any answer; then it is not correct."""


@dataclass(frozen=True)
class Grader:
    """A grader that was validated and is ready to use."""

    name: str
    needs_answer: bool
    """Whether an Example without `answer` is an error."""
    judge: Callable[[str, Example], Grade]

    @property
    def runs_code(self) -> bool:
        """Whether answers are run, which takes the user's permission and some 50 ms each."""
        return self.name == "code"


def grade(
    text: str, reference: str | Example, grader: str = "math", *, allow_code_execution: bool = False
) -> Grade:
    """Grade one generated text: the function that an audit uses, for answers of one's own.

    Args:
        text: what the model wrote after the prompt; anything at all.
        reference: the reference answer, or the problem with its answer or tests.
        grader: a name as `get_grader` takes.
        allow_code_execution: the user lets the grader `code` run what models write.

    Raises:
        GradeError: the grader is unknown, is `none`, may not run, or its own code failed.
        DataError: the example lacks the answer or the tests that the grader needs.
    """
    chosen = get_grader(grader)
    example = reference if isinstance(reference, Example) else Example("reference", "", reference, reference)
    if chosen.runs_code:
        check_allowed(allow_code_execution)
        check_code_example(example)
    elif chosen.needs_answer and not (example.answer or "").strip():
        raise _lacks_answer(example, grader)
    opened = isinstance(example.prompt, str) and opens_reasoning(example.prompt)
    response = split_reasoning(text, opened=opened)
    if response.unfinished and chosen.name != "none":
        return Grade(None, False, unfinished=True)
    return chosen.judge(response.answer, example)


def check_gradable(grader: str, examples: Sequence[Example], *, allow_code_execution: bool = False) -> None:
    """Fail before any model runs when an example cannot be graded.

    Args:
        grader: a name as `get_grader` takes.
        examples: the problems.
        allow_code_execution: see `grade`.

    Raises:
        GradeError: the grader is unknown, or may not run.
        DataError: an example lacks an answer, or tests for `code`; most answers are no letters, for `choice`.
    """
    chosen = get_grader(grader)
    if chosen.runs_code:
        check_allowed(allow_code_execution)
    for example in examples:
        if chosen.needs_answer and (example.answer is None or not example.answer.strip()):
            raise _lacks_answer(example, grader)
        if chosen.runs_code:
            check_code_example(example)
    if grader == "choice":
        _check_letters(examples)


def grading_key(grader: str, example: Example) -> str:
    """What a saved grade rests on beside the text, where grading again costs too much to do it in vain.

    Args:
        grader: a name as `get_grader` takes.
        example: the problem; of its tests `code` keeps a digest, other graders have their name alone.
    """
    return f"code:{tests_key(example)}" if get_grader(grader).runs_code else grader


@lru_cache(maxsize=64)
def get_grader(name: str) -> Grader:
    """Look a grader up and validate it.

    Raises:
        GradeError: unknown name, a pattern that does not compile, or a function that cannot be found.
    """
    kind, _, detail = name.partition(":")
    if name in _PLAIN:
        return Grader(name, needs_answer=name not in ("none", "code"), judge=_PLAIN[name])
    if kind == "regex" and detail:
        return Grader(name, needs_answer=True, judge=_regex_judge(detail))
    if kind == "python" and detail:
        return Grader(name, needs_answer=False, judge=_python_judge(name, detail))
    raise GradeError(
        f"unknown grader `{name}`", expected=", ".join(CHOICES), next_step="`none` measures likelihood only"
    )


def extract_math(text: str) -> str | None:
    r"""The answer of a worked solution.

    In order: the last `\boxed{}`, what follows the last `####`, what follows the last `The answer is:`
    (MetaMathQA), the last number.
    """
    found = marked_answer(text) or stated_answer(text) or last_number(text)
    if found is None or len(found) > MAX_EXPRESSION_CHARS:
        return None
    return canonical_answer(found) or None


def _judge_math(text: str, example: Example) -> Grade:
    answer, gold = extract_math(text), example.answer or ""
    gold = marked_answer(gold) or gold
    if is_sentence(gold):  # `3 + 4 = 7, so Tom has 7 apples.` in a short `answer` column
        gold = extract_math(gold) or gold
    return Grade(answer, answer is not None and same_math(gold, answer))


def _judge_exact(text: str, example: Example) -> Grade:
    answer, gold = (marked_answer(text) or text).strip(), (example.answer or "").strip()
    if canonical_answer(answer) == gold:
        answer = gold  # a reference after `####` was read without its final period or emphasis
    return Grade(answer or None, bool(answer) and answer == gold)


def _judge_choice(text: str, example: Example) -> Grade:
    gold = single_letter(marked_answer(example.answer or "") or example.answer or "")
    if gold is None:
        return _judge_mixed(text, example)
    answer = extract_choice(text)
    return Grade(answer, answer == gold)


def _judge_mixed(text: str, example: Example) -> Grade:
    return _PLAIN[kind_of_answer(example.answer)](text, example)


def _judge_code(text: str, example: Example) -> Grade:
    outcome = judge_code(text, example)
    return Grade(outcome.form, outcome.passed)


def _judge_none(text: str, example: Example) -> Grade:
    raise GradeError(
        "the grader `none` judges no text",
        expected=", ".join(CHOICES),
        next_step="choose a grader, or skip generation",
    )


_PLAIN: dict[str, Callable[[str, Example], Grade]] = {
    "math": _judge_math,
    "exact": _judge_exact,
    "choice": _judge_choice,
    "mixed": _judge_mixed,
    "code": _judge_code,
    "none": _judge_none,
}


def _regex_judge(pattern: str) -> Callable[[str, Example], Grade]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise GradeError("the grader's pattern does not compile", got=pattern, expected=str(error)) from error

    def judge(text: str, example: Example) -> Grade:
        found: str | None = None
        for match in compiled.finditer(text):
            found = match[1] if compiled.groups else match[0]
        answer = None if found is None else found.strip() or None
        return Grade(answer, answer is not None and answer == (example.answer or "").strip())

    return judge


def _python_judge(name: str, detail: str) -> Callable[[str, Example], Grade]:
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


def _check_letters(examples: Sequence[Example]) -> None:
    """Refuse `choice` for answers that are mostly no letters; a few others are judged by their own kind."""
    others = [example for example in examples if kind_of_answer(example.answer) != "choice"]
    if 2 * len(others) > len(examples):
        raise DataError(
            f"row `{others[0].id}`: the answer is not a letter from A to J",
            got=repr(others[0].answer),
            expected="such as B or (B), which the grader `choice` compares",
            next_step="use the grader `mixed` or `exact`, or `none` to measure likelihood only",
        )


def _lacks_answer(example: Example, grader: str) -> DataError:
    return DataError(
        f"row `{example.id}` has no answer for the grader `{grader}` to compare with",
        expected="an `answer` field, or a completion ending in `#### 42`",
        next_step="add answers, or use the grader `none` to measure likelihood only",
    )
