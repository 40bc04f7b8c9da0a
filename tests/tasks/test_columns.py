"""Columns that a person names: `--columns` taken apart, its errors, and the examples it makes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overmem.errors import DataError
from overmem.tasks import load_examples
from overmem.tasks.columns import KEYS, parse_columns
from tests.tasks.test_files import write_jsonl

ROW = {
    "frage": "q",
    "tipp": "h",
    "weg": "w",
    "erg": 7,
    "wahl": ["x", "y"],
    "recht": "B",
    "rolle": "s",
    "nr": 5,
}


def load(folder: Path, columns: str | Mapping[str, str], row: Mapping[str, Any] = ROW) -> Any:
    (example,) = load_examples(str(write_jsonl(folder, [row])), columns).examples
    return example.prompt, example.completion, example.answer


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("prompt=a,completion=b", {"prompt": "a", "completion": "b"}),
        (" prompt = a b , completion = c ", {"prompt": "a b", "completion": "c"}),
        ("prompt={a}\\n{b}, ok?,completion=c", {"prompt": "{a}\n{b}, ok?", "completion": "c"}),
        ("messages=dialog", {"messages": "dialog"}),
        ("prompt=q,options=o,answer=a", {"prompt": "q", "options": "o", "answer": "a"}),
    ],
)
def test_parse_columns(text: str, columns: dict[str, str]) -> None:
    assert parse_columns(text) == columns


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ["malformed", "prompt=question"]),
        ("prompt", ["malformed"]),
        ("prompt=", ["malformed"]),
        ("promt=a,completion=b", ["unknown key", "promt", *KEYS]),
        ("prompt=a,prompt=b,completion=c", ["`prompt` twice"]),
        ("prompt=a", ["make no example", "prompt=a"]),
        ("completion=a", ["make no example"]),
        ("prompt=a,options=b", ["make no example"]),
        ("messages=a,text=b", ["make no example"]),
        ("messages=a,prompt=b,completion=c", ["make no example"]),
    ],
)
def test_malformed_columns(text: str, parts: list[str]) -> None:
    with pytest.raises(DataError) as caught:
        parse_columns(text)
    assert all(part in str(caught.value) for part in parts), caught.value


@given(st.text(max_size=30))
def test_any_text_is_columns_or_one_data_error(text: str) -> None:
    try:
        columns = parse_columns(text)
    except DataError:
        return
    assert set(columns) <= set(KEYS)


@pytest.mark.parametrize(
    ("columns", "example"),
    [
        ("prompt=frage,completion=weg", ("q", "w", None)),
        ("prompt=frage,completion=weg,answer=erg", ("q", "w", "7")),
        ("prompt=frage,completion=weg,context=tipp", ("h\nq", "w", None)),
        ("prompt={frage} ({tipp}),completion={weg} #### {erg}", ("q (h)", "w #### 7", "7")),
        ("prompt=frage,options=wahl,answer=recht", ("q\n(A) x\n(B) y", "Answer: (B)", "B")),
        (
            "prompt=frage,options=wahl,answer=recht,completion=weg,context=tipp",
            ("h\nq\n(A) x\n(B) y", "w\nAnswer: (B)", "B"),
        ),
        (
            "prompt=frage,completion=weg,system=rolle",
            (({"role": "system", "content": "s"}, {"role": "user", "content": "q"}), "w", None),
        ),
        ("text=frage", ("", "q", None)),
        ({"prompt": "frage", "completion": "weg"}, ("q", "w", None)),
    ],
)
def test_named_columns_make_the_example(
    tmp_path: Path, columns: str | Mapping[str, str], example: object
) -> None:
    assert load(tmp_path, columns) == example


def test_a_conversation_by_another_name(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "u"}, {"role": "assistant", "content": "a"}]
    assert load(tmp_path, "messages=dialog", {"dialog": turns, "prompt": "p"}) == ((turns[0],), "a", None)


def test_columns_go_before_what_would_be_recognised(tmp_path: Path) -> None:
    row = {"question": "q", "choices": ["x", "y"], "answer": 1, "chosen": "c", "rejected": "d", "label": 0}
    assert load(tmp_path, "prompt=question,completion=chosen", row) == ("q", "c", None)


def test_ids_and_what_else_the_rows_hold(tmp_path: Path) -> None:
    path = str(write_jsonl(tmp_path, [{**ROW, "tests": "assert f()"}]))
    loaded = load_examples(path, "prompt=frage,completion=weg,id=nr")
    assert (loaded.examples[0].id, loaded.grader) == ("5", "code")
    assert loaded.shape.startswith("named columns: prompt from `frage`, completion from `weg`; 1 rows")
    assert "not read: `erg`, `recht`" in loaded.shape
    assert "(field `erg`)" in load_examples(path, "prompt=frage,completion=weg,answer=erg").shape


@pytest.mark.parametrize(
    ("columns", "parts"),
    [
        ("prompt=frage,completion=nix", ["no column `nix`", "the completion", "frage, tipp, weg, erg"]),
        ("prompt={frage} {nix},completion=weg", ["no column `nix`", "the prompt"]),
        ("prompt=frage,options=wahl,answer=weg", ["does not name one option", "'w'"]),
        ("prompt=frage,options=tipp,answer=recht", ["options is not a list"]),
    ],
)
def test_columns_that_do_not_fit_the_rows(tmp_path: Path, columns: str, parts: list[str]) -> None:
    with pytest.raises(DataError) as caught:
        load(tmp_path, columns)
    assert all(part in str(caught.value) for part in parts), caught.value


def test_a_task_has_columns_of_its_own(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path, [ROW])
    with pytest.raises(DataError, match="reads columns of its own"):
        load_examples(f"gsm8k:{path}", "prompt=frage,completion=weg")
    with pytest.raises(DataError, match="unknown key"):
        load_examples(str(path), {"question": "frage"})
