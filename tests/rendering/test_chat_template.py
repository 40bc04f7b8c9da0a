"""Which chat template is used."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from overmem.errors import DataError
from overmem.rendering.chat_template import chat_template_text, marks_assistant
from overmem.rendering.render import render
from overmem.rendering.template import Template
from tests.helpers.tokenizers import CHATML, MARKED, make_tokenizer
from tests.rendering.test_chat import from_messages, said, user


def test_generation_markers_are_not_the_generation_prompt() -> None:
    assert marks_assistant(MARKED)
    assert not marks_assistant(CHATML)


@pytest.mark.parametrize("as_folder", [False, True])
def test_a_file_stands_in_for_the_tokenizers_template(tmp_path: Path, as_folder: bool) -> None:
    file = tmp_path / "chat_template.jinja"
    file.write_text(CHATML.replace("<|im_start|>", "@"))
    template = Template(chat_template=str(tmp_path if as_folder else file))
    example = from_messages({"messages": [user("a"), said("b")]})
    assert render(example, make_tokenizer(template=CHATML), template).prompt_text.startswith("@user")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.jinja"):
        chat_template_text(make_tokenizer(), Template(chat_template=str(tmp_path / "none.jinja")))


def test_the_clock_stands_still() -> None:
    text = "{{ strftime_now('%d %b %Y') }} {% for m in messages %}{{ m.content }}{% endfor %}"
    example = from_messages({"messages": [user("a"), said("b")]})
    rendered = render(example, make_tokenizer(template=text), Template(score="last"))
    assert rendered.prompt_text.startswith("26 Jul 2024 ")


def test_of_several_named_templates_the_one_of_transformers_is_used() -> None:
    tokenizer = make_tokenizer()
    tokenizer.chat_template = {"default": CHATML, "tool_use": "{{ 'tools' }}" + CHATML, "rag": "x"}
    example = from_messages({"messages": [user("a"), said("b")]})
    assert render(example, tokenizer, Template()).prompt_text.startswith("<|im_start|>user")
    with_tools = from_messages({"messages": [user("a"), said("b")], "tools": [{"name": "f"}]})
    assert render(with_tools, tokenizer, Template()).prompt_text.startswith("tools<|im_start|>user")


def test_a_folder_of_an_older_transformers_holds_the_template_in_its_configuration(tmp_path: Path) -> None:
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": CHATML}))
    assert chat_template_text(make_tokenizer(), Template(chat_template=str(tmp_path))) == CHATML
    (tmp_path / "tokenizer_config.json").write_text("{}")
    with pytest.raises(DataError, match="cannot read the chat template"):
        chat_template_text(make_tokenizer(), Template(chat_template=str(tmp_path)))


def test_a_template_that_writes_without_measure_is_refused_before_a_tokenizer_reads_it() -> None:
    text = "{{ 'x' * 5000000 }}{% for m in messages %}{{ m.content }}{% endfor %}"
    example = from_messages({"messages": [user("a"), said("b")]})
    with pytest.raises(DataError, match="the chat template writes too much"):
        render(example, make_tokenizer(template=text), Template(score="last"))
