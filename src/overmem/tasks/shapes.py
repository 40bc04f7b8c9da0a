"""Recognise the shape of a row by its keys and turn it into an Example.

Fine-tuning data come in a handful of shapes; guessing silently would audit another text than the
one trained on. So each shape is one entry of a table, what was recognised is reported, and a row
that does not fit is an error naming the row, the keys found and the shapes known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

from overmem.errors import DataError
from overmem.grading.answers import after_marker, canonical_answer, plain_number
from overmem.records import Example
from overmem.rendering.trained_tokens import is_tokenized
from overmem.tasks.conversations import Content, read_chat, read_pair
from overmem.tasks.fields import read_text
from overmem.tasks.tokenized import read_tokenized

Row = Mapping[str, Any]

MAX_ANSWER_CHARS = 100
"""A one-line `answer` column up to this long is its own final answer; longer ones are solutions."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What was recognised in a data source; `str()` is the line a person reads."""

    name: str
    """One of the known shapes, such as `question/answer`."""
    prompt: str
    """The fields the prompt comes from."""
    completion: str
    """The field the completion comes from."""
    answer: str
    """Where the final answers come from."""
    rows: int
    answered: int
    """Rows with a final answer; only these can be graded."""
    numbered: bool = False
    """No row has an `id`, so that their ids are the numbers of the rows."""

    def __str__(self) -> str:
        """One line for the terminal."""
        answers = (
            f"{self.answered} with a final answer ({self.answer})" if self.answered else "no final answers"
        )
        return (
            f"{self.name}: prompt from {self.prompt}, completion from {self.completion};"
            f" {self.rows} rows, {answers}"
        )


@dataclass(frozen=True)
class _Reader:
    name: str
    required: tuple[str, ...]
    read: Callable[[Row, str], Content]
    prompt: str
    completion: str


def examples_from_rows(rows: Iterable[tuple[str, object]], source: str) -> tuple[list[Example], Shape | str]:
    """Read every row in the shape of the first one.

    Args:
        rows: pairs of (where, row); `where` names the row in errors, such as `row 3 (line 4)`.
        source: the file or hub id, for errors.

    Returns:
        Examples in row order, ids being the `id` field or else the row's index from 0, and what was
        recognised.

    Raises:
        DataError: no rows, an unknown shape, a row that does not fit it, or two rows with one id.
    """
    rows = iter(rows)
    examples: list[Example] = []
    seen: dict[str, str] = {}
    numbered = True
    reader: _Reader | None = None
    for index, (row_name, row) in enumerate(rows):
        where = f"{source}, {row_name}"
        if not isinstance(row, Mapping):
            raise DataError(f"{where} is not a record", got=type(row).__name__, expected="named fields")
        if reader is None and is_tokenized(row):
            return read_tokenized(chain([(row_name, row)], rows), source)
        reader = reader or _recognise(row, where)
        example = _read_row(row, reader, where, default_id=str(index))
        numbered = numbered and row.get("id") is None
        if example.id in seen:
            raise DataError(
                f"{where} has the id of an earlier row ({seen[example.id]})",
                got=example.id,
                expected="unique ids, since rows are paired across checkpoints by id",
                next_step="make the `id` field unique, or drop it to number the rows",
            )
        seen[example.id] = row_name
        examples.append(example)
    if reader is None:
        raise DataError(f"{source} has no rows", expected="at least one example")
    return examples, _describe(reader, examples, numbered)


def _recognise(row: Row, where: str) -> _Reader:
    present = {key for key, value in row.items() if value is not None}
    for reader in READERS:
        if set(reader.required) <= present:
            return reader
    raise DataError(
        f"{where}: cannot tell prompt from completion",
        got=f"keys {', '.join(sorted(map(str, row))) or '(none)'}",
        expected="one of " + "; ".join(f"{reader.name} ({', '.join(reader.required)})" for reader in READERS),
        next_step="rename the columns to one of these shapes, for example `prompt` and `completion`",
    )


