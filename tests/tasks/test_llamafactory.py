"""Data sets that LLaMA-Factory's `dataset_info.json` describes, as its own converters read them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from overmem.tasks import load_examples
from tests.tasks.test_hub import FakeHub
from tests.tasks.test_sources import error_of

ALPACA = {"instruction": "i", "input": "x", "output": "o", "system": "s", "history": [["a", "b"]]}
TURNS = [{"from": "human", "value": "q"}, {"from": "gpt", "value": "r"}]
OPENAI_TAGS = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}


def describe(folder: Path, entry: dict[str, Any], *rows: Any) -> str:
    """A folder with rows and a description of them; the source that names it."""
    (folder / "rows.json").write_text(json.dumps(rows))
    (folder / "dataset_info.json").write_text(
        json.dumps({"mine": {"file_name": "rows.json", **entry}, "n": {"hf_hub_url": "a/b"}})
    )
    return f"{folder}/dataset_info.json#mine"


def message(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


USER = message("user", "i\nx")


@pytest.mark.parametrize(
    ("entry", "row", "prompt", "completion"),
    [
        ({}, {"instruction": "i", "input": "x", "output": "o"}, (USER,), "o"),
        ({}, {"instruction": "i", "input": "", "output": "o"}, (message("user", "i"),), "o"),
        ({}, ALPACA, (USER,), "o"),  # columns that are not described were not trained on
        (
            {
                "columns": {"prompt": "instruction", "query": "input", "response": "output"}
                | {"system": "system", "history": "history"}
            },
            ALPACA,
            (message("system", "s"), message("user", "a"), message("assistant", "b"), USER),
            "o",
        ),
        ({"columns": {"prompt": "content"}}, {"content": "all of it"}, "", "all of it"),
        ({"formatting": "sharegpt"}, {"conversations": TURNS}, (message("user", "q"),), "r"),
        (
            {"formatting": "sharegpt", "columns": {"messages": "m"}, "tags": OPENAI_TAGS},
            {"m": [message("system", "s"), message("user", "q"), message("assistant", "r")]},
            (message("system", "s"), message("user", "q")),
            "r",
        ),
        (
            {"formatting": "sharegpt", "columns": {"messages": "conversations", "system": "sys"}},
            {"conversations": TURNS, "sys": "s"},
            (message("system", "s"), message("user", "q")),
            "r",
        ),
        (
            {"ranking": True, "columns": {"prompt": "p", "chosen": "good", "rejected": "bad"}},
            {"p": "q", "good": "r", "bad": "no"},
            (message("user", "q"),),
            "r",
        ),
        (
            {
                "ranking": True,
                "formatting": "sharegpt",
                "columns": {"messages": "conversations", "chosen": "chosen", "rejected": "rejected"},
            },
            {"conversations": TURNS[:1], "chosen": TURNS[1], "rejected": {"from": "gpt", "value": "no"}},
            (message("user", "q"),),
            "r",
        ),
    ],
)
def test_every_kind_of_description(
    tmp_path: Path, entry: dict[str, Any], row: dict[str, Any], prompt: Any, completion: str
) -> None:
    loaded = load_examples(describe(tmp_path, entry, row))
    (example,) = loaded.examples
    assert (example.prompt, example.completion) == (prompt, completion)
    assert "as `mine` of dataset_info.json" in loaded.shape


def test_kto_and_slices(tmp_path: Path) -> None:
    entry = {"formatting": "sharegpt", "columns": {"messages": "conversations", "kto_tag": "ok"}}
    source = describe(tmp_path, entry, *({"conversations": TURNS, "ok": ok} for ok in (False, True, True)))
    assert [example.id for example in load_examples(source).examples] == ["1", "2"]
    assert "1 rows left out: their `label` is false" in load_examples(source).shape
    assert [example.id for example in load_examples(f"{source}[1:]").examples] == ["2"]


def test_a_sample_that_was_drawn_is_said(tmp_path: Path) -> None:
    rows = [{"instruction": f"i{i}", "output": "o"} for i in range(3)]
    loaded = load_examples(describe(tmp_path, {"num_samples": 2}, *rows))
    assert len(loaded.examples) == 3 and "drew 2 at random" in loaded.shape


@pytest.mark.parametrize(
    ("entry", "row", "parts"),
    [
        ({"columns": {"prompt": "p", "images": "i"}}, {"p": "q", "i": ["a.jpg"]}, ["`images`", "text alone"]),
        ({"columns": {"prompt": "p", "response": "r"}}, {"p": "q"}, ["`r`", "the response", "one of p"]),
        ({"columns": {"prompt": "nix"}}, {"p": "q"}, ["`nix`", "the prompt", "`columns` of `mine`"]),
        ({"formatting": "sharegpt"}, {"conversations": [{"from": "bot", "value": "x"}]}, ["'bot'", "`tags`"]),
        ({"formatting": "sharegpt"}, {"conversations": "x"}, ["not a list of messages"]),
        ({"columns": {"prompt": "p", "history": "h"}}, {"p": "q", "h": ["x"]}, ["not pairs"]),
        ({"formatting": "xml"}, {}, ["unknown formatting", "alpaca, sharegpt"]),
        ({"columns": ["p"]}, {}, ["`columns` is not a record"]),
        ({"file_name": "gone.json"}, {}, ["its file is missing", "gone.json"]),
        ({}, 5, ["not a record"]),
    ],
)
def test_descriptions_and_rows_that_do_not_fit(
    tmp_path: Path, entry: dict[str, Any], row: Any, parts: list[str]
) -> None:
    said = error_of(describe(tmp_path, entry, row))
    assert "dataset_info.json" in said
    assert all(part in said for part in parts), said


def test_names_and_files_of_descriptions(tmp_path: Path) -> None:
    source = describe(tmp_path, {}, {"instruction": "i", "output": "o"})
    path = tmp_path / "dataset_info.json"
    for asked in (str(path), f"{path}#other"):
        assert "mine, n" in error_of(asked) and f"{path}#mine" in error_of(asked)
    for held, part in (
        ("{", "not JSON"),
        ("[]", "describes no data set"),
        ('{"features": {}}', "no data set"),
    ):
        path.write_text(held)
        assert part in error_of(source)
    path.write_text(json.dumps({"mine": {"ms_hub_url": "a/b"}}))
    assert "neither a file nor a data set of the Hugging Face hub" in error_of(source)


def test_a_description_of_the_hub(tmp_path: Path, hub_is_on: pytest.MonkeyPatch) -> None:
    hub = FakeHub([{"question": "q", "response": "r", "system_prompt": "s"}])
    hub_is_on.setitem(sys.modules, "datasets", hub)
    columns = {"prompt": "question", "response": "response", "system": "system_prompt"}
    source = describe(tmp_path, {"hf_hub_url": "Open-Orca/OpenOrca", "subset": "x", "columns": columns})
    (example,) = load_examples(source).examples
    assert hub.calls == [("Open-Orca/OpenOrca", "x", "train")]
    assert example.prompt == (message("system", "s"), message("user", "q"))


def test_function_calls_and_tools(tmp_path: Path) -> None:
    turns = [
        {"from": "human", "value": "q"},
        {"from": "function_call", "value": '{"name": "f", "arguments": {"x": 1}}'},
        {"from": "observation", "value": "[1]"},
        {"from": "gpt", "value": "r"},
    ]
    entry = {"formatting": "sharegpt", "columns": {"messages": "conversations", "tools": "tools"}}
    tools = [{"name": "f", "parameters": {}}]
    source = describe(tmp_path, entry, {"conversations": turns, "tools": json.dumps(tools)})
    (example,) = load_examples(source).examples
    assert [turn["role"] for turn in example.prompt] == ["user", "assistant", "tool"]
    call = {"type": "function", "function": {"name": "f", "arguments": {"x": 1}}}
    assert (example.prompt[1]["tool_calls"], example.chat.tools) == ([call], tuple(tools))
    assert example.completion == "r"


@pytest.mark.parametrize("key", ["columns", "tags"])
def test_a_column_or_tag_that_is_no_name_is_refused(tmp_path, key):
    source = describe(tmp_path, {key: {"response": {"a": 1}}}, {"instruction": "i", "output": "o"})
    assert f"`response` of `{key}` is no text" in str(error_of(source))
