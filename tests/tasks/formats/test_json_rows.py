"""JSON and JSON Lines: lists, wrappers around them, and files with several."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from overmem.tasks import load_examples
from tests.tasks.test_sources import error_of

ROWS = [{"question": f"q{i}", "answer": str(i)} for i in range(3)]
CHAT = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}


def write(path: Path, held: Any) -> str:
    path.write_text(json.dumps(held))
    return str(path)


@pytest.mark.parametrize("key", ["data", "examples", "instances", "my rows"])
def test_rows_under_one_key_are_found_and_said(tmp_path: Path, key: str) -> None:
    loaded = load_examples(write(tmp_path / "a.json", {"version": 1, "canary": "x", key: ROWS, "empty": []}))
    assert [example.prompt for example in loaded.examples] == ["q0", "q1", "q2"]
    assert f"rows under `{key}`" in loaded.shape


def test_several_lists_ask_which(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", {"train": ROWS, "test": ROWS[:1]})
    assert "a.json#train" in error_of(path)
    assert "no list `dev`" in error_of(f"{path}#dev")
    assert len(load_examples(f"{path}#test").examples) == 1


@pytest.mark.parametrize(
    ("held", "part"),
    [
        (5, "does not hold a list"),
        ({"data": []}, "does not hold a list"),
        ({"data": [1]}, "does not hold a list"),
        (CHAT, "keys messages"),  # one row: its list holds turns, not rows
        ({"question": ["a"], "answer": ["b"]}, "does not hold a list"),
        ([], "has no rows"),
        ([1], "not a record"),
    ],
)
def test_what_holds_no_rows(tmp_path: Path, held: Any, part: str) -> None:
    assert part in error_of(write(tmp_path / "a.json", held))


def test_text_files_hold_a_document_a_line(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("one text\r\n\n  two\u2028texts \n".encode())
    loaded = load_examples(str(tmp_path / "a.txt"))
    assert [(e.prompt, e.completion) for e in loaded.examples] == [
        ("", "one text"),
        ("", "  two\u2028texts "),
    ]
    assert loaded.shape.startswith("text: prompt from nothing")
    (tmp_path / "b.txt").write_text("\n \n")
    assert "is empty" in error_of(str(tmp_path / "b.txt"))


def test_a_slice_is_read_without_the_rows_behind_it(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS) + "not JSON\n")
    assert len(load_examples(f"{path}[:3]").examples) == 3
    assert len(load_examples(f"{path}[1:2]").examples) == 1
    for source in (str(path), f"{path}[:4]", f"{path}[-1:]", f"{path}[:-1]"):
        assert "line 4 is not JSON" in error_of(source)
