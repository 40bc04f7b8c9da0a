"""Preference data: the chosen answer is the reference; rows of KTO that are marked as bad are left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trl.data_utils import extract_prompt

from overmem.tasks import load_examples
from overmem.tasks.preferences import chosen_row
from tests.tasks.test_files import write_jsonl
from tests.tasks.test_sources import error_of

ASKED = {"role": "user", "content": "q"}
GOOD, BAD = ({"role": "assistant", "content": text} for text in ("good", "bad"))
SYSTEM = {"role": "system", "content": "s"}


@pytest.mark.parametrize(
    ("row", "prompt"),
    [
        ({"prompt": "q", "chosen": "good", "rejected": "bad"}, "q"),
        ({"question": "q", "chosen": "good", "rejected": "bad"}, "q"),
        ({"question": "q", "chosen": "good", "rejected": "bad", "system": "s"}, (SYSTEM, ASKED)),
        ({"instruction": "q", "input": "x", "chosen": "good", "rejected": "bad"}, "q\nx"),
        ({"prompt": [ASKED], "chosen": [GOOD], "rejected": [BAD]}, (ASKED,)),
        ({"prompt": [ASKED], "chosen": "good", "rejected": "bad"}, (ASKED,)),
        ({"prompt": "q", "chosen": [ASKED, GOOD], "rejected": [ASKED, BAD], "score": 8.0}, (ASKED,)),
        ({"chosen": [SYSTEM, ASKED, GOOD], "rejected": [SYSTEM, ASKED, BAD]}, (SYSTEM, ASKED)),
        ({"conversations": [ASKED], "chosen": GOOD, "rejected": BAD}, (ASKED,)),
    ],
)
def test_the_chosen_answer_is_the_reference(tmp_path: Path, row: dict[str, Any], prompt: Any) -> None:
    loaded = load_examples(str(write_jsonl(tmp_path, [row])))
    assert (loaded.examples[0].prompt, loaded.examples[0].completion) == (prompt, "good")
    assert "completion from `chosen` (`rejected` is not learned)" in loaded.shape


def test_a_transcript_is_split_at_its_last_answer(tmp_path: Path) -> None:
    start = "\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant:"
    row = {"chosen": f"{start} good", "rejected": f"{start} bad\n\nHuman: d\n\nAssistant: e"}
    (example,) = load_examples(str(write_jsonl(tmp_path, [row]))).examples
    assert (example.prompt, example.completion) == (start, " good")


TURNS = st.lists(st.text(min_size=1, max_size=4), min_size=1, max_size=5).filter(lambda texts: len(texts) % 2)


@settings(deadline=None)
@given(texts=TURNS, good=st.text(min_size=1, max_size=4), bad=st.text(min_size=1, max_size=4))
def test_the_prompt_is_that_which_trl_finds(texts: list[str], good: str, bad: str) -> None:
    """The oracle: TRL's DPOTrainer finds the prompt of two conversations as what they share."""
    roles = ("user", "assistant")
    shared = [{"role": roles[i % 2], "content": text} for i, text in enumerate(texts)]
    row = {
        key: [*shared, {"role": "assistant", "content": text}]
        for key, text in (("chosen", good), ("rejected", bad))
    }
    found = chosen_row(row, "row 0")["messages"]
    if good != bad:
        theirs = extract_prompt(row)
        assert (found[:-1], found[-1:]) == (theirs["prompt"], theirs["chosen"])


def test_no_prompt_is_refused(tmp_path: Path) -> None:
    message = error_of(str(write_jsonl(tmp_path, [{"chosen": "good", "rejected": "bad"}])))
    assert "no prompt" in message and "--columns prompt=COLUMN,completion=chosen" in message


@pytest.mark.parametrize("row", [{"prompt": "q", "completion": "r"}, {"messages": [ASKED, GOOD]}])
@pytest.mark.parametrize("key", ["label", "kto_tag"])
def test_bad_answers_of_kto_are_left_out_and_counted(tmp_path: Path, row: dict[str, Any], key: str) -> None:
    rows = [{**row, key: mark} for mark in (False, True, False, True)]
    loaded = load_examples(str(write_jsonl(tmp_path, rows)))
    assert [example.id for example in loaded.examples] == ["1", "3"]
    assert "2 rows left out: their `label` is false" in loaded.shape
    assert "not read" not in loaded.shape
    assert "no row to learn" in error_of(str(write_jsonl(tmp_path, rows[:1])))


def test_marks_of_kto_in_a_csv(tmp_path: Path) -> None:
    rows = {"prompt": ["q", "r"], "completion": ["a", "b"], "label": [True, False]}
    (tmp_path / "a.csv").write_text("prompt,completion,label\nq,a,True\nr,b,False\n")
    polars.DataFrame(rows).write_parquet(tmp_path / "a.parquet")
    for name in ("a.csv", "a.parquet"):
        assert [e.prompt for e in load_examples(str(tmp_path / name)).examples] == ["q"]


def test_a_label_that_is_a_class_is_no_mark(tmp_path: Path) -> None:
    rows = [{"text": "t", "label": label} for label in (0, 1)]
    loaded = load_examples(str(write_jsonl(tmp_path, rows)))
    assert len(loaded.examples) == 2 and "not read: `label`" in loaded.shape
    assert json.loads((tmp_path / "data.jsonl").read_text().splitlines()[0])["label"] == 0
