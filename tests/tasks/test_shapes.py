"""The shapes of rows: what each becomes, and that nothing which changes a question is dropped in silence.

Covers: overmem.tasks.examples, overmem.tasks.rows
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from overmem.tasks import LoadedData, load_examples
from overmem.tasks.columns import MEDIA, ROLES, TOOLS
from tests.tasks.test_files import write_jsonl
from tests.tasks.test_sources import error_of

ASKED, SAID = {"role": "user", "content": "q"}, {"role": "assistant", "content": "so \\boxed{3}"}


def load(folder: Path, *rows: dict[str, Any]) -> LoadedData:
    return load_examples(str(write_jsonl(folder, list(rows))))


@pytest.mark.parametrize(
    ("row", "name", "prompt", "completion", "answer"),
    [
        ({"instruction": "i", "context": "c", "response": "r"}, "instruction/response", "i\nc", "r", None),
        ({"instruction": "i", "context": "", "response": "r"}, "instruction/response", "i", "r", None),
        ({"instruction": "i", "input": "c", "response": "r"}, "instruction/response", "i\nc", "r", None),
        ({"question": "q", "solution": "s", "answer": 4}, "question/solution", "q", "s", "4"),
        ({"question": "q", "solution": "so \\boxed{4}"}, "question/solution", "q", "so \\boxed{4}", "4"),
        ({"problem": "q", "solution": "s", "answer": "1/2"}, "problem/solution", "q", "s", "1/2"),
        ({"problem": "q", "answer": "6-\\sqrt{5}"}, "problem/answer", "q", "6-\\sqrt{5}", "6-\\sqrt{5}"),
        ({"question": "q", "response": "r"}, "question/response", "q", "r", None),
        ({"input": "q", "target": "(B)"}, "input/target", "q", "(B)", "(B)"),
        ({"input": "q", "output": "r"}, "input/output", "q", "r", None),
        ({"text": " all of it\n", "url": "u"}, "text", "", " all of it\n", None),
        (
            {"problem": "q", "deepseek_reasoning": "r", "deepseek_solution": "\\boxed{3}", "domain": "math"},
            "openthoughts",
            "q",
            "<think>\nr\n</think>\n\n\\boxed{3}",
            "3",
        ),
        (  # an attempt may be wrong: the truth is another column
            {"question": "q", "thinking_trajectories": ["t"], "attempt": "\\boxed{1}", "solution": "128"},
            "s1K",
            "q",
            "<think>\nt\n</think>\n\n\\boxed{1}",
            "128",
        ),
        (
            {
                "question": "q",
                "deepseek_thinking_trajectory": "t",
                "deepseek_attempt": "a",
                "gemini_attempt": "g",
                "solution": "long. " * 40 + "\\boxed{9}",
            },
            "s1K",
            "q",
            "<think>\nt\n</think>\n\na",
            "9",
        ),
        (
            {"problem": "p", "solution": "s", "messages": [ASKED, SAID]},
            "messages",
            (ASKED,),
            "so \\boxed{3}",
            "3",
        ),
        (
            {
                "problem": "p",
                "solution": "s",
                "answer": "3.0",
                "generations": ["g"],
                "messages": [ASKED, SAID],
            },
            "messages",
            (ASKED,),
            "so \\boxed{3}",
            "3.0",
        ),
    ],
)
def test_each_shape(
    tmp_path: Path, row: dict[str, Any], name: str, prompt: Any, completion: str, answer: str | None
) -> None:
    loaded = load(tmp_path, row)
    (example,) = loaded.examples
    assert loaded.shape.startswith(f"{name}: ")
    assert (example.prompt, example.completion, example.answer) == (prompt, completion, answer)


def test_columns_that_are_not_read_are_said(tmp_path: Path) -> None:
    row = {"problem": "p", "solution": "s", "messages": [ASKED, SAID], "source": "x", "uuid": None}
    later = {"messages": [ASKED, SAID], "extra": 1}
    assert "not read: `extra`, `problem`, `solution`, `source`" in load(tmp_path, row, later).shape
    wide = {"question": "q", "answer": "4", **{f"c{i}": i for i in range(20)}}
    assert "and 12 more" in load(tmp_path, wide).shape
    assert "not read" not in load(tmp_path, {"question": "q", "answer": "4", "id": "a", "c": None}).shape


@pytest.mark.parametrize("column", sorted(ROLES.keys() - {"system", "system_prompt", "history"}))
def test_a_column_that_changes_the_question_is_refused(tmp_path: Path, column: str) -> None:
    value = ["something"] if column in MEDIA | TOOLS else "something"
    rows = [{"question": "q", "answer": "4"}, {"question": "q", "answer": "4", column: value}]
    message = error_of(str(write_jsonl(tmp_path, rows)))
    assert f"row 1 (line 2) has `{column}`" in message
    if ROLES[column]:
        asked = message.split("--columns ")[1].split(" reads it")[0]
        assert f"{ROLES[column]}={column}" in asked
    if ROLES[column] == "context":  # the command that is proposed does what it says
        loaded = load_examples(str(write_jsonl(tmp_path, rows[1:])), asked)
        assert loaded.examples[0].prompt == "something\nq"
    for nothing in (None, "", " ", "[]", [], {}, {"bytes": None, "path": None}):
        assert len(load(tmp_path, {"question": "q", "answer": "4", column: nothing}).examples) == 1


@pytest.mark.parametrize("column", sorted(MEDIA))
def test_media_beside_a_conversation_are_refused(tmp_path: Path, column: str) -> None:
    row = {"messages": [ASKED, SAID], column: ["a.file"]}
    assert "overmem reads text alone" in error_of(str(write_jsonl(tmp_path, [row])))
    assert len(load(tmp_path, {"messages": [ASKED, SAID], "context": "of the conversation"}).examples) == 1


@pytest.mark.parametrize("key", ["system", "system_prompt"])
def test_a_system_column_makes_all_prompts_messages(tmp_path: Path, key: str) -> None:
    rows = [{"question": "q", "response": "r", key: "s"}, {"question": "q", "response": "r", key: ""}]
    first, second = load(tmp_path, *rows).examples
    assert first.prompt == ({"role": "system", "content": "s"}, ASKED)
    assert second.prompt == (ASKED,)
    assert load(tmp_path, rows[1]).examples[0].prompt == "q"
    twice = {"prompt": [{"role": "system", "content": "t"}, ASKED], "completion": "r", key: "s"}
    assert "another in a column of its own" in error_of(str(write_jsonl(tmp_path, [twice])))


def test_history_comes_before_the_question(tmp_path: Path) -> None:
    row = {"instruction": "q", "output": "r", "system": "s", "history": [["a", "b"], ["c", "d"]]}
    (example,) = load(tmp_path, row).examples
    assert [turn["role"] for turn in example.prompt] == ["system", *["user", "assistant"] * 2, "user"]
    assert [turn["content"] for turn in example.prompt] == ["s", "a", "b", "c", "d", "q"]


@pytest.mark.parametrize("beside", ["summary", "response", "question"])
def test_a_text_beside_an_answer_is_not_taken_for_the_whole(tmp_path: Path, beside: str) -> None:
    path = str(write_jsonl(tmp_path, [{"text": "t", beside: "x"}]))
    assert f"also {beside}" in error_of(path)
    assert load_examples(path, "text=text").examples[0].completion == "t"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_answers_that_are_no_numbers(tmp_path: Path, value: float) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"question": "q", "solution": "s", "answer": value}))
    assert "not a finite number" in error_of(str(path))


def test_mixed_shapes_are_refused_at_the_row(tmp_path: Path) -> None:
    rows = [{"prompt": "q", "completion": "r"}, {"messages": [ASKED, SAID]}]
    message = error_of(str(write_jsonl(tmp_path, rows)))
    assert "row 1 (line 2) lacks the field `prompt`" in message and "keys messages" in message


@pytest.mark.parametrize(
    "row", [{"prompt": [["a"]], "completion": "b"}, {"question": "q", "answer": [1, [2]]}]
)
def test_nested_lists_are_refused(tmp_path: Path, row: dict[str, Any]) -> None:
    assert "row 0" in error_of(str(write_jsonl(tmp_path, [row])))


@pytest.mark.parametrize("prompt", ["prompt", "problem", "question", "query", "input"])
@pytest.mark.parametrize("completion", ["completion", "solution", "response", "output", "target", "answer"])
def test_every_pair_of_a_question_and_an_answer(tmp_path: Path, prompt: str, completion: str) -> None:
    loaded = load(tmp_path, {prompt: "q", completion: "so #### 4"})
    assert loaded.shape.startswith(f"{prompt}/{completion}: ")
    assert (loaded.examples[0].prompt, loaded.examples[0].answer) == ("q", "4")


@pytest.mark.parametrize("column", ["hint", "context", "system", "images", "tools", "table"])
def test_a_known_data_set_with_more_to_its_question(tmp_path: Path, column: str) -> None:
    row = {"question": "q", "answer": True, "facts": ["f"], column: ["x"]}
    path = str(write_jsonl(tmp_path, [row]))
    assert f"has `{column}`" in error_of(path)
    if column != "images":
        assert "strategyqa:FILE" in error_of(path)
        assert load_examples(f"strategyqa:{path}").examples[0].prompt == "q\n(A) yes\n(B) no"


def test_a_name_longer_than_a_file_may_have() -> None:
    assert "x" * 300 in error_of("x" * 300 + ".jsonl")
    assert "from the Hugging Face hub" in error_of("a/" + "x" * 300)


TOOL = {"type": "function", "function": {"name": "f"}}


@pytest.mark.parametrize("tools", [[TOOL], json.dumps([TOOL])])
def test_tools_go_with_messages_and_are_refused_beside_a_text(tmp_path: Path, tools: object) -> None:
    rows = [{"messages": [ASKED, SAID]}, {"prompt": [ASKED], "completion": [SAID]}]
    for row in rows:
        (example,) = load(tmp_path, row | {"tools": tools}).examples
        assert example.chat.tools == (TOOL,)
        assert load(tmp_path, row | {"tools": "[]"}).examples[0].chat.tools == ()  # as TRL has it
        assert "has `functions`" in error_of(str(write_jsonl(tmp_path, [row | {"functions": tools}])))
    text = {"prompt": "q", "completion": "r", "tools": tools}
    assert "has `tools`" in error_of(str(write_jsonl(tmp_path, [text])))


def test_a_system_column_beside_messages_is_what_some_trainers_do_not_see(tmp_path: Path) -> None:
    (example,) = load(tmp_path, {"messages": [ASKED, SAID], "system": "s"}).examples
    assert example.prompt == ({"role": "system", "content": "s"}, ASKED)
    assert example.chat.as_written == (ASKED, SAID)
    own = {"role": "system", "content": "t"}
    (example,) = load(tmp_path, {"messages": [own, ASKED, SAID], "system": "s"}).examples
    assert example.prompt == (own, ASKED) and example.chat.as_written is None


def test_which_turns_were_trained(tmp_path: Path) -> None:
    turns = [ASKED, SAID, ASKED, SAID]
    rows = [
        {"messages": turns},
        {"messages": turns, "label": True},
        {"chosen": turns, "rejected": [*turns[:3], {**SAID, "content": "x"}]},
    ]
    assert [load(tmp_path, row).examples[0].chat.trains_every_turn for row in rows] == [True, False, False]


def test_tokenized_rows_are_taken_as_they_are(tmp_path: Path) -> None:
    row = {"input_ids": [5, 6, 7], "labels": [-100, 6, 7], "options": "of no matter"}
    loaded = load(tmp_path, row, row)
    assert loaded.shape.startswith("tokenized: ") and "2 rows" in loaded.shape
    assert loaded.examples[0].tokens is not None and loaded.examples[0].tokens.input_ids == (5, 6, 7)
