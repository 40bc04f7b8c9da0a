"""Multiple-choice data sets, from the rows that their authors published.

All become the form of `multiple_choice.py`.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from typing import Any

from overmem.errors import DataError
from overmem.records import Example
from overmem.tasks.columns import has_content, refuse_media
from overmem.tasks.fields import read_options, read_text, required_text
from overmem.tasks.multiple_choice import LETTERS, make_multiple_choice, right_option

Row = Mapping[str, Any]

QUESTION = ("question", "query")
OPTIONS = ("options", "choices", "answers")
RIGHT = ("answer", "correct_option", "correct", "label", "answer_index", "answer_idx")
CONTEXT = ("context", "passage", "article", "text", "hint")
SOLUTION = ("solution", "cot_content", "rationale", "explanation")
"""Names that data sets give the parts of a question with a list of options. The first with content counts; of
contexts all do."""


def arc_example(row: Row, example_id: str, where: str) -> Example:
    """ARC: `question`, `choices` (text, label) and `answerKey`, labels 1 to 4 becoming A to D.

    Both published forms are read: the hub's, and AI2's own files, where `question` holds the stem and the
    choices. Source: 1803.05457.
    """
    key = "question" if row.get("question") is not None else "question_stem"  # as OpenBookQA has it
    asked = row.get(key)
    question = required_text(asked, "stem", where) if isinstance(asked, Mapping) else None
    options, labels = _labelled(asked if isinstance(asked, Mapping) else row, where)
    right = row.get("answerKey")
    if not isinstance(right, str) or right not in labels:
        raise DataError(
            f"{where}: the field `answerKey` names no option",
            got=repr(right),
            expected=f"one of {', '.join(labels)}",
            next_step="take a split whose answers are published, such as validation",
        )
    return make_multiple_choice(
        str(row.get("id") or example_id),
        question or required_text(row, key, where),
        options,
        labels.index(right),
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


def options_example(row: Row, example_id: str, where: str) -> Example:
    """A question with a list of options: MMLU, MMLU-Pro, LogiQA, ReClor, RACE and others of that form.

    The right one is named by letter, by index from 0 or by its text. A context comes before the question, a
    solution before the answer. Sources: 2009.03300, 2406.01574, 2007.08124.

    Raises:
        DataError: a part is missing, or the answer names no option.
    """
    refuse_media(row, where)
    key = first_with_content(row, OPTIONS)
    texts = read_options(row.get(key), f"{where}, `{key}`")
    right = first_with_content(row, RIGHT)
    solution = _text(row, first_with_content(row, SOLUTION), where)
    return make_multiple_choice(
        example_id if row.get("id") is None else read_text(row["id"], f"{where}, `id`"),
        required_text(row, first_with_content(row, QUESTION), where),
        without_labels(texts),
        right_option(row.get(right), texts, f"{where}, `{right}`"),
        where,
        context="\n".join(filter(None, (_text(row, key, where) for key in CONTEXT))),
        solution=solution.removeprefix("A: "),
        meta={key: row[key] for key in ("subject", "category") if isinstance(row.get(key), str)},
    )


def is_options_row(row: Row) -> bool:
    """Whether a row is a question with a list of options and one that is right."""
    options = row.get(first_with_content(row, OPTIONS))
    has_list = isinstance(options, list | tuple) and all(isinstance(text, str) for text in options)
    has_letters = isinstance(options, Mapping) and {"A", "B"} <= options.keys()
    is_text = isinstance(options, str) and options.lstrip()[:1] in ("[", "{")
    if not has_content(options) or not (has_list or has_letters or is_text):
        return False
    return all(row.get(first_with_content(row, keys)) is not None for keys in (QUESTION, RIGHT))


def gpqa_example(row: Row, example_id: str, where: str) -> Example:
    """GPQA: `Question`, the right answer and three wrong ones, in an order drawn by the question.

    The order is the same wherever the row stands and on every machine. Source: 2311.12022.
    """
    question, right = required_text(row, "Question", where), required_text(row, "Correct Answer", where)
    wrong = [required_text(row, f"Incorrect Answer {number}", where) for number in (1, 2, 3)]
    order = random.Random(f"gpqa/{question}").sample(range(4), 4)
    options = [[right, *wrong][index] for index in order]
    return make_multiple_choice(
        str(row.get("Record ID") or example_id),
        question,
        options,
        order.index(0),
        where,
        solution=_text(row, "Explanation", where),
        meta={"subject": row["Subdomain"]} if isinstance(row.get("Subdomain"), str) else {},
    )


def yes_no_example(row: Row, example_id: str, where: str) -> Example:
    """A question whose answer is true or false, asked as (A) yes, (B) no: BoolQ and StrategyQA.

    BoolQ's `passage` comes before the question, StrategyQA's `facts` before the answer. SuperGLUE's form of
    BoolQ has `label`. Sources: 1905.10044, 2101.02235.

    Raises:
        DataError: no such answer.
    """
    refuse_media(row, where)
    key = "answer" if row.get("answer") is not None else "label"
    is_yes = {"true": True, "1": True, "false": False, "0": False}.get(str(row.get(key)).lower())
    if is_yes is None:
        raise DataError(f"{where}: `{key}` is neither true nor false", got=repr(row.get(key)))
    facts = row.get("facts")
    solution = " ".join(map(str, facts)) if isinstance(facts, list | tuple) else _text(row, "facts", where)
    return make_multiple_choice(
        str(row.get("qid") or example_id),
        required_text(row, "question", where),
        ("yes", "no"),
        0 if is_yes else 1,
        where,
        context=_text(row, "passage", where),
        solution=solution,
    )


def bbh_example(row: Row, example_id: str, where: str) -> Example:
    """BIG-Bench Hard: `input` and `target`, a letter where the input has options. Source: 2210.09261."""
    target = required_text(row, "target", where)
    return Example(example_id, required_text(row, "input", where), target, target)


def first_with_content(row: Row, keys: Sequence[str]) -> str:
    """The first of some columns that holds something; the first of all when none does."""
    return next((key for key in keys if has_content(row.get(key))), keys[0])


def without_labels(options: Sequence[str]) -> list[str]:
    """Options without the letters before them (`A) 21`, `(A) 21`), where all have theirs."""
    labelled = [
        re.fullmatch(rf"\(?{letter}[).:]\s*(\S.*)", option, re.DOTALL)
        for letter, option in zip(LETTERS, options, strict=False)
    ]
    bare = [match[1] for match in labelled if match]
    return bare if len(bare) == len(options) else list(options)


def _text(row: Row, key: str, where: str) -> str:
    value = row.get(key)
    return "" if value is None else read_text(value, f"{where}, `{key}`").strip()


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
