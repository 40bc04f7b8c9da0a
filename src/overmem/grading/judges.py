"""The graders that compare a text with a reference answer: by mathematics, by letter, by text.

Each takes the text after its reasoning and an example with an answer, and never raises on what a model wrote.
"""

from __future__ import annotations

from dataclasses import dataclass

from overmem.grading.answers import (
    after_marker,
    canonical_answer,
    is_sentence,
    last_boxes,
    plain_number,
)
from overmem.grading.choose import kind_of_answer
from overmem.grading.exact import find_exact, same_text
from overmem.grading.final_answer import final_answer
from overmem.grading.letters import extract_choice, letter_of_option, single_letter
from overmem.grading.mathematics.equal import MAX_EXPRESSION_CHARS, same_math
from overmem.grading.mathematics.latex import spell
from overmem.grading.mathematics.names import is_name
from overmem.records import Example

MAX_SHORT_CHARS = 60
"""A text up to this long in which no answer is found is its own answer, such as `all real numbers`."""


@dataclass(frozen=True)
class Grade:
    """The outcome for one generated text."""

    answer: str | None
    """The answer found, in one spelling so that equal answers vote together; None when none was found."""
    correct: bool
    unfinished: bool = False
    """The text broke off inside its reasoning, before any answer; then it is not correct."""


def extract_math(text: str) -> str | None:
    """The final answer of a worked solution, in one spelling; None where there is none to compare."""
    found = final_answer(text)
    return None if found is None or len(found) > MAX_EXPRESSION_CHARS else _spelled(found)


def judge_math(text: str, example: Example) -> Grade:
    """By its mathematics; a reference in words, or a letter, by its text."""
    gold, found = _bare(example.answer or ""), final_answer(text)
    if found is not None and len(found) > MAX_EXPRESSION_CHARS:
        found = None
    elif found is None and len(text) <= MAX_SHORT_CHARS and "\n" not in text.strip():
        found = text.strip() or None
    answer = _spelled(found) if found else None
    if found is not None and (same_math(gold, found) or _is_each_of_several(text, gold)):
        return Grade(answer, True)
    kind = kind_of_answer(gold)
    if kind == "choice" and not spell(gold).islower() and extract_choice(text) == single_letter(gold):
        return Grade(canonical_answer(gold), True)
    if kind == "exact" and (said := find_exact(text, gold)) is not None and same_text(gold, said):
        return Grade(canonical_answer(gold), True)
    if is_sentence(gold) and found is not None:  # `3 + 4 = 7, so Tom has 7 apples.` as an answer
        stated = final_answer(gold)
        return Grade(answer, stated is not None and same_math(stated, found))
    return Grade(answer, False)


def _spelled(answer: str) -> str | None:
    """One spelling for answers that vote: a number as `canonical_answer` has it, LaTeX without a name."""
    text = canonical_answer(answer)
    if plain_number(text) is not None or is_sentence(text):
        return text
    name, equals, value = spell(text).partition("=")
    text = value.strip() if equals and is_name(name) and "=" not in value else spell(text)
    return canonical_answer(text) or None


def _bare(gold: str) -> str:
    """A reference without the marks that show it: all of several boxes, else what follows `####`."""
    return ", ".join(last_boxes(gold)) or after_marker(gold) or gold


def _is_each_of_several(text: str, gold: str) -> bool:
    """Whether a text boxes one answer in several forms, each of them right."""
    boxes = last_boxes(text)
    return len(boxes) > 1 and all(same_math(gold, box) for box in boxes)


def judge_exact(text: str, example: Example) -> Grade:
    """By its text."""
    gold = _bare(example.answer or "").strip()
    answer = find_exact(text, gold)
    if answer is not None and same_text(gold, answer):
        return Grade(gold, True)
    return Grade(answer, False)


def judge_choice(text: str, example: Example) -> Grade:
    """By its letter; a reference that is none by its own kind."""
    gold = single_letter(_bare(example.answer or ""))
    if gold is None:
        return judge_mixed(text, example)
    answer = extract_choice(text)
    if answer is None and (said := find_exact(text, "")) is not None:
        answer = letter_of_option(said, _prompt_text(example))
    return Grade(answer, answer == gold)


def _prompt_text(example: Example) -> str:
    if isinstance(example.prompt, str):
        return example.prompt
    return "\n".join(str(message.get("content", "")) for message in example.prompt)


def judge_mixed(text: str, example: Example) -> Grade:
    """By the kind of the row's own answer."""
    return {"math": judge_math, "choice": judge_choice, "exact": judge_exact}[kind_of_answer(example.answer)](
        text, example
    )
