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
    python:FILE:function    function(text, example) -> bool, a score from 0 to 1, or Grade; FILE ends in .py
    none                    no answers: likelihood only
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from overmem.errors import DataError, GradeError
from overmem.grading.choose import kind_of_answer
from overmem.grading.code import check_allowed, check_code_example, judge_code, tests_key
from overmem.grading.judges import Grade as Grade  # part of this module's face, too
from overmem.grading.judges import judge_choice, judge_exact, judge_math, judge_mixed
from overmem.grading.own_graders import judge_by_function, judge_by_pattern
from overmem.grading.reasoning import opens_reasoning, split_reasoning
from overmem.keywords import names_its_keywords
from overmem.records import Example

CHOICES = ("math", "exact", "choice", "mixed", "code", "regex:PATTERN", "python:FILE.py:function", "none")
"""What `--grader` accepts."""


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


@names_its_keywords
def grade(
    text: str,
    reference: str | Example,
    grader: str = "math",
    *,
    asked: str | None = None,
    allow_code_execution: bool = False,
) -> Grade:
    """Grade one generated text: the function that an audit uses, for answers of one's own.

    Args:
        text: what the model wrote after the prompt; anything at all.
        reference: the reference answer, or the problem with its answer or tests.
        grader: a name as `get_grader` takes.
        asked: the prompt as it was written, generation prompt included, which may open the model's reasoning;
            the problem's own where it is text.
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
    if asked is None and isinstance(example.prompt, str):
        asked = example.prompt
    response = split_reasoning(text, opened=opens_reasoning(asked or ""))
    if response.unfinished and chosen.name != "none":
        return Grade(None, False, unfinished=True)
    if chosen.runs_code:
        outcome = judge_code(response.answer, example)
        return Grade(outcome.form, outcome.passed)
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
        return Grader(name, needs_answer=True, judge=judge_by_pattern(detail))
    if kind == "python" and detail:
        return Grader(name, needs_answer=False, judge=judge_by_function(name))
    raise GradeError(
        f"unknown grader `{name}`", expected=", ".join(CHOICES), next_step="`none` measures likelihood only"
    )


def _judge_unallowed_code(text: str, example: Example) -> Grade:
    check_allowed(False)
    raise AssertionError("unreachable: nothing is allowed here")


def _judge_none(text: str, example: Example) -> Grade:
    raise GradeError(
        "the grader `none` judges no text",
        expected=", ".join(CHOICES),
        next_step="choose a grader, or skip generation",
    )


_PLAIN: dict[str, Callable[[str, Example], Grade]] = {
    "math": judge_math,
    "exact": judge_exact,
    "choice": judge_choice,
    "mixed": judge_mixed,
    "code": _judge_unallowed_code,
    "none": _judge_none,
}


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