def _read_row(row: Row, reader: _Reader, where: str, *, default_id: str) -> Example:
    for key in reader.required:
        if row.get(key) is None:
            raise DataError(
                f"{where} lacks the field `{key}`",
                got=f"keys {', '.join(sorted(str(k) for k, v in row.items() if v is not None)) or '(none)'}",
                expected=f"{', '.join(reader.required)}, as in the first row ({reader.name})",
            )
    prompt, completion, chat = reader.read(row, where)
    if not prompt or (isinstance(prompt, str) and not prompt.strip()):
        raise DataError(f"{where} has an empty prompt", expected=f"text or messages from {reader.prompt}")
    if not completion.strip() and not chat.reply:
        raise DataError(
            f"{where} has an empty completion",
            got=repr(completion),
            expected=f"text from {reader.completion}, whose tokens are scored",
            next_step="drop the row, or fill it in",
        )
    identity = row.get("id")
    used = {*reader.required, "id", "answer", "input"}
    return Example(
        id=default_id if identity is None else read_text(identity, f"{where}, `id`"),
        prompt=prompt,
        completion=completion,
        answer=_final_answer(row, reader, completion, where),
        meta={
            str(key): value
            for key, value in row.items()
            if key not in used and isinstance(value, str | int | float | bool)
        },
        chat=chat,
    )


def _final_answer(row: Row, reader: _Reader, completion: str, where: str) -> str | None:
    """`answer` field, else what follows `####` at the end, else a short `answer` column as a whole.

    Rows with tests have no answer: `####` in code begins a comment.
    """
    if "answer" not in reader.required and row.get("answer") is not None:
        return read_text(row["answer"], f"{where}, `answer`").strip() or None
    if isinstance(row.get("tests"), str):
        return None
    if (marked := _marked_at_the_end(completion)) is not None:
        return marked
    if "answer" in reader.required and len(completion) <= MAX_ANSWER_CHARS and "\n" not in completion.strip():
        return completion.strip()
    return None


def _marked_at_the_end(completion: str) -> str | None:
    """What follows the last `####`, on the last line or a number; a heading of Markdown is no answer."""
    marked = after_marker(completion)
    if marked is None or "#" in marked:
        return None
    answer = canonical_answer(marked)
    return answer if completion.rstrip().endswith(marked) or plain_number(answer) is not None else None


def _describe(reader: _Reader, examples: list[Example], numbered: bool) -> Shape:
    answered = sum(example.answer is not None for example in examples)
    marked = sum(_marked_at_the_end(example.completion) is not None for example in examples)
    return Shape(
        name=reader.name,
        prompt=reader.prompt,
        completion=reader.completion,
        answer="after `####`" if marked == answered else "field `answer`",
        rows=len(examples),
        answered=answered,
        numbered=numbered,
    )


def _read_alpaca(row: Row, where: str) -> Content:
    """Instruction and optional input joined by a newline, as LLaMA-Factory does."""
    for key in ("history", "system"):
        if row.get(key):
            raise DataError(
                f"{where} has `{key}`, which the alpaca shape cannot carry",
                next_step="convert the rows to `messages`",
            )
    parts = [read_text(row["instruction"], f"{where}, `instruction`")]
    if row.get("input") is not None:
        parts.append(read_text(row["input"], f"{where}, `input`"))
    return Content("\n".join(part for part in parts if part), read_text(row["output"], f"{where}, `output`"))


def _pair(prompt: str, completion: str) -> _Reader:
    return _Reader(
        f"{prompt}/{completion}",
        (prompt, completion),
        lambda row, where: read_pair(row, prompt, completion, where),
        f"`{prompt}`",
        f"`{completion}`",
    )


READERS: tuple[_Reader, ...] = (
    _pair("prompt", "completion"),
    _Reader(
        "messages",
        ("messages",),
        lambda row, where: read_chat(row, "messages", where),
        "`messages`",
        "its last assistant turn",
    ),
    _Reader(
        "sharegpt",
        ("conversations",),
        lambda row, where: read_chat(row, "conversations", where),
        "`conversations`",
        "its last turn",
    ),
    _pair("problem", "solution"),
    _pair("question", "answer"),
    _pair("query", "response"),
    _Reader("alpaca", ("instruction", "output"), _read_alpaca, "`instruction` and `input`", "`output`"),
)
"""Known shapes, tried in this order on the first row."""
