"""The grammar of data sources."""

from __future__ import annotations

import json
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overmem.errors import DataError, WrongArgumentError
from overmem.grading.grade import grade
from overmem.records import Example
from overmem.tasks import load_examples, sources
from overmem.tasks.sources import TASKS, parse_source


def error_of(source: str) -> str:
    with pytest.raises(DataError) as caught:
        load_examples(source)
    return str(caught.value)


@pytest.mark.parametrize("text", ["[:3]", "[2:5]", "[7:]", "[-2:]", "[:-8]", "[0:100]", "[:]", "[ 1 : 2 ]"])
def test_slices_are_pythons_and_keep_ids(data: Path, text: str) -> None:
    whole = load_examples("gsm8k.jsonl").examples
    start, stop = (int(part) if part.strip() else None for part in text[1:-1].split(":"))
    assert load_examples(f"gsm8k.jsonl{text}").examples == whole[start:stop]
    assert load_examples(f"gsm8k:gsm8k.jsonl{text}").examples == whole[start:stop]


def test_loaded_data_are_one_line_in_a_console(data: Path) -> None:
    shown = repr(load_examples("gsm8k.jsonl[:3]"))
    assert shown.startswith("LoadedData gsm8k.jsonl[:3]: 3 examples; ") and "\n" not in shown
    assert len(shown) < 200


@pytest.mark.parametrize("text", ["[10:]", "[3:3]", "[:0]", "[5:2]"])
def test_an_empty_slice_is_an_error(data: Path, text: str) -> None:
    assert "of 10 rows" in error_of(f"gsm8k.jsonl{text}")


@pytest.mark.parametrize("text", ["[5]", "[::2]", "[a:b]", "[1:2:3]", "[]", "[--1:]"])
def test_malformed_slices(data: Path, text: str) -> None:
    assert "malformed slice" in error_of(f"gsm8k.jsonl{text}")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("val.jsonl", (None, "val.jsonl", None, slice(None))),
        ("gsm8k", ("gsm8k", "", None, slice(None))),
        ("gsm8k[:5]", ("gsm8k", "", None, slice(None, 5))),
        ("gsm8k:#train[2:]", ("gsm8k", "", "train", slice(2, None))),
        ("gsm8k#train", ("gsm8k", "", "train", slice(None))),
        ("svamp:../x/SVAMP.json[700:]", ("svamp", "../x/SVAMP.json", None, slice(700, None))),
        ("wordmath:val[:400]", ("wordmath", "val", None, slice(None, 400))),
        ("openai/gsm8k#main/train", (None, "openai/gsm8k", "main/train", slice(None))),
        (r"C:\data\val.jsonl", (None, r"C:\data\val.jsonl", None, slice(None))),
        (r"gsm8k:C:\data\val.jsonl[:5]", ("gsm8k", r"C:\data\val.jsonl", None, slice(None, 5))),
        ("./a:b/val.jsonl", (None, "./a:b/val.jsonl", None, slice(None))),
        ("gsm8k.jsonl", (None, "gsm8k.jsonl", None, slice(None))),
    ],
)
def test_parse_source(source: str, expected: tuple[object, ...]) -> None:
    parts = parse_source(source)
    assert (parts.task, parts.location, parts.split, parts.rows) == expected


def test_file_names_with_colons_hashes_and_brackets(data: Path) -> None:
    for name in ("a:b.jsonl", "a#1.jsonl", "odd[1:2]"):
        Path(name).write_text((data / "gsm8k.jsonl").read_text())
    assert len(load_examples("a:b.jsonl").examples) == 10
    assert len(load_examples("a#1.jsonl[:4]").examples) == 4
    assert "ending" in error_of("odd[1:2]")


def test_unknown_things_list_the_choices(data: Path) -> None:
    message = error_of("gsm9k:val.jsonl")
    assert "gsm9k" in message
    assert all(task in message for task in TASKS)
    assert "not found" in error_of("missing.jsonl")
    assert "no split" in error_of("gsm8k.jsonl#train")
    assert "empty" in error_of("  ")


@pytest.mark.parametrize("task", ["knights", "facts"])
def test_every_procedural_task_is_loaded_by_name(task: str) -> None:
    loaded = load_examples(f"{task}:val[:20]")
    assert (loaded.task, len(loaded.examples)) == (task, 20)
    assert all(grade(e.completion, e, loaded.grader).correct for e in loaded.examples)
    assert "ood_phrasing" in error_of(f"{task}:dev")


def test_wordmath_is_loaded_through_its_module(monkeypatch: pytest.MonkeyPatch) -> None:
    import overmem.tasks

    fake = types.ModuleType("overmem.synthetic.wordmath")
    fake.load_split = lambda name, first: [Example(f"{name}-{i}", "q", "#### 1", "1") for i in range(5)]  # type: ignore[attr-defined]
    fake.GRADER = "exact"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "overmem.synthetic.wordmath", fake)
    monkeypatch.setattr(overmem.tasks, "wordmath", fake, raising=False)
    loaded = load_examples("wordmath:val[3:]")
    assert [e.id for e in loaded.examples] == ["val-3", "val-4"]
    assert (loaded.task, loaded.grader) == ("wordmath", "exact")


