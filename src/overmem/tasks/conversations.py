"""Read the messages of a row: what was asked, the answer, and all else that a chat template reads.

A trainer passes messages to the chat template as they are. Where they are read more kindly here (ShareGPT's
names of roles, content in parts), the row as written is kept beside, so that a difference can be told.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from overmem.errors import DataError
from overmem.parsing import parse_json
from overmem.records import Conversation, Message
from overmem.tasks.fields import read_text

ROLES = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "model": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
    "assistant": "assistant",
    "function_call": "assistant",
    "system": "system",
    "developer": "developer",
    "tool": "tool",
    "observation": "tool",
    "function": "tool",
    "ipython": "ipython",
}
"""Names of roles, and the one that chat templates know."""
_READ = ("role", "from", "content", "value")


class Content(NamedTuple):
    """What a row asks and answers."""

    prompt: str | tuple[Message, ...]
    completion: str
    chat: Conversation = Conversation()


def read_pair(row: Mapping[str, Any], prompt_key: str, completion_key: str, where: str) -> Content:
    """Two columns, each text or (as in TRL's conversational data) chat messages.

    Raises:
        DataError: neither text nor messages, or a completion without an assistant turn.
    """
    prompt, completion = row[prompt_key], row[completion_key]
    if not isinstance(prompt, list | tuple):
        asked = read_text(prompt, f"{where}, `{prompt_key}`")
        if not isinstance(completion, list | tuple):
            return Content(asked, read_text(completion, f"{where}, `{completion_key}`"))
        found = _with_reply(row, ({"role": "user", "content": asked},), completion, completion_key, where)
        return found if found.chat.reply else Content(asked, found.completion)
    messages = read_messages(prompt, f"{where}, `{prompt_key}`")
    if not isinstance(completion, list | tuple):
        text = read_text(completion, f"{where}, `{completion_key}`")
        return Content(messages, text, _beside(row, where, written=_as_written(prompt, messages)))
    found = _with_reply(row, messages, completion, completion_key, where)
    written = _as_written([*prompt, *completion], (*messages, *_reply_of(found)))
    return found._replace(chat=_beside(row, where, reply=found.chat.reply, written=written))


def read_chat(row: Mapping[str, Any], key: str, where: str) -> Content:
    """A conversation: the last assistant turn is the completion, what precedes it the prompt.

    Raises:
        DataError: no messages, or no assistant turn after a question.
    """
    turns = read_messages(row[key], f"{where}, `{key}`")
    last = max((i for i, turn in enumerate(turns) if turn["role"] == "assistant"), default=None)
    if last is None:
        raise DataError(
            f"{where}, `{key}` has no assistant turn",
            got=", ".join(turn["role"] for turn in turns) or "no messages",
            expected="an assistant turn, whose tokens are scored",
        )
    if not any(turn["role"] != "system" for turn in turns[:last]):
        raise DataError(f"{where}, `{key}` starts with the assistant's turn", expected="a user turn first")
    reply = turns[last:]
    chat = _beside(
        row, where, reply=_unless_plain(reply), every_turn=True, written=_as_written(row[key], turns)
    )
    return Content(turns[:last], reply[0]["content"], chat)


def read_messages(value: object, where: str) -> tuple[Message, ...]:
    """A list of chat turns, each as role, content and whatever else it holds."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        with contextlib.suppress(ValueError):  # a list in a column of CSV
            value = parse_json(value)
    if not isinstance(value, list | tuple):
        raise DataError(f"{where} is not a list of messages", got=type(value).__name__)
    return tuple(read_message(item, f"{where}[{index}]") for index, item in enumerate(value))


def read_message(value: object, where: str) -> Message:
    """One chat turn, from `role`/`content` or ShareGPT's `from`/`value`; null fields are left out."""
    if not isinstance(value, Mapping):
        raise DataError(f"{where} is not a message", got=type(value).__name__, expected="role and content")
    role = value.get("role") or value.get("from")
    if not isinstance(role, str) or role not in ROLES:
        raise DataError(f"{where} has an unknown role", got=repr(role), expected=", ".join(sorted(ROLES)))
    content = value.get("content") if value.get("content") is not None else value.get("value")
    more = {str(name): item for name, item in value.items() if name not in _READ and item is not None}
    if role == "function_call":
        return {"role": "assistant", "content": "", **more, "tool_calls": _tool_calls(content, where)}
    if isinstance(content, list):
        if not all(isinstance(part, Mapping) and isinstance(part.get("text"), str) for part in content):
            raise DataError(f"{where} has content other than text", expected="text parts only")
        content = "".join(part["text"] for part in content)
    if content is None and not more.get("tool_calls"):
        raise DataError(f"{where} has no content", got=f"keys {', '.join(sorted(map(str, value)))}")
    return {"role": ROLES[role], "content": read_text(content or "", where), **more}


def _tool_calls(content: object, where: str) -> list[dict[str, Any]]:
    """The calls of a `function_call` turn: JSON with `name` and `arguments`, one or a list."""
    try:
        calls = parse_json(content) if isinstance(content, str) else content
    except ValueError:
        calls = None
    calls = calls if isinstance(calls, list) else [calls]
    if not all(isinstance(call, Mapping) and "name" in call for call in calls):
        raise DataError(
            f"{where} is no function call",
            got=repr(content)[:100],
            expected='{"name": ..., "arguments": {...}}',
        )
    return [{"type": "function", "function": dict(call)} for call in calls]


def _with_reply(
    row: Mapping[str, Any], prompt: tuple[Message, ...], completion: Sequence[Any], key: str, where: str
) -> Content:
    reply = read_messages(completion, f"{where}, `{key}`")
    said = [turn for turn in reply if turn["role"] == "assistant"]
    if not said:
        raise DataError(
            f"{where}, `{key}` has no assistant turn",
            got=", ".join(turn["role"] for turn in reply) or "no messages",
            expected="a message with role assistant",
        )
    return Content(prompt, said[-1]["content"], _beside(row, where, reply=_unless_plain(reply)))


def _reply_of(found: Content) -> tuple[Message, ...]:
    return found.chat.reply or ({"role": "assistant", "content": found.completion},)


def _unless_plain(reply: tuple[Message, ...]) -> tuple[Message, ...]:
    """Nothing where the reply is one turn with text alone."""
    return () if len(reply) == 1 and set(reply[0]) == {"role", "content"} else reply


def _beside(
    row: Mapping[str, Any],
    where: str,
    *,
    reply: tuple[Message, ...] = (),
    every_turn: bool = False,
    written: tuple[Message, ...] | None = None,
) -> Conversation:
    tools = _read_json(row.get("tools"), list, f"{where}, `tools`")
    if not all(isinstance(tool, Mapping) for tool in tools or ()):
        raise DataError(
            f"{where}, `tools` holds what is no record",
            got=repr(tools)[:100],
            expected="a list of descriptions",
        )
    kwargs = _read_json(row.get("chat_template_kwargs"), dict, f"{where}, `chat_template_kwargs`")
    return Conversation(
        reply=reply,
        trains_every_turn=every_turn,
        tools=None if tools is None else tuple(tools),
        template_kwargs={name: value for name, value in (kwargs or {}).items() if value is not None},
        as_written=written,
    )


def _read_json(value: object, kind: type, where: str) -> Any:
    """A list or a record, or the JSON of one, as TRL reads `tools`."""
    found = value
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            found = parse_json(value) if value.strip() else None
    if found is not None and not isinstance(found, kind):
        raise DataError(
            f"{where} cannot be read", got=repr(value)[:100], expected=f"a {kind.__name__}, or JSON of one"
        )
    return found


def _as_written(value: object, read: Sequence[Message]) -> tuple[Message, ...] | None:
    """The messages as TRL passes them to the template; None where that is what was read."""
    if not isinstance(value, list | tuple):
        return None
    written = tuple(
        {
            "role": turn.get("role") or turn.get("from"),
            "content": turn.get("content") if turn.get("content") is not None else turn.get("value"),
            **{name: item for name, item in turn.items() if name not in _READ and item is not None},
        }
        for turn in value
    )
    same = [{**turn, "content": turn["content"] or ""} for turn in written] == list(map(dict, read))
    return None if same else written
