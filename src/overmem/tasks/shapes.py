"""The shapes of rows: recognised by their columns, and the text or messages of each.

Fine-tuning data come in a handful of shapes; guessing silently would audit another text than the
one trained on. So each shape is one entry of a table, what was recognised is reported, and a row
that does not fit is an error naming the row, the keys found and the shapes known.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from overmem.errors import DataError
from overmem.tasks.columns import MEDIA, ROLES, TOOLS, has_content
from overmem.tasks.conversations import Content, read_chat, read_pair
from overmem.tasks.fields import read_text
from overmem.tasks.preferences import chosen_row

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Reader:
    """One shape, and how its rows are read."""

    name: str
    required: tuple[str, ...]
    read: Callable[[Row, str], Content]
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
        more = (*([self.truth] if self.truth else []), *([] if self.whole else ["history"]))
        return frozenset({*self.required, *self.reads, *_ALWAYS_READ, *more})

    @cached_property
    def refused_columns(self) -> frozenset[str]:
        """The columns that it refuses, as they change the question and it does not read them."""
        return (MEDIA if self.whole else frozenset(ROLES) - TOOLS) - self.read_columns

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


def _read_instruction(completion: str) -> Callable[[Row, str], Content]:
    """Reader of an instruction and what it is about, joined by a newline, as LLaMA-Factory does."""

    def read(row: Row, where: str) -> Content:
        keys = [key for key in ("instruction", "input", "context") if row.get(key) is not None]
        parts = [read_text(row[key], f"{where}, `{key}`") for key in keys]
        text = read_text(row[completion], f"{where}, `{completion}`")
        return Content("\n".join(part for part in parts if part), text)

    return read


def _read_reasoning(prompt: str, reasoning: str, completion: str) -> Callable[[Row, str], Content]:
    """Reader of rows whose reasoning is a column of its own; it goes before the solution, in think tags."""

    def read(row: Row, where: str) -> Content:
        thought = row[reasoning]
        if isinstance(thought, list | tuple) and len(thought) == 1:
            (thought,) = thought
        thought = read_text(thought, f"{where}, `{reasoning}`").strip()
        text = read_text(row[completion], f"{where}, `{completion}`").strip()
        asked = read_text(row[prompt], f"{where}, `{prompt}`")
        return Content(asked, f"<think>\n{thought}\n</think>\n\n{text}")

    return read


def _read_chosen(row: Row, where: str) -> Content:
    """Reader of the chosen answer of a preference row, which alone was trained."""
    plain = chosen_row(row, where)
    if "messages" in plain:
        content = read_chat({**row, **plain}, "messages", where)
        return content._replace(chat=replace(content.chat, trains_every_turn=False))
    return read_pair({**row, **plain}, "prompt", "completion", where)


def _read_whole_text(row: Row, where: str) -> Content:
    """Reader of a text without a question: all of it is scored."""
    if beside := sorted(_BESIDE_TEXT & {key for key, value in row.items() if has_content(value)}):
        raise DataError(
            f"{where}: is `text` the whole text that was trained on?",
            got=f"also {', '.join(beside)}",
            next_step="name the columns: --columns text=text, or --columns prompt=text,completion=COLUMN",
        )
    return Content("", read_text(row["text"], f"{where}, `text`"))


def _pair(prompt: str, completion: str) -> Reader:
    return Reader(
        f"{prompt}/{completion}",
        (prompt, completion),
        lambda row, where: read_pair(row, prompt, completion, where),
        f"`{prompt}`",
        f"`{completion}`",
    )


def _chat(name: str, key: str, completion: str) -> Reader:
    return Reader(
        name,
        (key,),
        lambda row, where: read_chat(row, key, where),
        f"`{key}`",
        completion,
        ("system",),
        whole=True,
    )


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


_ALWAYS_READ = ("id", "answer", "system", "system_prompt", "tools", "chat_template_kwargs")
WHOLE_TEXT = ("text",)
_BESIDE_TEXT = frozenset(
    ("question", "prompt", "instruction", "summary", "target", "response", "answer", "output", "labels")
)
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
    Reader("text", WHOLE_TEXT, _read_whole_text, "nothing", "`text`, the whole of it (likelihood only)"),
)
"""Known shapes, tried in this order on the first row."""

_SHAPES_OF_THEIR_OWN = {reader.name: reader.required for reader in READERS if "/" not in reader.name}