def test_importing_tasks_imports_nothing_heavy() -> None:
    code = (
        "import sys, overmem.tasks, overmem.grading.grade, overmem.tasks.sources\n"
        "heavy = {'torch', 'transformers', 'datasets', 'polars', 'math_verify', 'sympy', 'numpy', 'trl'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=60
    )
    assert result.stdout.strip() == "[]", result.stderr


@settings(max_examples=300, deadline=None)
@given(text=st.text(st.sampled_from("abgsm8k:#[]/\\.-0123 \n"), max_size=20))
def test_any_string_parses_or_is_one_data_error(text: str) -> None:
    try:
        parts = parse_source(text)
    except DataError as error:
        assert str(error)
        return
    assert parts.task is None or parts.task in TASKS


def rows_file(folder: Path, *rows: dict[str, Any]) -> str:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_a_heading_is_no_final_answer_and_code_has_none(tmp_path: Path) -> None:
    headings = {"prompt": "q", "completion": "#### Step 1\nAdd.\n#### Step 2\nThe answer is 7."}
    found = load_examples(rows_file(tmp_path, headings))
    assert found.examples[0].answer is None and found.grader == "none"
    banner = {"prompt": "q", "completion": "#" * 30 + "\ndef f(): pass", "tests": "f()"}
    helper = {"prompt": "r", "completion": "def g(): pass\n#### helper", "tests": "g()"}
    found = load_examples(rows_file(tmp_path, banner, helper))
    assert [e.answer for e in found.examples] == [None, None] and found.grader == "code"
    kept = ["so #### 42", "#### 42\nThat is all.", "#### **Paris**\n"]
    found = load_examples(
        rows_file(tmp_path, *({"prompt": str(i), "completion": c} for i, c in enumerate(kept)))
    )
    assert [e.answer for e in found.examples] == ["42", "42", "Paris"]


def test_a_lone_surrogate_is_one_message(tmp_path: Path) -> None:
    path = rows_file(tmp_path, {"question": "q \ud800", "answer": "a #### 1"})
    with pytest.raises(DataError, match="not valid Unicode"):
        load_examples(f"gsm8k:{path}")


def test_a_procedural_split_is_named_once() -> None:
    with pytest.raises(DataError, match="split of a procedural task is named twice"):
        load_examples("wordmath:val#test")


@pytest.mark.parametrize(
    "name",
    [
        "val[1].jsonl",
        "val*.jsonl",
        "v?l.jsonl",
        "d[:2]",
        "gsm8k:v.jsonl",
        " v .jsonl",
        "~.jsonl",
        "v#x.jsonl",
    ],
)
def test_what_is_there_under_the_whole_name_is_that(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    for other in ("val1.jsonl", "val2.jsonl", "v.jsonl"):
        Path(other).write_text('{"prompt": "another", "completion": "b"}\n')
    file = Path(name) if name.endswith(".jsonl") else Path(name, "x.jsonl")
    file.parent.mkdir(exist_ok=True)
    file.write_text('{"prompt": "a", "completion": "b"}\n' * 3)
    assert [example.prompt for example in load_examples(name).examples] == ["a"] * 3
    assert len(load_examples(f"{name}[:2]").examples) == 2


def test_what_was_read_ahead_is_read_once_and_forgotten_at_the_end(tmp_path, monkeypatch):
    path = tmp_path / "v.jsonl"
    path.write_text('{"prompt": "a", "completion": "b", "answer": "1"}\n')
    with sources.read_ahead([(str(path), None), (str(path), None)]) as read:
        assert list(read) == [str(path)] and len(read[str(path)].examples) == 1
        path.write_text(path.read_text() * 2)
        first = sources.load_examples(str(path))
        assert first is read[str(path)]
        assert len(sources.load_examples(str(path)).examples) == 2  # the second who asks reads
    with (
        pytest.raises(DataError, match="not found"),
        sources.read_ahead([(str(path), None), ("no.jsonl", None)]),
    ):
        pytest.fail("wrong data are said before the block")
    path.write_text(path.read_text() * 2)
    assert len(sources.load_examples(str(path)).examples) == 4


def test_what_needs_no_download(tmp_path):
    assert sources.needs_no_download("wordmath:val[:3]") and sources.needs_no_download(str(tmp_path))
    assert not sources.needs_no_download("gsm8k") and not sources.needs_no_download("owner/name#train")


def test_a_source_may_be_a_path_and_nothing_else_than_text(tmp_path):
    (tmp_path / "val.jsonl").write_text('{"prompt": "p", "completion": "c"}\n')
    assert len(load_examples(tmp_path / "val.jsonl").examples) == 1
    with pytest.raises(WrongArgumentError, match=r"str or Path: \[TASK:\]LOCATION"):
        load_examples(None)  # type: ignore[arg-type]
