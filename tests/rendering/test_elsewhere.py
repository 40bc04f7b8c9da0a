"""Other code renders: a function of one's own, and frameworks in a process of their own.

The frameworks themselves run only where the environment names their Python.

Covers: overmem.rendering.llamafactory_worker, overmem.rendering.axolotl_worker
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from overmem.errors import DataError
from overmem.records import Conversation, Example
from overmem.rendering.axolotl_worker import dataset_row
from overmem.rendering.elsewhere import canonical_row
from overmem.rendering.llamafactory_worker import aligned
from overmem.rendering.render import render_all
from overmem.rendering.template import Template
from tests.helpers.tokenizers import CHATML, make_tokenizer
from tests.rendering.test_chat import from_messages, said, user

MODULE = """
def as_training(example, tokenizer):
    ids = tokenizer("Q " + example.prompt + " A ")["input_ids"]
    answer = tokenizer(example.completion)["input_ids"]
    return {"input_ids": ids + answer, "labels": [-100] * len(ids) + answer}

def nothing(example, tokenizer):
    return {"input_ids": [1, 2], "labels": [-100, -100]}

def fails(example, tokenizer):
    return example.prompt["x"]

def text(example, tokenizer):
    return "abc"
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "own_rendering.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    return "python:own_rendering.py"


def test_a_function_of_ones_own_gives_the_tokens(module: str) -> None:
    tokenizer = make_tokenizer()
    (found,) = render_all([Example("e", "2 + 3?", "5")], tokenizer, Template(kind=f"{module}:as_training"))
    assert tokenizer.decode(found.prompt_ids) == "Q 2 + 3? A "
    assert tokenizer.decode(found.completion_ids) == "5"


@pytest.mark.parametrize(
    ("name", "part"),
    [
        (":nothing", "trains on no token"),
        (":fails", "failed on example `e`"),
        (":text", "gave no tokens"),
        (":missing", "has no function"),
        ("", "malformed"),
        ("_there_is_none:f", "cannot import"),
    ],
)
def test_functions_that_give_no_tokens_are_named(module: str, name: str, part: str) -> None:
    with pytest.raises(DataError, match=part):
        render_all([Example("e", "2 + 3?", "5")], make_tokenizer(), Template(kind=module + name))


def test_a_framework_that_is_missing_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OVERMEM_LLAMAFACTORY_PYTHON", raising=False)
    template, example = Template(kind="llamafactory:qwen"), Example("e", "a", "b")
    with pytest.raises(DataError, match="OVERMEM_LLAMAFACTORY_PYTHON"):
        render_all([example], make_tokenizer(), template)
    monkeypatch.setenv("OVERMEM_LLAMAFACTORY_PYTHON", "/no/python")
    with pytest.raises(DataError, match="names no Python"):
        render_all([example], make_tokenizer(), template)
    monkeypatch.setenv("OVERMEM_LLAMAFACTORY_PYTHON", sys.executable)  # which has no LLaMA-Factory
    with pytest.raises(DataError, match="No module named 'llamafactory'"):
        render_all([example], make_tokenizer(), template)


def test_options_that_the_other_code_does_not_read_are_refused(module: str) -> None:
    template = Template(kind=f"{module}:as_training", prompt_format="Q: {prompt}", system="S")
    with pytest.raises(DataError, match="does not read prompt_format, system"):
        render_all([Example("e", "a", "b")], make_tokenizer(), template)


CONVERSATION = from_messages(
    {"messages": [{"role": "system", "content": "S"}, user("a"), said("b"), user("c"), said("d")]}
)


def test_rows_as_llamafactory_keeps_them() -> None:
    row = canonical_row(CONVERSATION)
    assert aligned(row["messages"], None) == {
        "prompt": [user("a"), said("b"), user("c")],
        "response": [said("d")],
        "system": "S",
        "tools": "",
    }
    calls = [{"type": "function", "function": {"name": "add", "arguments": {"a": 1}}}]
    turns = [user("a"), said("", tool_calls=calls), {"role": "tool", "content": "1"}, said("d")]
    found = aligned(turns, [{"name": "add"}])
    assert [turn["role"] for turn in found["prompt"]] == ["user", "function", "observation"]
    assert found["prompt"][1]["content"] == '{"name": "add", "arguments": {"a": 1}}'


@pytest.mark.parametrize(
    ("dataset", "expected"),
    [
        ({"type": "chat_template", "field_messages": "turns"}, {"turns": [user("a"), said("b")]}),
        (
            {"type": "chat_template", "message_property_mappings": {"role": "from", "content": "value"}},
            {"messages": [{"from": "user", "value": "a"}, {"from": "assistant", "value": "b"}]},
        ),
        (
            {"type": {"field_instruction": "q", "field_output": "r"}},
            {"system": "", "q": "a", "input": "", "r": "b"},
        ),
    ],
)
def test_rows_under_the_names_that_axolotl_asks_for(
    dataset: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert dataset_row(canonical_row(Example("e", "a", "b")), dataset) == expected


def test_the_datas_own_record_goes_before_what_was_made_of_it() -> None:
    example = Example("e", "a\nx", "b", row={"instruction": "a", "input": "x", "output": "b"})
    found = dataset_row(canonical_row(example), {"type": "alpaca"})
    assert (found["instruction"], found["input"], found["output"]) == ("a", "x", "b")
    reworded = dataset_row(canonical_row(replace(example, prompt="c", row=None)), {"type": "alpaca"})
    assert (reworded["instruction"], reworded["input"]) == ("c", "")


@pytest.mark.skipif("OVERMEM_LLAMAFACTORY_PYTHON" not in os.environ, reason="needs LLaMA-Factory")
def test_llamafactory_renders_for_real() -> None:
    tokenizer = make_tokenizer(template=CHATML)
    (found,) = render_all([CONVERSATION], tokenizer, Template(kind="llamafactory:alpaca"))
    assert tokenizer.decode(found.question_ids).endswith("### Response:\n")
    assert tokenizer.decode(found.answer_ids).startswith("d</s>")
    assert found.scored is not None


@pytest.mark.skipif("OVERMEM_AXOLOTL_PYTHON" not in os.environ, reason="needs Axolotl")
def test_axolotl_renders_for_real(tmp_path: Path) -> None:
    configuration = tmp_path / "config.yaml"
    configuration.write_text("datasets:\n  - path: x\n    type: alpaca\nsequence_len: 512\n")
    example = Example("e", "a", "5", chat=Conversation())
    tokenizer = make_tokenizer()
    (found,) = render_all([example], tokenizer, Template(kind=f"axolotl:{configuration}"))
    assert tokenizer.decode(found.question_ids).endswith("### Response:\n")
    assert tokenizer.decode(found.answer_ids) == "5</s>"
