"""The one form of multiple choice: the question, a line `(A) ...` for each option, and `Answer: (B)`.

All data sets become it, so that one grader and one perturbation serve them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from overmem.errors import DataError
from overmem.records import Example

LETTERS = "ABCDEFGHIJ"
"""Letters of options; the grader `choice` knows as many."""


def make_multiple_choice(
    example_id: str,
    question: str,
    options: Sequence[str],
    right: int,
    where: str,
    *,
    context: str = "",
    solution: str = "",
    meta: Mapping[str, object] | None = None,
) -> Example:
    """A multiple-choice example in the form that all data sets share.

    Args:
        example_id: its id.
        question: what is asked.
        options: texts, in order.
        right: index of the right one.
        where: names the row in errors.
        context: what comes before the question.
        solution: what the completion says before the answer.
        meta: metadata.

    Raises:
        DataError: fewer than two options, more than there are letters, or an empty one.
    """
    if not 2 <= len(options) <= len(LETTERS) or not all(options):
        raise DataError(
            f"{where}: not 2 to {len(LETTERS)} options with text",
            got=f"{len(options)}: {list(options)!r}"[:200],
        )
    # An option is one line, by which it is found again.
    lines = [f"({letter}) {' '.join(text.split())}" for letter, text in zip(LETTERS, options, strict=False)]
    letter = LETTERS[right]
    return Example(
        example_id,
        "\n".join([*filter(None, [context, question]), *lines]),
        "\n".join([*filter(None, [solution]), f"Answer: ({letter})"]),
        letter,
        meta or {},
    )


def right_option(value: object, options: Sequence[str], where: str) -> int:
    """Which option an answer names: by its index from 0, its letter (`B`, `(B)`), its text, or both (`B. x`).

    Args:
        value: the answer.
        options: their texts.
        where: names the answer in errors.

    Raises:
        DataError: it names none of them, or a number that is the text of one and the index of another.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        if 0 <= value < len(options):
            return value
    elif isinstance(value, str):
        text = value.strip()
        named = {options.index(text)} if text in options else set()
        bare = text.strip("().:")
        if len(bare) == 1 and bare.upper() in LETTERS[: len(options)]:
            named.add(LETTERS.index(bare.upper()))
        if text.isdecimal() and int(text) < len(options):
            named.add(int(text))
        lettered = re.match(r"\(?([A-Ja-j])[).:]\s*", text)
        if lettered and text[lettered.end() :] in options:
            named |= {LETTERS.index(lettered[1].upper()), options.index(text[lettered.end() :])}
        if len(named) == 1:
            return named.pop()
    raise DataError(
        f"{where} does not name one option",
        got=repr(value),
        expected=f"a letter from A to {LETTERS[min(len(options), len(LETTERS)) - 1]}, an index from 0 to"
        f" {len(options) - 1}, or the text of one",
        next_step="take a split whose answers are published, such as validation, or give --columns",
    )
