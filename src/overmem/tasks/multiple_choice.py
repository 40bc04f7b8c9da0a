"""Multiple-choice data sets: ARC, ScienceQA and CommonsenseQA, from the rows that their authors published.

All become one form, so that one grader and one perturbation serve them: the question, a line
`(A) ...` for each option, and a completion that ends in `Answer: (B)`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from overmem.errors import DataError
from overmem.records import Example
from overmem.tasks.fields import read_text, required_text

LETTERS = "ABCDEFGHIJ"
"""Letters of options; the grader `choice` knows as many."""

Row = Mapping[str, Any]


def arc_example(row: Row, example_id: str, where: str) -> Example:
    """ARC: `question`, `choices` (text, label) and `answerKey`, labels 1 to 4 becoming A to D.

    Both published forms are read: the hub's, and AI2's own files, where `question` holds the stem and the
    choices. Source: 1803.05457.
    """
    asked = row.get("question")
    question = required_text(asked, "stem", where) if isinstance(asked, Mapping) else None
    options, labels = _labelled(asked if isinstance(asked, Mapping) else row, where)
    key = row.get("answerKey")
    if not isinstance(key, str) or key not in labels:
        raise DataError(
            f"{where}: the field `answerKey` names no option",
            got=repr(key),
            expected=f"one of {', '.join(labels)}",
            next_step="take a split whose answers are published, such as validation",
        )
    return make_multiple_choice(
        str(row.get("id") or example_id),
        question or required_text(row, "question", where),
        options,
        labels.index(key),
        where,
    )


commonsenseqa_example = arc_example
"""CommonsenseQA comes in the same form, with five options (1811.00937); its test split has no answers."""


def scienceqa_example(row: Row, example_id: str, where: str) -> Example | None:
    """ScienceQA: `hint` before the question, `solution` before the answer, where there are any.

    The `lecture` is left out: it is the textbook, not the reasoning. Source: 2209.09513.

    Returns:
        The example; None for a row with an image, without which its question cannot be answered.
    """
    if row.get("image") is not None:
        return None
    options = row.get("choices")
    if not isinstance(options, Sequence) or isinstance(options, str):
        raise DataError(f"{where}: the field `choices` is not a list", got=type(options).__name__)
    texts = [read_text(option, f"{where}, `choices`").strip() for option in options]
    right = row.get("answer")
    if not isinstance(right, int) or isinstance(right, bool) or not 0 <= right < len(texts):
        raise DataError(
            f"{where}: the field `answer` is not the index of an option",
            got=repr(right),
            expected=f"0 to {len(texts) - 1}",
        )
    hint, solution = (read_text(row.get(key) or "", f"{where}, `{key}`") for key in ("hint", "solution"))
    return make_multiple_choice(
        str(row.get("id") or example_id),
        required_text(row, "question", where),
        texts,
        right,
        where,
        context=hint.strip(),
        solution=solution.strip(),
        meta={key: row[key] for key in ("subject", "topic", "grade") if isinstance(row.get(key), str)},
    )


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


def _labelled(holder: Row, where: str) -> tuple[list[str], list[str]]:
    """Texts and labels of `choices`: two lists (the hub's form) or a list of pairs (the authors')."""
    choices = holder.get("choices")
    pairs: list[tuple[object, object]] = []
    if isinstance(choices, Mapping):
        texts, labels = choices.get("text"), choices.get("label")
        if isinstance(texts, Sequence) and isinstance(labels, Sequence) and len(texts) == len(labels):
            pairs = list(zip(texts, labels, strict=True))
    elif isinstance(choices, Sequence) and all(isinstance(choice, Mapping) for choice in choices):
        pairs = [(choice.get("text"), choice.get("label")) for choice in choices]
    if not pairs:
        raise DataError(
            f"{where}: cannot read the options in `choices`",
            got=repr(choices)[:200],
            expected='{"text": ["...", "..."], "label": ["A", "B"]}',
        )
    return (
        [read_text(text, f"{where}, `choices`").strip() for text, _ in pairs],
        [read_text(label, f"{where}, `choices`") for _, label in pairs],
    )
