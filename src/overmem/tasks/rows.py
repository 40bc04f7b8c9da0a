"""One row to an example: its system message and history, its final answer, and what may not be dropped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from overmem.errors import DataError
from overmem.grading.answers import reference_answer
from overmem.records import Example, Message
from overmem.tasks.columns import TOOLS, has_content, refuse_unread
from overmem.tasks.conversations import Content
from overmem.tasks.fields import read_text
from overmem.tasks.preferences import is_bad_answer, is_marked
from overmem.tasks.shapes import WHOLE_TEXT, Reader

Row = Mapping[str, Any]
Prompt = str | tuple[Message, ...]

MAX_ANSWER_CHARS = 100
"""A one-line `answer` column up to this long is its own final answer; longer ones are solutions."""

_BEFORE = frozenset({"system", "system_prompt", "history"})


def read_row(row: Row, default_id: str, where: str, *, reader: Reader) -> Example | None:
    """One row in the shape of the first.

    Args:
        row: the row.
        default_id: its id, when it has none of its own.
        where: names the row in errors.
        reader: of its shape.

    Returns:
        The example; None for a row that is marked as a bad answer.

    Raises:
        DataError: the row does not fit the shape, is empty, or has a column that may not be dropped.
    """
    for key in reader.required:
        if row.get(key) is None:
            raise DataError(
                f"{where} lacks the field `{key}`",
                got=f"keys {', '.join(sorted(str(k) for k, v in row.items() if v is not None)) or '(none)'}",
                expected=f"{', '.join(reader.required)}, as in the first row ({reader.name})",
            )
    if is_bad_answer(row):
        return None
    if not reader.refused_columns.isdisjoint(row):
        unread = sorted(reader.refused_columns & row.keys())
        refuse_unread(row, unread, where, reader.required[0], reader.required[-1])
    content = _with_history(reader.read(row, where), row, reader, where)
    prompt, completion, chat = content
    if chat.tools is None and not TOOLS.isdisjoint(row):
        refuse_unread(row, sorted(TOOLS & row.keys()), where, reader.required[0], reader.required[-1])
    if reader.required != WHOLE_TEXT and (not prompt or (isinstance(prompt, str) and not prompt.strip())):
        raise DataError(f"{where} has an empty prompt", expected=f"text or messages from {reader.prompt}")
    if not completion.strip() and isinstance(prompt, str):  # of a conversation the end of the turn is trained
        raise DataError(
            f"{where} has an empty completion",
            got=repr(completion),
            expected=f"text from {reader.completion}, whose tokens are scored",
            next_step="drop the row, or fill it in",
        )
    identity = row.get("id")
    return Example(
        id=default_id if identity is None else read_text(identity, f"{where}, `id`"),
        prompt=prompt,
        completion=completion,
        answer=_final_answer(row, reader, completion, where),
        meta={
            str(key): value
            for key, value in row.items()
            if key not in reader.not_kept and isinstance(value, str | int | float | bool)
        },
        chat=replace(chat, trains_every_turn=False) if is_marked(row) else chat,
        row=row,
    )


def _with_history(content: Content, row: Row, reader: Reader, where: str) -> Content:
    """A row's content with its system message and the turns before it, where it has such columns."""
    if _BEFORE.isdisjoint(row):
        return content
    before: list[Message] = []
    for key in ("system", "system_prompt"):
        if has_content(row.get(key)):
            before.append({"role": "system", "content": read_text(row[key], f"{where}, `{key}`")})
    history = None if reader.whole else row.get("history")
    for turn in history if isinstance(history, list | tuple) else ():
        if not isinstance(turn, list | tuple) or len(turn) != 2:
            raise DataError(f"{where}, `history` is not pairs of question and answer", got=repr(turn)[:100])
        for role, text in zip(("user", "assistant"), turn, strict=True):
            before.append({"role": role, "content": read_text(text, f"{where}, `history`")})
    turns = as_turns(content.prompt)
    has_own = any(turn["role"] == "system" for turn in turns)
    if not before or (reader.whole and has_own):  # a conversation's own system message goes before a column
        return content
    if has_own and before[0]["role"] == "system":
        raise DataError(
            f"{where} has a system message in its prompt and another in a column of its own",
            next_step="remove one of them",
        )
    chat = content.chat
    if (reader.whole or reader.required == ("prompt", "completion")) and chat.as_written is None:
        reply = chat.reply or ({"role": "assistant", "content": content.completion},)
        chat = replace(chat, as_written=(*turns, *reply))  # trainers that know messages alone see these
    return Content((*before, *turns), content.completion, chat)


def as_turns(prompt: Prompt) -> tuple[Message, ...]:
    """A prompt as messages: a text is one user turn."""
    return ({"role": "user", "content": prompt},) if isinstance(prompt, str) else prompt


def _final_answer(row: Row, reader: Reader, completion: str, where: str) -> str | None:
    """`answer` field, else what the completion marks as final, else a short `answer` column as a whole.

    Rows with tests have no answer: `####` in code begins a comment. Nor has a text without a question.
    """
    if "answer" not in reader.required and row.get("answer") is not None and reader.required != WHOLE_TEXT:
        return read_text(row["answer"], f"{where}, `answer`").strip() or None
    if isinstance(row.get("tests"), str) or reader.required == WHOLE_TEXT:
        return None
    if reader.truth and row.get(reader.truth) is not None:
        truth = read_text(row[reader.truth], f"{where}, `{reader.truth}`")
        return reference_answer(truth) or _short(truth)
    if (marked := reference_answer(completion)) is not None:
        return marked
    return _short(completion) if {"answer", "target"} & set(reader.required) else None


def _short(text: str) -> str | None:
    """A text that is an answer as a whole."""
    text = text.strip()
    return text if text and len(text) <= MAX_ANSWER_CHARS and "\n" not in text else None


def answer_source(row: Row, reader: Reader, example: Example) -> str:
    """Where the final answer of a row that has one comes from, in words."""
    if "answer" not in reader.required and row.get("answer") is not None:
        return "field `answer`"
    if reader.truth and row.get(reader.truth) is not None:
        return f"field `{reader.truth}`"
    if example.completion.strip() == example.answer:
        return f"field {reader.completion}"
    return "after `####`" if "####" in example.completion else "as the completion marks it"
