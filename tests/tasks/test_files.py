"""Reading data files: every shape, every error, and the same rows that `datasets` reads.

Covers: overmem.tasks.fields
"""

from __future__ import annotations

import gzip
import json
import string
import time
from pathlib import Path
from typing import Any

import polars
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overmem.errors import DataError
from overmem.tasks import load_examples, read_examples
from overmem.tasks.shapes import READERS

USER, BOT, SYSTEM = "What is 2 + 3?", "2 + 3 = 5\n#### 5", "Be brief."
TURNS = [
    {"role": "system", "content": SYSTEM},
    {"role": "user", "content": USER},
    {"role": "assistant", "content": BOT},
]
SHAREGPT = [{"from": "human", "value": USER}, {"from": "gpt", "value": BOT}]


def write_jsonl(folder: Path, rows: list[Any], name: str = "data.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def error_of(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_examples(path)
    return str(caught.value)


@pytest.mark.parametrize(
    ("row", "name", "prompt"),
    [
        ({"prompt": USER, "completion": BOT}, "prompt/completion", USER),
        ({"question": USER, "answer": BOT}, "question/answer", USER),
        ({"problem": USER, "solution": BOT}, "problem/solution", USER),
        ({"query": USER, "response": BOT}, "query/response", USER),
        ({"messages": TURNS}, "messages", tuple(TURNS[:2])),
        ({"prompt": TURNS[:2], "completion": TURNS[2:]}, "prompt/completion", tuple(TURNS[:2])),
        ({"prompt": USER, "completion": TURNS[2:]}, "prompt/completion", USER),
        ({"instruction": "Add.", "input": "2 and 3", "output": BOT}, "alpaca", "Add.\n2 and 3"),
        ({"instruction": "Add.", "input": "", "output": BOT}, "alpaca", "Add."),
        ({"instruction": "Add.", "output": BOT}, "alpaca", "Add."),
        ({"conversations": SHAREGPT}, "sharegpt", ({"role": "user", "content": USER},)),
        (
            {"conversations": SHAREGPT, "system": SYSTEM},
            "sharegpt",
            ({"role": "system", "content": SYSTEM}, {"role": "user", "content": USER}),
        ),
        ({"prompt": USER, "messages": TURNS}, "messages", tuple(TURNS[:2])),
    ],
)
@pytest.mark.parametrize("kind", ["jsonl", "json", "parquet"])
def test_each_shape_is_recognised_in_each_format(
    tmp_path: Path, row: dict[str, Any], name: str, prompt: object, kind: str
) -> None:
    path = tmp_path / f"data.{kind}"
    if kind == "jsonl":
        write_jsonl(tmp_path, [row, row])
    elif kind == "json":
        path.write_text(json.dumps([row, row], indent=1))
    else:
        polars.DataFrame([row, row]).write_parquet(path)
    examples, shape = read_examples(path)
    assert shape.name == name
    assert [example.id for example in examples] == ["0", "1"]
    assert examples[0].prompt == prompt
    assert examples[0].completion == BOT
    assert examples[0].answer == "5"
    assert "2 rows, 2 with a final answer (after `####`)" in str(shape)


def test_the_last_assistant_turn_is_the_completion(tmp_path: Path) -> None:
    turns = [*TURNS, {"role": "user", "content": "And 1 more?"}, {"role": "assistant", "content": "6"}]
    (example,), _ = read_examples(write_jsonl(tmp_path, [{"messages": turns}]))
    assert (len(example.prompt), example.completion, example.answer) == (4, "6", None)


def test_ids_answers_and_other_columns_are_kept(tmp_path: Path) -> None:
    rows = [
        {"id": 7, "prompt": "a", "completion": "b", "answer": 42.0, "level": 3},
        {"id": "x", "prompt": "a", "completion": "b #### 1", "answer": None, "tags": ["no scalar"]},
    ]
    examples, shape = read_examples(write_jsonl(tmp_path, rows))
    assert [(e.id, e.answer, dict(e.meta)) for e in examples] == [("7", "42", {"level": 3}), ("x", "1", {})]
    assert shape.answered == 2


def test_answers_of_question_answer_rows(tmp_path: Path) -> None:
    """`####` wins, a short answer is the answer, a long solution without a mark has none."""
    texts = ["12 * 100 = 1200\n#### 1,200", "Paris", 42, "Long reasoning. " * 20, "two\nlines"]
    rows = [{"question": "q", "answer": text} for text in texts]
    examples, shape = read_examples(write_jsonl(tmp_path, rows))
    assert [example.answer for example in examples] == ["1200", "Paris", "42", None, None]
    assert examples[2].completion == "42"
    assert shape.answered == 3


def test_text_is_not_trimmed(tmp_path: Path) -> None:
    (example,), _ = read_examples(write_jsonl(tmp_path, [{"prompt": "Q:\n ", "completion": " 5\n"}]))
    assert (example.prompt, example.completion) == ("Q:\n ", " 5\n")


def test_a_byte_order_mark_crlf_blank_lines_and_line_separators(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    row = json.dumps({"prompt": "a\u2028b", "completion": "c"}, ensure_ascii=False)
    path.write_bytes(f"\ufeff{row}\r\n\r\n{row}\r\n".encode())
    examples, _ = read_examples(path)
    assert [example.prompt for example in examples] == ["a\u2028b"] * 2


def test_records_a_line_under_a_json_name(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path, [{"prompt": "a", "completion": "b"}] * 3, "data.json")
    assert len(read_examples(path)[0]) == 3


@pytest.mark.parametrize(
    ("rows", "parts"),
    [
        (
            [{"words": "a"}],
            ["row 0 (line 1)", "keys words", "prompt/completion", "alpaca (instruction, output)"],
        ),
        ([{}], ["row 0", "(none)"]),
        (
            [{"prompt": "a", "completion": "b"}, {"prompt": "a"}],
            ["row 1 (line 2) lacks the field `completion`"],
        ),
        (
            [{"prompt": "a", "completion": "b"}, {"prompt": "a", "completion": None}],
            ["row 1", "`completion`"],
        ),
        ([{"prompt": "a", "completion": " \n"}], ["row 0", "empty completion"]),
        ([{"prompt": " ", "completion": "b"}], ["row 0", "empty prompt"]),
        ([{"prompt": [], "completion": "b"}], ["row 0", "empty prompt"]),
        ([{"id": "k", "prompt": "a", "completion": "b"}] * 2, ["row 1", "row 0", "k", "unique"]),
        (
            [{"id": 1, "prompt": "a", "completion": "b"}, {"prompt": "a", "completion": "b"}],
            ["row 1", "unique"],
        ),
        ([{"messages": TURNS[:2]}], ["row 0", "no assistant turn", "system, user"]),
        ([{"messages": []}], ["no assistant turn", "no messages"]),
        ([{"messages": [TURNS[0], TURNS[2]]}], ["starts with the assistant"]),
        ([{"messages": "hello"}], ["not a list of messages", "str"]),
        ([{"messages": [{"role": "oracle", "content": "a"}]}], ["`messages`[0]", "unknown role", "oracle"]),
        ([{"messages": [{"role": "user", "content": None}]}], ["no content"]),
        ([{"messages": [{"role": "user", "content": [{"type": "image"}]}]}], ["other than text"]),
        ([{"prompt": TURNS[:2], "completion": TURNS[1:2]}], ["no assistant turn", "user"]),
        ([{"instruction": "a", "output": "b", "history": [["x"]]}], ["history", "not pairs"]),
        ([{"prompt": ["a"], "completion": "b"}], ["not a message"]),
        ([{"prompt": {"a": 1}, "completion": "b"}], ["`prompt` is not text", "dict"]),
        ([{"prompt": "a\ud800", "completion": "b"}], ["Unicode"]),
        ([["a", "b"]], ["row 0", "not a record", "list"]),
    ],
)
def test_errors_name_the_row_and_what_was_found(tmp_path: Path, rows: list[Any], parts: list[str]) -> None:
    message = error_of(write_jsonl(tmp_path, rows))
    assert "data.jsonl" in message
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    ("name", "content", "parts"),
    [
        ("a.jsonl", b"", ["is empty"]),
        ("a.jsonl", b"\n \n", ["is empty"]),
        ("a.json", b"[]", ["no rows"]),
        ("a.json", b'{"data": [1]}', ["does not hold a list", "data"]),
        ("a.json", b'[{"prompt": "a",\n "completion" "b"}]', ["line 2", "not JSON"]),
        ("a.jsonl", b'{"prompt": "a", "completion": "b"}\n{"prompt": ', ["line 2", "not JSON"]),
        ("a.jsonl", b"[" * 200_000, ["line 1", "not JSON"]),
        ("a.jsonl", b'{"prompt": "\xff"}', ["UTF-8", "offset 12"]),
        ("a.parquet", b"PAR1 not at all", ["Parquet"]),
        ("a.xlsx", b"PK", ["`.xlsx`", ".jsonl"]),
    ],
)
def test_damaged_files(tmp_path: Path, name: str, content: bytes, parts: list[str]) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    message = error_of(path)
    for part in [name, *parts]:
        assert part in message


def test_missing_files_and_folders(tmp_path: Path) -> None:
    assert "not found" in error_of(tmp_path / "no.jsonl")
    assert "no data files in the folder" in error_of(tmp_path)


@pytest.mark.parametrize(
    "row", [{"question": USER, "answer": BOT}, {"prompt": USER, "completion": BOT, "id": "r"}]
)
def test_same_rows_as_the_datasets_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: dict[str, str]
) -> None:
    """The oracle for JSONL and Parquet: what Hugging Face `datasets` reads from the same file."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    rows = [{**row, "id": f"r{i}", "n": i, "text": "é\u2028\n" * i} for i in range(5)]
    jsonl, parquet = write_jsonl(tmp_path, rows), tmp_path / "data.parquet"
    polars.DataFrame(rows).write_parquet(parquet)
    for kind, path in (("json", jsonl), ("parquet", parquet)):
        theirs = datasets.load_dataset(
            kind, data_files=str(path), split="train", cache_dir=str(tmp_path / "cache")
        )
        ours, _ = read_examples(path)
        prompt, completion = list(row)[:2]
        expected = [(r["id"], r[prompt], r[completion], r["n"], r["text"]) for r in theirs]
        assert [(e.id, e.prompt, e.completion, e.meta["n"], e.meta["text"]) for e in ours] == expected


SHAPED = {key for reader in READERS for key in (*reader.required, *reader.reads)}
BESIDE = {
    "id",
    "x",
    "label",
    "tools",
    "history",
    "images",
    "options",
    "choices",
    "passage",
    "facts",
    "answerKey",
}
KEYS = st.sampled_from(sorted(SHAPED | BESIDE))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["role", "content", "from", "value", "A", "B", "text"]), inner, max_size=3
        )
    ),
    max_leaves=6,
)


@settings(max_examples=200, deadline=None)
@given(rows=st.lists(st.dictionaries(KEYS, VALUES, max_size=6), max_size=4))
def test_any_rows_give_examples_or_one_data_error(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]]
) -> None:
    path = write_jsonl(tmp_path_factory.getbasetemp(), rows, "fuzz.jsonl")
    try:
        examples, shape = read_examples(path)
    except DataError as error:
        assert "fuzz.jsonl" in str(error)
        return
    assert len({example.id for example in examples}) == len(examples) == shape.rows <= len(rows)
    assert len(examples) == len(rows) or "left out" in str(shape)
    assert all(example.prompt or shape.name == "text" for example in examples)
    assert all(example.completion.strip() or example.chat.reply for example in examples)


@settings(max_examples=200, deadline=None)
@given(content=st.binary(max_size=60) | st.text(string.printable, max_size=60).map(str.encode))
@pytest.mark.parametrize("name", ["bytes.jsonl", "bytes.json", "bytes.parquet"])
def test_any_bytes_give_examples_or_one_data_error(
    tmp_path_factory: pytest.TempPathFactory, name: str, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / name
    path.write_bytes(content)
    with pytest.raises(DataError):
        read_examples(path)


@pytest.mark.parametrize("cut", [4, 20, 60, 200])
def test_truncated_parquet(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "data.parquet"
    polars.DataFrame({"prompt": ["a"] * 50, "completion": ["b"] * 50}).write_parquet(path)
    path.write_bytes(path.read_bytes()[:cut] + path.read_bytes()[-cut:])
    assert "data.parquet" in error_of(path)


def test_a_name_with_brackets_is_no_pattern(tmp_path: Path) -> None:
    for name, prompt in (("val1", "one"), ("val[1]", "two")):
        rows = {"prompt": [prompt], "completion": ["x"]}
        polars.DataFrame(rows).write_parquet(tmp_path / f"{name}.parquet")
    examples, _ = read_examples(tmp_path / "val[1].parquet")
    assert examples[0].prompt == "two"


def shards(folder: Path, *names: str) -> Path:
    """A folder of files with a row each, whose prompt is the file's name."""
    folder.mkdir(exist_ok=True)
    for name in names:
        row = {"prompt": name, "completion": "x"}
        text = "prompt,completion\n" + f"{name},x\n" if name.endswith(".csv") else json.dumps(row) + "\n"
        (folder / name).write_text(text)
    return folder


