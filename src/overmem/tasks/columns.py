"""Which columns mean what: those that a person names (`--columns`), and those that may not be dropped.

A column such as `options` or `system` changes the question. A reader that does not read it must refuse the
row, and this module says how to have it read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from overmem.errors import DataError
from overmem.records import Example
from overmem.tasks.fields import read_options, read_text
from overmem.tasks.multiple_choice import make_multiple_choice, right_option

Row = Mapping[str, Any]

KEYS = {
    "prompt": "the question: a column, or a text such as '{question}\\n{hint}'",
    "completion": "the reference solution, likewise",
    "answer": "the final answer",
    "context": "what comes before the question",
    "options": "a list of options, one of which the answer names by letter, index or text",
    "system": "the system message",
    "messages": "a conversation, in place of prompt and completion",
    "text": "a whole text to score, in place of prompt and completion",
    "id": "the row's id",
}
"""What a column can be named as."""

MEDIA = frozenset({"image", "images", "video", "videos", "audio", "audios"})
"""Columns that hold what is not text."""
TOOLS = frozenset({"tools", "functions"})
"""Columns that hold tools, which a chat template writes into the prompt."""
ROLES: Mapping[str, str] = {
    **dict.fromkeys(("choices", "options"), "options"),
    **dict.fromkeys(("context", "passage", "article", "background", "hint", "input", "table"), "context"),
    **dict.fromkeys(("system", "system_prompt"), "system"),
    **dict.fromkeys(("history", *MEDIA, *TOOLS), ""),
}
"""Columns that change the question, each with the key of `--columns` that reads it, if there is one."""

_NEXT_KEY = re.compile(r",(?=\s*[A-Za-z_]+\s*=)")
_NUMBERED_IMAGE = re.compile(r"image_?\d+")
_FIELD = re.compile(r"\{([^{}]+)\}")


def parse_columns(text: str) -> Mapping[str, str]:
    r"""Take `prompt=question,completion=solution,answer=answer` apart.

    A value is a column, or a text with columns in braces, in which `\n` is a line break.

    Returns:
        The column or text of each key of KEYS that is given.

    Raises:
        DataError: an unknown key, one twice, one without a value, or too few to make an example.
    """
    columns: dict[str, str] = {}
    for part in _NEXT_KEY.split(text):
        key, mark, value = (piece.strip() for piece in part.partition("="))
        if not mark or not value:
            raise DataError(
                "malformed columns", got=repr(part), expected="KEY=COLUMN, such as prompt=question"
            )
        if key in columns:
            raise DataError(f"the columns name `{key}` twice", got=text)
        columns[key] = value.replace("\\n", "\n") if _FIELD.search(value) else value
    check_keys(columns)
    return columns


def check_keys(columns: Mapping[str, str]) -> None:
    """Refuse keys that mean nothing, or too few to make an example.

    Raises:
        DataError: as said.
    """
    if unknown := [key for key in columns if key not in KEYS]:
        raise DataError(
            f"unknown key in the columns: {', '.join(unknown)}",
            expected="; ".join(f"{key} ({meaning})" for key, meaning in KEYS.items()),
        )
    given = set(columns)
    wholes = given & {"messages", "text"}
    makes_one = {"prompt", "completion"} <= given or {"prompt", "options", "answer"} <= given
    if len(wholes) > 1 or (wholes and given & {"prompt", "completion"}) or not (wholes or makes_one):
        raise DataError(
            "the columns make no example",
            got=", ".join(f"{key}={value}" for key, value in columns.items()) or "none",
            expected="prompt and completion; or prompt, options and answer; or messages; or text",
        )


def check_columns(row: Row, columns: Mapping[str, str], where: str) -> None:
    """Refuse columns that the first row does not have.

    Raises:
        DataError: naming those that it has.
    """
    for key, value in columns.items():
        for name in fields_of(value, row):
            if name not in row:
                raise DataError(
                    f"{where} has no column `{name}`, which is to be the {key}",
                    expected=f"one of {', '.join(map(str, row)) or '(none)'}",
                )


def fields_of(value: str, row: Row) -> list[str]:
    """The columns that a value of `--columns` names."""
    return [value] if value in row or not _FIELD.search(value) else _FIELD.findall(value)


def named_row(row: Row, columns: Mapping[str, str], where: str) -> dict[str, Any]:
    """A row with its columns under the names that the readers know.

    Args:
        row: as it is.
        columns: as `parse_columns` gives them.
        where: names the row in errors.

    Returns:
        `prompt` and `completion`, `messages` or `text`; `answer`, `system` and `id` where there are such.
        Options and context are part of the prompt. Columns that change nothing are kept.

    Raises:
        DataError: options that cannot be read, or an answer that names none of them.
    """
    used = {name for value in columns.values() for name in fields_of(value, row)}
    taken = (used | KEYS.keys() | ROLES.keys()) - {"id"}
    named = {key: value for key, value in row.items() if key not in taken}
    if "text" in columns:
        named = {"id": named["id"]} if "id" in named else {}
    found = {key: _value(row, value) for key, value in columns.items()}
    options, context = found.pop("options", None), found.pop("context", None)
    if options is not None:
        found |= _with_options(found, options, context, where)
    elif has_content(context):
        found["prompt"] = f"{read_text(context, f'{where}, context')}\n{read_text(found['prompt'], where)}"
    return named | found


def refuse_unread(row: Row, keys: Iterable[str], where: str, asked: str, written: str) -> None:
    """Refuse a row in which a column that changes the question would be dropped.

    Args:
        row: the row.
        keys: columns of ROLES that it has and its reader does not read.
        where: names the row in errors.
        asked: the column that is the prompt.
        written: the column that is the completion.

    Raises:
        DataError: one of them holds something.
    """
    for key in keys:
        if not has_content(row[key]):
            continue
        refuse_media({key: row[key]}, where)
        if key in TOOLS:
            raise DataError(
                f"{where} has `{key}`, which the prompt was trained with, and this shape does not read them",
                next_step="write the rows as `messages`, or the tools into the system message",
            )
        role = ROLES[key]
        answer = ",answer=answer" if "answer" in row and written != "answer" else ""
        plain = f"--columns prompt={asked},completion={written}{answer}"
        raise DataError(
            f"{where} has `{key}`, which changes the question and is not read in this shape",
            got=repr(row[key])[:100],
            next_step=f"{_reads(plain, asked, written, role, key)}; {plain} leaves it out",
        )


def refuse_media(row: Row, where: str) -> None:
    """Refuse a row with an image, a video or a sound.

    Raises:
        DataError: it has one.
    """
    for key, value in row.items():
        if (key in MEDIA or _NUMBERED_IMAGE.fullmatch(str(key))) and has_content(value):
            raise DataError(
                f"{where} has `{key}`, and overmem reads text alone",
                next_step="drop the rows with such content; without it they are other questions",
            )


def _reads(plain: str, asked: str, written: str, role: str, key: str) -> str:
    """What reads a column, in words."""
    if role == "options":
        return (
            f"--columns prompt={asked},options={key},answer={written} reads it, or the name of its task"
            " (arc:, mmlu:, ...) where it has one"
        )
    return f"{plain},{role}={key} reads it" if role else "rows of `messages` hold it"


def has_content(value: object) -> bool:
    """Whether a value is more than nothing: no null, empty text or list, or record of nulls."""
    if isinstance(value, str):
        return value.strip() not in ("", "[]", "{}")  # the JSON of nothing too
    if isinstance(value, Mapping):
        return any(item is not None for item in value.values())
    return value is not None and not (isinstance(value, list | tuple) and not value)


def _value(row: Row, value: str) -> Any:
    if value in row or not _FIELD.search(value):
        return row.get(value)
    return _FIELD.sub(
        lambda match: "" if (held := row.get(match[1])) is None else read_text(held, match[1]), value
    )


def _with_options(found: Mapping[str, Any], options: object, context: object, where: str) -> dict[str, Any]:
    texts = read_options(options, f"{where}, options")
    made: Example = make_multiple_choice(
        "",
        read_text(found["prompt"], f"{where}, prompt").strip(),
        texts,
        right_option(found.get("answer"), texts, f"{where}, answer"),
        where,
        context=read_text(context, f"{where}, context").strip() if has_content(context) else "",
        solution=read_text(found["completion"], f"{where}, completion").strip()
        if has_content(found.get("completion"))
        else "",
    )
    return {"prompt": made.prompt, "completion": made.completion, "answer": made.answer}
