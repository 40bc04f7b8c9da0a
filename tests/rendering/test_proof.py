"""What is shown of the first example, and what it warns of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from overmem.records import Example
from overmem.rendering.proof import preview, warnings_of, warnings_of_all
from overmem.rendering.render import render
from overmem.rendering.template import Template
from overmem.tasks.conversations import read_chat
from overmem.tasks.sources import load_examples
from tests.helpers.tokenizers import CHATML, GENERATION_ONLY_THINK, make_tokenizer
from tests.rendering.test_chat import from_messages, said, user


def warned(example: Example, tokenizer: Any, template: Template | None = None) -> str:
    template = template or Template()
    return "\n".join(warnings_of(example, render(example, tokenizer, template), tokenizer, template))


def test_the_ids_scored_and_not_scored_are_shown_with_their_text() -> None:
    tokenizer = make_tokenizer(bos=True, template=CHATML)
    example = from_messages({"messages": [user("a"), said("12 apples"), user("b"), said("5")]})
    text = preview(example, render(example, tokenizer, Template()), tokenizer, Template())
    rendered = render(example, tokenizer, Template())
    for token in rendered.answer_ids:
        assert f"{token}:" in text
    assert f"scored: {sum(rendered.scored_mask)} of {len(rendered)} tokens" in text
    assert "the tokenizer's chat template (the rows are chat messages); scored: every assistant turn" in text
    assert "<|im_end|> x4" in text
    assert text.count("[*]") == 3 and "<|im_end|>" in text


def test_nothing_is_warned_of_a_plain_row() -> None:
    example = Example("e", "Question: 2 + 3?\nAnswer:", " 5")
    assert warned(example, make_tokenizer(bos=True)) == ""


@pytest.mark.parametrize(
    ("example", "template_text", "template", "part"),
    [
        (Example("e", "12 app", "les"), None, Template(), "the end of the prompt, ' app'"),
        (Example("e", "<s>a", "b"), None, Template(), "begins with <s> twice"),
        (Example("e", "a", "b"), None, Template(eos=False), "trained to stop"),
        (
            from_messages({"messages": [user("a"), said("b")]}),
            GENERATION_ONLY_THINK,
            Template(),
            "the end of the prompt",
        ),
        (
            from_messages({"messages": [user("a"), said("b")]}),
            CHATML + "{% if false %}{{ strftime_now('%Y') }}{% endif %}",
            Template(),
            "today's date",
        ),
    ],
)
def test_what_training_may_have_had_otherwise_is_said(
    example: Example, template_text: str | None, template: Template, part: str
) -> None:
    assert part in warned(example, make_tokenizer(bos=True, template=template_text), template)


ONLY_KNOWN_ROLES = CHATML.replace(
    "{% for m in messages %}", "{% for m in messages if m['role'] in ('user', 'assistant') %}"
)


@pytest.mark.parametrize(
    ("turns", "template_text", "part"),
    [
        ([{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}], CHATML, "writes another text"),
        (
            [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b c"}],
            ONLY_KNOWN_ROLES,
            "trained on none of it",
        ),
        (
            [
                {"role": "user", "content": [{"type": "text", "text": "a"}]},
                {"role": "assistant", "content": "b"},
            ],
            CHATML,
            "and fails on these",
        ),
        ([{"from": "user", "value": "a"}, {"from": "assistant", "value": "b"}], CHATML, ""),
    ],
)
def test_what_was_read_more_kindly_than_a_trainer_does_is_said(
    turns: list[dict[str, Any]], template_text: str, part: str
) -> None:
    found = read_chat({"conversations": turns}, "conversations", "here")
    example = Example("s", found.prompt, found.completion, chat=found.chat)
    text = warned(example, make_tokenizer(template=template_text))
    assert part in text if part else text == ""


def test_a_system_column_that_trl_does_not_read_is_said(tmp_path: Path) -> None:
    row = {"messages": [user("a"), said("b")], "system": "Be brief."}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    (example,) = load_examples(str(tmp_path / "rows.jsonl")).examples
    text = warned(example, make_tokenizer(template=CHATML))
    assert "column `system`" in text and "writes another text" in text


def test_a_kind_of_warning_is_said_once_with_its_rows() -> None:
    tokenizer = make_tokenizer()
    examples = [Example("0", "12", " 5"), Example("1", "12 app", "les"), Example("2", "3 app", "les")]
    rendered = [render(example, tokenizer, Template()) for example in examples]
    (text,) = warnings_of_all(examples, rendered, tokenizer, Template())
    assert text.startswith("2 of 3 rows: the end of the prompt")


def test_rows_that_other_code_renders_are_not_held_against_trl() -> None:
    turns = [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]
    found = read_chat({"conversations": turns}, "conversations", "here")
    example = Example("s", found.prompt, found.completion, chat=found.chat)
    tokenizer = make_tokenizer(template=CHATML + "{% if false %}{{ strftime_now('%Y') }}{% endif %}")
    rendered = render(example, tokenizer, Template())
    assert warnings_of(example, rendered, tokenizer, Template())
    assert not warnings_of(example, rendered, tokenizer, Template(kind="llamafactory:qwen3"))