def prompts(source: object) -> list[object]:
    return [example.prompt for example in load_examples(str(source)).examples]


def test_folders_and_patterns_are_read_in_natural_order(tmp_path: Path) -> None:
    names = [f"part{i}.jsonl" for i in (1, 2, 10)]
    folder = shards(tmp_path / "in[1]", *reversed(names))
    for beside in ("README.md", "dataset_info.json", ".hidden.jsonl"):
        (folder / beside).write_text("{}")
    assert prompts(folder) == prompts(f"{folder}/*.jsonl") == prompts(f"{folder}/part*") == names
    assert prompts(f"{folder}[1:]") == names[1:]
    assert prompts(f"{folder}/part?.jsonl") == names[:2]
    assert load_examples(str(folder)).shape.endswith("3 files")
    assert [example.id for example in load_examples(str(folder)).examples] == ["0", "1", "2"]


def test_a_folder_of_splits_asks_which(tmp_path: Path) -> None:
    folder = shards(tmp_path / "d", "train-00000.jsonl", "train-00001.jsonl", "test.jsonl", "testimony.jsonl")
    message = error_of(folder)
    assert "which split" in message and "test, train" in message and "#test" in message
    assert prompts(f"{folder}#train") == ["train-00000.jsonl", "train-00001.jsonl"]
    assert prompts(f"{folder}#test") == ["test.jsonl"]
    with pytest.raises(DataError, match="starts with `dev`"):
        load_examples(f"{folder}#dev")


