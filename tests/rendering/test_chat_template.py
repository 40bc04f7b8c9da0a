"""Which chat template is used."""

from __future__ import annotations

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
