"""Which letter (A to J) a text settles on, for multiple choice."""

from __future__ import annotations

import re

from overmem.grading.answers import marked_answer

_LETTER_ALONE = re.compile(r"\s*(?:\\text\{\s*\(?([A-Ja-j])\)?\s*\}|[*(\[]*([A-Ja-j])[\])*]*[.:]?[*]*)\s*\Z")
_LETTER_STATED = re.compile(
    r"(?:\b[Aa](?:nswer|NSWER)\b(?:\s+to\s+(?:this|the)\s+(?:question|problem))?"
    r"(?:\s+(?:is|would\s+be|should\s+be))?|\b(?:option|choice)\s+is\b)"
    r"\s*[:=]?[\s*]*(?:(?:option|choice)\s+)?(?:\\boxed\{|\\text\{|[(\[*$`])*"
    r"(?:([A-HJ](?![\w'\u2019])|I(?![\w'\u2019]|\s+[a-z]))|([a-j])(?=\s*(?:[)\].,;:*$}]|\n|$)))"
)
_LETTER_FIRST = re.compile(r"\s*[*(\[]*(?:([A-Ja-j])[*]*[)\].:](?!\w)|([B-HJ])[*]*(?=\s))")
_LETTER_BRACKETED = re.compile(r"\(([A-J])\)")


def extract_choice(text: str) -> str | None:
    """The letter (A to J) a text settles on, upper case.

    In order: the marked answer, the last "answer is B" or "answer: b", a text that starts with the
    letter (`B`, `(B)`, `B. Paris`), the last letter in brackets. A bare letter inside prose is not an
    answer, since `A` and `I` are words.
    """
    marked = marked_answer(text)
    if marked is not None and (alone := single_letter(marked)):
        return alone
    if marked is not None and (first := _LETTER_FIRST.match(marked)):
        return (first[1] or first[2]).upper()
    said = list(_LETTER_STATED.finditer(text))
    if said:
        return (said[-1][1] or said[-1][2]).upper()
    for pattern in (_LETTER_ALONE, _LETTER_FIRST):
        if letter := pattern.match(text):
            return (letter[1] or letter[2]).upper()
    bracketed = _LETTER_BRACKETED.findall(text)
    return bracketed[-1] if bracketed else None


def single_letter(text: str) -> str | None:
    """The letter of a text that is nothing else (`B`, `(b)`, `B.`), upper case."""
    letter = _LETTER_ALONE.fullmatch(text)
    return None if letter is None else (letter[1] or letter[2]).upper()