def test_a_missing_shard_is_refused(tmp_path: Path) -> None:
    names = [f"train-{i:05d}-of-00003.jsonl" for i in range(3)]
    folder = shards(tmp_path / "d", *names)
    assert prompts(folder) == names
    assert "one of 3 shards" in load_examples(f"{folder}/{names[1]}").shape
    (folder / names[1]).unlink()
    assert "2 of 3; missing 00001" in error_of(folder)


def test_several_formats_or_columns_in_a_folder(tmp_path: Path) -> None:
    folder = shards(tmp_path / "d", "a.jsonl", "b.csv", "c.csv")
    message = error_of(folder)
    assert "2 .csv, 1 .jsonl" in message and f"{folder}/*.csv" in message
    assert prompts(f"{folder}/*.csv") == ["b.csv", "c.csv"]
    (folder / "c.csv").write_text("prompt,completion,source\nq,a,x\n")
    with pytest.raises(DataError, match=r"c.csv has other columns than b.csv"):
        load_examples(f"{folder}/*.csv")


def test_nothing_to_read_in_a_folder_or_pattern(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("x")
    assert "no data files" in error_of(tmp_path) and "README.md" in error_of(tmp_path)
    assert "no data file matches" in error_of(tmp_path / "*.parquet")


def test_rows_of_later_files_are_named_by_their_file(tmp_path: Path) -> None:
    folder = shards(tmp_path / "d", "a.jsonl", "b.jsonl")
    (folder / "b.jsonl").write_text('{"prompt": "q"}\n')
    assert "b.jsonl, row 0 (line 1) lacks the field `completion`" in error_of(folder)


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.csv", "a.txt", "a.json", "a.parquet"])
def test_a_row_of_fifty_megabytes_is_refused_at_once(tmp_path, name):
    long = "na " * (50 * 2**20 // 3)
    rows = [{"prompt": "Q:", "completion": "A"}, {"prompt": "Q:", "completion": long}]
    path = tmp_path / name
    if name == "a.parquet":
        polars.DataFrame(rows).write_parquet(path)
    elif name == "a.json":
        path.write_text(json.dumps(rows))
    elif name == "a.txt":
        path.write_text(f"short\n{long}\n")
    elif name == "a.csv":
        path.write_text(f"prompt,completion\nQ:,A\nQ:,{long}\n")
    else:
        opened = gzip.open if name.endswith(".gz") else open
        with opened(path, "wt") as file:
            file.write("".join(json.dumps(row) + "\n" for row in rows))
    began = time.monotonic()
    where = {"a.csv": "line 3", "a.json": "row 1", "a.parquet": "row 1"}.get(name, "line 2")
    with pytest.raises(DataError, match=rf"{name}, {where}\b.* is too long[\s\S]*50\.0 MiB") as error:
        read_examples(path)
    assert "at most 4 MiB" in str(error.value) and len(str(error.value)) < 500
    assert time.monotonic() - began < 10


def test_long_rows_that_a_context_can_hold_are_read(tmp_path):
    path = tmp_path / "a.jsonl"
    rows = [{"prompt": "Q: é" * 700_000, "completion": "A"}, {"prompt": "Q:", "completion": "B"}]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    examples, _ = read_examples(path)
    assert [len(example.prompt) for example in examples] == [2_800_000, 2]


def test_a_quoted_field_of_many_lines_is_one_row(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('prompt,completion\nQ:,"' + "a line\n" * 2_000_000 + '"\n')
    with pytest.raises(DataError, match="too long"):
        read_examples(path)


def test_parts_of_a_row_are_counted_together(tmp_path):
    path = tmp_path / "a.json"
    turns = [{"role": "user", "content": "na " * 1_000_000}] * 4
    path.write_text(json.dumps([{"messages": [*turns, {"role": "assistant", "content": "A"}]}]))
    with pytest.raises(DataError, match="row 0 is too long"):
        read_examples(path)
