"""Messages of a row: roles and keys of any spelling, what stays beside them, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from overmem.errors import DataError
from overmem.tasks.conversations import read_chat, read_message, read_messages, read_pair

USER, ASSISTANT = {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}


@pytest.mark.parametrize(
    ("turn", "expected"),
    [
        ({"from": "human", "value": "a"}, USER),
        ({"from": "gpt", "value": "b"}, ASSISTANT),
        ({"role": "assistant", "content": [{"type": "text", "text": "b"}]}, ASSISTANT),
        ({"role": "assistant", "content": "b", "tool_calls": None}, ASSISTANT),
        ({**ASSISTANT, "reasoning_content": "c"}, {**ASSISTANT, "reasoning_content": "c"}),
        (
            {"role": "assistant", "content": None, "tool_calls": [{"name": "f"}]},
            {"role": "assistant", "content": "", "tool_calls": [{"name": "f"}]},
        ),
        (
            {"from": "function_call", "value": '{"name": "f", "arguments": {"x": 1}}'},
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [{"type": "function", "function": {"name": "f", "arguments": {"x": 1}}}],
            },
        ),
        ({"from": "observation", "value": "1"}, {"role": "tool", "content": "1"}),
    ],
)
def test_turns_of_any_spelling(turn: dict[str, Any], expected: dict[str, Any]) -> None:
    assert read_message(turn, "here") == expected


@pytest.mark.parametrize(
    ("turn", "part"),
    [
        ({"role": "narrator", "content": "a"}, "unknown role"),
        ({"role": "user"}, "no content"),
        ({"role": "user", "content": [{"type": "image", "url": "x"}]}, "other than text"),
        ({"from": "function_call", "value": "add(2, 3)"}, "no function call"),
        ("hello", "not a message"),
    ],
)
def test_turns_that_cannot_be_read(turn: Any, part: str) -> None:
    with pytest.raises(DataError, match=part):
        read_message(turn, "here")


def test_messages_in_a_column_of_text_are_json() -> None:
    assert read_messages('[{"role": "user", "content": "a"}]', "here") == (USER,)
    with pytest.raises(DataError, match="not a list"):
        read_messages("[not json", "here")


def test_the_last_assistant_turn_is_the_completion_and_all_are_trained() -> None:
    found = read_chat({"m": [USER, ASSISTANT, USER]}, "m", "here")
    assert (found.prompt, found.completion) == ((USER,), "b")
    assert found.chat.reply == (ASSISTANT, USER) and found.chat.trains_every_turn
    plain = read_chat({"m": [USER, ASSISTANT]}, "m", "here")
    assert plain.chat.reply == ()


def test_a_pair_trains_its_completion_alone() -> None:
    thinking = {**ASSISTANT, "reasoning_content": "c"}
    row = {"prompt": [USER, ASSISTANT, USER], "completion": [thinking], "tools": '[{"name": "f"}]'}
    found = read_pair(row, "prompt", "completion", "here")
    assert found.chat.reply == (thinking,) and not found.chat.trains_every_turn
    assert found.chat.tools == ({"name": "f"},)
    text = read_pair({"prompt": "a", "completion": [ASSISTANT]}, "prompt", "completion", "here")
    assert (text.prompt, text.completion, text.chat.reply) == ("a", "b", ())


@pytest.mark.parametrize(
    ("turns", "differs"),
    [
        ([{"from": "user", "value": "a"}, {"from": "assistant", "value": "b"}], False),  # TRL renames keys
        ([{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}], True),
        ([USER, {"role": "assistant", "content": [{"type": "text", "text": "b"}]}], True),
    ],
)
def test_what_trl_would_pass_on_is_kept_where_it_is_another(turns: list[Any], differs: bool) -> None:
    assert (read_chat({"m": turns}, "m", "here").chat.as_written is not None) == differs


@pytest.mark.parametrize(
    ("row", "part"),
    [
        ({"m": [USER]}, "no assistant turn"),
        ({"m": [ASSISTANT, USER]}, "starts with the assistant"),
        ({"m": [USER, ASSISTANT], "tools": "not json"}, "`tools` cannot be read"),
        ({"m": [USER, ASSISTANT], "tools": ['{"name": "f"}']}, "no record"),
        ({"m": [USER, ASSISTANT], "chat_template_kwargs": [1]}, "`chat_template_kwargs` cannot be read"),
    ],
)
def test_conversations_that_cannot_be_read(row: dict[str, Any], part: str) -> None:
    with pytest.raises(DataError, match=part):
        read_chat(row, "m", "here")
