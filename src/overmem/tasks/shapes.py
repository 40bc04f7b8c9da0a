"""Recognise the shape of a row by its keys and turn it into an Example.

Fine-tuning data come in a handful of shapes; guessing silently would audit another text than the
one trained on. So each shape is one entry of a table, what was recognised is reported, and a row
that does not fit is an error naming the row, the keys found and the shapes known.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from overmem.errors import DataError
from overmem.grading.answers import reference_answer
from overmem.records import Example, Message
from overmem.tasks.columns import (
    MEDIA,
    ROLES,
    TOOLS,
    has_content,
    refuse_unread,
)
from overmem.tasks.fields import read_messages, read_text
from overmem.tasks.preferences import chosen_row, is_bad_answer

Row = Mapping[str, Any]
Prompt = str | tuple[Message, ...]

MAX_ANSWER_CHARS = 100
"""A one-line `answer` column up to this long is its own final answer; longer ones are solutions."""


@dataclass(frozen=True)
class Reader:
    """One shape, and how its rows are read."""

    name: str
    required: tuple[str, ...]
    read: Callable[[Row, str], tuple[Prompt, str]]
    prompt: str
    completion: str
    reads: tuple[str, ...] = ()
    """Columns that it reads where they are there."""
    whole: bool = False
    """It holds all that training sees (a conversation), so that columns beside it change nothing."""
    truth: str = ""
    """The column that has the true answer, where the completion may be wrong."""

    @cached_property
    def read_columns(self) -> frozenset[str]:
        """The columns that it reads."""
        return frozenset({*self.required, *self.reads, *_ALWAYS_READ, *([self.truth] if self.truth else [])})

    @cached_property
    def refused_columns(self) -> frozenset[str]:
        """The columns that it refuses, as they change the question and it does not read them."""
        return (_BESIDE_WHOLE if self.whole else frozenset(ROLES)) - self.read_columns

    @cached_property
    def not_kept(self) -> frozenset[str]:
        """The columns that are no metadata of an example."""
        return frozenset({*self.required, *self.reads, "id", "answer", *ROLES})


def recognise(row: Row, where: str) -> Reader:
    """The reader of rows like this one.

    Raises:
        DataError: its keys fit no shape.
    """
    present = {key for key, value in row.items() if value is not None}
    for reader in READERS:
        if set(reader.required) <= present:
            return reader
    keys = ", ".join(sorted(map(str, row))) or "(none)"
    raise DataError(
        f"{where}: cannot tell prompt from completion",
        got=f"keys {keys}",
        expected=f"{' or '.join(_PROMPTS)} with {' or '.join(_COMPLETIONS)} (prompt/completion, ...); or "
        + "; ".join(f"{name} ({', '.join(needs)})" for name, needs in _SHAPES_OF_THEIR_OWN.items()),
        next_step="name the columns: --columns prompt=COLUMN,completion=COLUMN,answer=COLUMN"
        if len(row) > 1
        else "rename the columns, for example to `prompt` and `completion`"
        + (
            "" if keys.isidentifier() else "; if this is one name, the delimiter is another than , ; | or tab"
        ),
    )


def reader_of(required: Collection[str]) -> Reader:
    """The reader of the shape that needs these fields and no others."""
    return next(reader for reader in READERS if set(reader.required) == set(required))


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
    prompt, completion = reader.read(row, where)
    prompt = _with_history(prompt, row, reader, where)
    if reader.required != _WHOLE_TEXT and (not prompt or (isinstance(prompt, str) and not prompt.strip())):
        raise DataError(f"{where} has an empty prompt", expected=f"text or messages from {reader.prompt}")
    if not completion.strip():
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
    )


def _with_history(prompt: Prompt, row: Row, reader: Reader, where: str) -> Prompt:
    """The prompt with its system message and the turns before it, where a row has such columns."""
    if reader.whole or _BEFORE.isdisjoint(row):
        return prompt
    before: list[Message] = []
    for key in ("system", "system_prompt"):
        if has_content(row.get(key)):
            before.append({"role": "system", "content": read_text(row[key], f"{where}, `{key}`")})
    history = row.get("history")
    for turn in history if isinstance(history, list | tuple) else ():
        if not isinstance(turn, list | tuple) or len(turn) != 2:
            raise DataError(f"{where}, `history` is not pairs of question and answer", got=repr(turn)[:100])
        for role, text in zip(("user", "assistant"), turn, strict=True):
            before.append({"role": role, "content": read_text(text, f"{where}, `history`")})
    if not before:
        return prompt
    turns = as_turns(prompt)
    if before[0]["role"] == "system" and any(turn["role"] == "system" for turn in turns):
        raise DataError(f"{where} has a system message in its prompt and another in a column of its own")
    return (*before, *turns)


def as_turns(prompt: Prompt) -> tuple[Message, ...]:
    """A prompt as messages: a text is one user turn."""
    return ({"role": "user", "content": prompt},) if isinstance(prompt, str) else prompt


def _final_answer(row: Row, reader: Reader, completion: str, where: str) -> str | None:
    """`answer` field, else what the completion marks as final, else a short `answer` column as a whole.

    Rows with tests have no answer: `####` in code begins a comment. Nor has a text without a question.
    """
    if "answer" not in reader.required and row.get("answer") is not None and reader.required != _WHOLE_TEXT:
        return read_text(row["answer"], f"{where}, `answer`").strip() or None
    if isinstance(row.get("tests"), str) or reader.required == _WHOLE_TEXT:
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


def _read_pair(prompt_key: str, completion_key: str) -> Callable[[Row, str], tuple[Prompt, str]]:
    """Reader of two columns, each text or (as in TRL's conversational data) chat messages."""

    def read(row: Row, where: str) -> tuple[Prompt, str]:
        prompt, completion = row[prompt_key], row[completion_key]
        asked: Prompt
        if isinstance(prompt, list | tuple):
            asked = read_messages(prompt, f"{where}, `{prompt_key}`")
        else:
            asked = read_text(prompt, f"{where}, `{prompt_key}`")
        if not isinstance(completion, list | tuple):
            return asked, read_text(completion, f"{where}, `{completion_key}`")
        turns = read_messages(completion, f"{where}, `{completion_key}`")
        if [turn["role"] for turn in turns] != ["assistant"]:
            raise DataError(
                f"{where}, `{completion_key}` is not one assistant turn",
                got=", ".join(turn["role"] for turn in turns) or "no messages",
                expected="a single message with role assistant",
            )
        return asked, turns[0]["content"]

    return read


def _read_chat(key: str) -> Callable[[Row, str], tuple[Prompt, str]]:
    """Reader of a conversation: the last assistant turn is the completion, what precedes it the prompt."""

    def read(row: Row, where: str) -> tuple[Prompt, str]:
        turns = read_messages(row[key], f"{where}, `{key}`")
        system = row.get("system")
        if isinstance(system, str) and system and not any(turn["role"] == "system" for turn in turns):
            turns = ({"role": "system", "content": read_text(system, f"{where}, `system`")}, *turns)
        last = max((i for i, turn in enumerate(turns) if turn["role"] == "assistant"), default=None)
        if last is None:
            raise DataError(
                f"{where}, `{key}` has no assistant turn",
                got=", ".join(turn["role"] for turn in turns) or "no messages",
                expected="an assistant turn, whose tokens are scored",
            )
        if not any(turn["role"] != "system" for turn in turns[:last]):
            raise DataError(
                f"{where}, `{key}` starts with the assistant's turn", expected="a user turn first"
            )
        return turns[:last], turns[last]["content"]

    return read


def _read_instruction(completion: str) -> Callable[[Row, str], tuple[Prompt, str]]:
    """Reader of an instruction and what it is about, joined by a newline, as LLaMA-Factory does."""

    def read(row: Row, where: str) -> tuple[Prompt, str]:
        keys = [key for key in ("instruction", "input", "context") if row.get(key) is not None]
        parts = [read_text(row[key], f"{where}, `{key}`") for key in keys]
        return "\n".join(part for part in parts if part), read_text(
            row[completion], f"{where}, `{completion}`"
        )

    return read


def _read_reasoning(prompt: str, reasoning: str, completion: str) -> Callable[[Row, str], tuple[Prompt, str]]:
    """Reader of rows whose reasoning is a column of its own; it goes before the solution, in think tags."""

    def read(row: Row, where: str) -> tuple[Prompt, str]:
        thought = row[reasoning]
        if isinstance(thought, list | tuple) and len(thought) == 1:
            (thought,) = thought
        thought = read_text(thought, f"{where}, `{reasoning}`").strip()
        text = read_text(row[completion], f"{where}, `{completion}`").strip()
        return read_text(row[prompt], f"{where}, `{prompt}`"), f"<think>\n{thought}\n</think>\n\n{text}"

    return read


def _read_chosen(row: Row, where: str) -> tuple[Prompt, str]:
    """Reader of the chosen answer of a preference row."""
    plain = chosen_row(row, where)
    if "messages" in plain:
        return _read_chat("messages")({**row, **plain}, where)
    return _read_pair("prompt", "completion")(plain, where)


def _read_whole_text(row: Row, where: str) -> tuple[Prompt, str]:
    """Reader of a text without a question: all of it is scored."""
    if beside := sorted(_BESIDE_TEXT & {key for key, value in row.items() if has_content(value)}):
        raise DataError(
            f"{where}: is `text` the whole text that was trained on?",
            got=f"also {', '.join(beside)}",
            next_step="name the columns: --columns text=text, or --columns prompt=text,completion=COLUMN",
        )
    return "", read_text(row["text"], f"{where}, `text`")


def answer_source(row: Row, reader: Reader, example: Example) -> str:
    """Where the final answer of a row that has one comes from, in words."""
    if "answer" not in reader.required and row.get("answer") is not None:
        return "field `answer`"
    if reader.truth and row.get(reader.truth) is not None:
        return f"field `{reader.truth}`"
    if example.completion.strip() == example.answer:
        return f"field {reader.completion}"
    return "after `####`" if "####" in example.completion else "as the completion marks it"


def _pair(prompt: str, completion: str) -> Reader:
    return Reader(
        f"{prompt}/{completion}",
        (prompt, completion),
        _read_pair(prompt, completion),
        f"`{prompt}`",
        f"`{completion}`",
    )


def _chat(name: str, key: str, completion: str) -> Reader:
    return Reader(name, (key,), _read_chat(key), f"`{key}`", completion, ("system",), whole=True)


def _instruction(name: str, completion: str) -> Reader:
    return Reader(
        name,
        ("instruction", completion),
        _read_instruction(completion),
        "`instruction` and `input`" if name == "alpaca" else "`instruction` and `context` or `input`",
        f"`{completion}`",
        ("input", "context"),
    )


def _reasoning(name: str, prompt: str, reasoning: str, completion: str, truth: str = "") -> Reader:
    return Reader(
        name,
        (prompt, reasoning, completion),
        _read_reasoning(prompt, reasoning, completion),
        f"`{prompt}`",
        f"`{reasoning}` in think tags and `{completion}`",
        truth=truth,
    )


_BEFORE = frozenset({"system", "system_prompt", "history"})
_ALWAYS_READ = ("id", "answer", "system", "system_prompt", "history")
_WHOLE_TEXT = ("text",)
_BESIDE_WHOLE = MEDIA | TOOLS
_BESIDE_TEXT = {
    "question",
    "prompt",
    "instruction",
    "summary",
    "target",
    "response",
    "answer",
    "output",
    "labels",
}
_PROMPTS = ("prompt", "problem", "question", "query")
_COMPLETIONS = ("completion", "solution", "response", "output", "target", "answer")

READERS: tuple[Reader, ...] = (
    Reader(
        "preference",
        ("chosen", "rejected"),
        _read_chosen,
        "what `chosen` answers",
        "`chosen` (`rejected` is not learned)",
        ("prompt", "conversations", "messages", "question", "instruction", "query", "input"),
    ),
    _pair("prompt", "completion"),
    _chat("messages", "messages", "its last assistant turn"),
    _chat("sharegpt", "conversations", "its last turn"),
    _reasoning("openthoughts", "problem", "deepseek_reasoning", "deepseek_solution"),
    _reasoning("s1K", "question", "thinking_trajectories", "attempt", "solution"),
    _reasoning("s1K", "question", "deepseek_thinking_trajectory", "deepseek_attempt", "solution"),
    _instruction("alpaca", "output"),
    *(_instruction(f"instruction/{completion}", completion) for completion in _COMPLETIONS),
    *(_pair(prompt, completion) for completion in _COMPLETIONS for prompt in _PROMPTS),
    *(_pair("input", completion) for completion in _COMPLETIONS),
    Reader("text", _WHOLE_TEXT, _read_whole_text, "nothing", "`text`, the whole of it (likelihood only)"),
)
"""Known shapes, tried in this order on the first row."""

_SHAPES_OF_THEIR_OWN = {reader.name: reader.required for reader in READERS if "/" not in reader.name}
