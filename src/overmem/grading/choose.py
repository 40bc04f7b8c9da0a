"""Which grader fits a data set: chosen by the bulk of its answers, so that one odd row decides nothing.

A grader that suits most rows judges the others by the kind of their own answers. Rows that cannot be graded
at all are named, so that the caller leaves them out and says how many they were.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from overmem.grading.answers import is_sentence, marked_answer, plain_number
from overmem.grading.letters import single_letter
from overmem.records import Example

Kind = Literal["math", "choice", "exact"]
"""What an answer is, named after the grader that judges such answers: mathematics, a letter, or words."""
BULK = 0.75
"""Share of the answers from which on their kind stands for the whole set."""

_TEXT_ALONE = re.compile(r"\\(?:text|textbf|textit|mathrm|mbox)\s*\{([^{}]*)\}")
_NUMBER_FIRST = re.compile(r"[-+\u2212(\[{]?\s*\\?[$€£¥]?\s*[-\u2212]?\.?[0-9½¼¾⅓⅔]")
_WORDS = re.compile(r"(?<!\\)[^\W\d_]{2,}")
_MATH_WORDS = re.compile(
    r"pi|sqrt|sin|cos|tan|log|ln|exp|inf|infinity|infty|oo|and|or|frac|mod|xy|yz|xz|xyz|ab|abc|bc|ac|dx|dt",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class GraderChoice:
    """The grader that fits some examples."""

    grader: str
    """`math`, `choice`, `exact`, `mixed`, `code`, or `none` where nothing can be graded."""
    n_ungradable: int
    """Examples that it cannot grade, for want of an answer or of tests."""


def choose_grader(examples: Sequence[Example]) -> GraderChoice:
    """The grader that fits the bulk of some examples.

    Rows with tests in place of answers are for `code`. Of the others those that have an answer decide:
    letters ask for `choice`, numbers and formulas for `math`, where three quarters are of that kind; words
    alone for `exact`; anything else for `mixed`, which judges each row by the kind of its own answer.
    """
    kinds = Counter(kind_of_answer(example.answer) for example in examples if _has_answer(example))
    tested = sum(_has_tests(example) and not _has_answer(example) for example in examples)
    answered = kinds.total()
    if tested > answered:
        grader = "code"
    elif not answered:
        grader = "none"
    elif kinds["choice"] >= BULK * answered:
        grader = "choice"
    elif kinds["math"] >= BULK * answered:
        grader = "math"
    else:
        grader = "exact" if kinds["exact"] == answered else "mixed"
    return GraderChoice(grader, 0 if grader == "none" else gradable(grader, examples).count(False))


def kind_of_answer(answer: str | None) -> Kind:
    r"""Which grader judges such an answer.

    Args:
        answer: a reference answer, bare or marked (`\boxed{}`, `####`).
    """
    text = (marked_answer(answer or "") or answer or "").strip().strip("$").strip()
    if single_letter(text):
        return "choice"
    if plain_number(text) is not None:
        return "math"
    bare = _TEXT_ALONE.sub(r" \1 ", text)
    words = [word for word in _WORDS.findall(bare) if not _MATH_WORDS.fullmatch(word)]
    if not words:
        return "math" if re.search(r"[0-9\\^=<>+*/½π√∞]|^[a-zA-Z]$", bare) else "exact"
    counted = _NUMBER_FIRST.match(bare) and not is_sentence(bare)
    return "math" if counted or re.search(r"\\[a-zA-Z]+|[=^]", bare) else "exact"


def gradable(grader: str, examples: Iterable[Example]) -> list[bool]:
    """Of each example, whether a grader can judge answers to it; see `why_ungradable` for the reason."""
    return [why_ungradable(grader, example) is None for example in examples]


def why_ungradable(grader: str, example: Example) -> str | None:
    """Why a grader cannot judge answers to an example, in words after "the row has"; None where it can.

    Args:
        grader: a name as `get_grader` takes.
        example: the problem.
    """
    if grader == "code":
        return None if _has_tests(example) else "no tests"
    if grader == "none" or grader.startswith("python:"):
        return None
    return None if _has_answer(example) else "no answer"


def _has_answer(example: Example) -> bool:
    return bool((example.answer or "").strip())


def _has_tests(example: Example) -> bool:
    tests = example.meta.get("tests")
    return isinstance(tests, str) and bool(tests.strip())
