"""Conversations: the tokens are TRL's, and the mask is the assistant's turns, whatever the template does."""

from __future__ import annotations

from typing import Any

import pytest

from overmem.errors import DataError
from overmem.records import Conversation, Example
from overmem.rendering.chat import runs_of, whole_conversation
from overmem.rendering.render import render
from overmem.rendering.template import Template
from overmem.tasks.conversations import read_chat, read_pair
from tests.helpers.tokenizers import (
    CHATML,
    DROPS_OLD_REASONING,
    GENERATION_ONLY_THINK,
    MARKED,
    make_tokenizer,
    prepared_by_trl,
)


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def said(text: str, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": text, **more}


TURNS = [user("12 apples?"), said("5"), user("5"), said("5", reasoning_content="2 + 3")]


def from_messages(row: dict[str, Any]) -> Example:
    found = read_chat(row, "messages", "here")
    return Example("m", found.prompt, found.completion, chat=found.chat)


def from_pair(row: dict[str, Any]) -> Example:
    found = read_pair(row, "prompt", "completion", "here")
    return Example("p", found.prompt, found.completion, chat=found.chat)


def scored_texts(rendered: Any, tokenizer: Any) -> list[str]:
    """The text of each run of scored tokens."""
    runs: list[list[int]] = []
    before = False
    for token, on in zip(rendered.completion_ids, rendered.scored_mask, strict=True):
        if on and not before:
            runs.append([])
        if on:
            runs[-1].append(token)
        before = on
    return [tokenizer.decode(run) for run in runs]


@pytest.mark.parametrize("template", [CHATML, GENERATION_ONLY_THINK, DROPS_OLD_REASONING, MARKED])
@pytest.mark.parametrize(
    "row",
    [
        {"prompt": [user("a")], "completion": [said("5")]},
        {"prompt": TURNS[:3], "completion": [TURNS[3]]},
        {"prompt": TURNS[:1], "completion": TURNS[1:]},
    ],
)
def test_a_pair_is_split_as_trl_splits_it(template: str, row: dict[str, Any]) -> None:
    tokenizer = make_tokenizer(template=template)
    rendered = render(from_pair(row), tokenizer, Template())
    ids, labels = prepared_by_trl(tokenizer, row)
    assert list(rendered.input_ids) == ids
    assert [-100] * len(rendered.prompt_ids) + list(rendered.completion_ids) == labels
    asked = tokenizer.apply_chat_template(row["prompt"], add_generation_prompt=True, return_dict=True)
    assert list(rendered.question_ids) == asked["input_ids"]


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        (CHATML, ["5<|im_end|>\n", "5<|im_end|>\n"]),
        (MARKED, ["5<|im_end|>\n", "5<|im_end|>\n"]),
        # The header of the generation prompt is `assistant\n<think>`; old turns have no `<think>`.
        (DROPS_OLD_REASONING, ["5<|im_end|>\n", "2 + 3</think>5<|im_end|>\n"]),
    ],
)
def test_every_turn_of_messages_is_scored_and_nothing_else(template: str, expected: list[str]) -> None:
    """The user says `5` too, so that the text alone does not tell whose turn it is."""
    tokenizer = make_tokenizer(template=template)
    rendered = render(from_messages({"messages": TURNS}), tokenizer, Template())
    assert scored_texts(rendered, tokenizer) == expected
    assert list(rendered.input_ids) == prepared_by_trl(tokenizer, {"messages": TURNS})[0]
    assert tokenizer.decode(rendered.answer_ids) == expected[-1]
    last = render(from_messages({"messages": TURNS}), tokenizer, Template(score="last"))
    assert scored_texts(last, tokenizer) == expected[-1:]
    assert last.input_ids == rendered.input_ids


def test_turns_after_the_last_answer_are_context_that_nothing_sees() -> None:
    tokenizer = make_tokenizer(template=CHATML)
    ending = render(from_messages({"messages": TURNS}), tokenizer, Template())
    going_on = render(from_messages({"messages": [*TURNS, user("a")]}), tokenizer, Template())
    assert going_on.input_ids == ending.input_ids
    assert going_on.scored_mask == ending.scored_mask


def test_assistant_only_loss_is_trls_own_mask() -> None:
    tokenizer = make_tokenizer(template=MARKED)
    for row, example in (
        ({"messages": TURNS}, from_messages({"messages": TURNS})),
        ({"prompt": TURNS[:3], "completion": [TURNS[3]]},) * 2,
    ):
        if not isinstance(example, Example):
            example = from_pair(row)
        rendered = render(example, tokenizer, Template(assistant_only_loss=True))
        ids, labels = prepared_by_trl(tokenizer, row, assistant_only=True)
        ours = [-100] * len(rendered.prompt_ids) + [
            token if on else -100
            for token, on in zip(rendered.completion_ids, rendered.scored_mask, strict=True)
        ]
        assert ours == labels[: len(ours)]
        assert set(labels[len(ours) :]) <= {-100}
        assert list(rendered.input_ids) == ids[: len(ours)]


def test_assistant_only_loss_without_marks_names_what_is_missing() -> None:
    with pytest.raises(DataError, match="TRL has no training template"):
        render(
            from_messages({"messages": TURNS}),
            make_tokenizer(template=CHATML),
            Template(assistant_only_loss=True),
        )


def test_rows_variables_reach_the_template_and_go_before_the_templates() -> None:
    tokenizer = make_tokenizer(template="{{ mood }}{{ tools | length }}" + CHATML)
    row = {"messages": TURNS, "tools": '[{"name": "add"}]', "chat_template_kwargs": {"mood": "apples"}}
    rendered = render(from_messages(row), tokenizer, Template(chat_template_kwargs={"mood": "system"}))
    assert "apples1" in tokenizer.decode(rendered.question_ids)


def test_another_answer_takes_the_place_of_the_last_turns_text() -> None:
    example = from_messages({"messages": [user("a"), said("5", reasoning_content="3")]})
    assert whole_conversation(example)[-1] == said("5", reasoning_content="3")
    tokenizer = make_tokenizer(template=DROPS_OLD_REASONING)
    template = Template(completion_format="= {completion}")
    assert "<think>3</think>= 5" in tokenizer.decode(render(example, tokenizer, template).input_ids)


def test_a_template_that_hides_the_turn_is_refused() -> None:
    hides = "{% for m in messages %}{{ m.role }}{% endfor %}{% if messages|length > 1 %}x{% endif %}"
    with pytest.raises(DataError, match="--score last"):
        render(
            Example("h", (user("a"), said("b"), user("c")), "d", chat=Conversation(trains_every_turn=True)),
            make_tokenizer(template="{% if add_generation_prompt %}!{% endif %}" + hides),
            Template(),
        )


@pytest.mark.parametrize(
    "turns",
    [
        [said("5"), user("a"), said("3")],
        [user("a"), said("", tool_calls=[{"function": {"name": "add"}}]), user("b"), said("3")],
        [user("a"), said(""), user("b"), said("3")],
        [user("a"), said("b"), user("c"), said("")],
    ],
)
def test_turns_that_begin_are_empty_or_call_are_found(turns: list[dict[str, Any]]) -> None:
    tokenizer = make_tokenizer(template=CHATML)
    rendered = render(from_messages({"messages": turns}), tokenizer, Template())
    assert list(rendered.input_ids) == prepared_by_trl(tokenizer, {"messages": turns})[0]
    expected = [f"{turn['content']}<|im_end|>\n" for turn in turns if turn["role"] == "assistant"]
    assert scored_texts(rendered, tokenizer) == expected


def test_a_template_that_refuses_our_probe_is_asked_in_another_way() -> None:
    """It takes a call or content, as gpt-oss does where there is thinking: the call finds its turn."""
    strict = (
        "{% for m in messages %}{% if m.tool_calls and m.content %}{{ raise_exception('both') }}{% endif %}"
        "{{ '<|im_start|>' + m['role'] + '\\n' }}{% if m.tool_calls %}{{ m.tool_calls[0].function.name }}"
        "{% elif loop.last or m['role'] != 'assistant' %}{{ m['content'] }}"
        "{% else %}{{ 'was ' + m['content'] }}"
        "{% endif %}{{ '<|im_end|>\\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n<think>' }}{% endif %}"
    )
    tokenizer = make_tokenizer(template=strict)
    turns = [user("a"), said("", tool_calls=[{"function": {"name": "add"}}]), user("b"), said("3")]
    rendered = render(from_messages({"messages": turns}), tokenizer, Template())
    assert scored_texts(rendered, tokenizer) == ["add<|im_end|>\n", "3<|im_end|>\n"]


def test_rows_cut_before_their_last_answer_are_not_scored_at_all() -> None:
    tokenizer = make_tokenizer(template=CHATML)
    whole = render(from_messages({"messages": TURNS}), tokenizer, Template())
    start = len(whole) - len(whole.answer_ids)
    assert not render(
        from_messages({"messages": TURNS}), tokenizer, Template(max_length=start)
    ).completion_ids
    cut = render(from_messages({"messages": TURNS}), tokenizer, Template(max_length=start + 1))
    assert len(cut.answer_ids) == 1 and cut.clean_boundary


def test_the_templates_own_marks_find_turns_that_nothing_else_does() -> None:
    """It writes no header by which a turn could be found: its marks alone tell."""
    hidden = (
        "{% for m in messages %}{% if m['role'] == 'assistant' %}{% generation %}{{ m['content'] }}!"
        "{% endgeneration %}{% else %}{{ m['content'] }}{{ messages | length }}{% endif %}{% endfor %}"
    )
    tokenizer = make_tokenizer(template=hidden)
    turns = [user("a"), said("5"), user("b"), said("3")]
    rendered = render(from_messages({"messages": turns}), tokenizer, Template(assistant_only_loss=True))
    assert scored_texts(rendered, tokenizer) == ["5!", "3!"]
    last = render(
        from_messages({"messages": turns}), tokenizer, Template(assistant_only_loss=True, score="last")
    )
    assert scored_texts(last, tokenizer) == ["3!"] and tokenizer.decode(last.answer_ids) == "3!"


@pytest.mark.parametrize(
    ("mask", "runs"),
    [("", []), ("0", []), ("1", [(0, 1)]), ("0110", [(1, 3)]), ("1101", [(0, 2), (3, 4)])],
)
def test_runs_of_a_mask(mask: str, runs: list[tuple[int, int]]) -> None:
    assert [(run.start, run.stop) for run in runs_of([char == "1" for char in mask])] == runs
