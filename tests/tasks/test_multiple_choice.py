"""Multiple choice data sets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from overmem.tasks import load_examples
from tests.tasks.test_sources import error_of

ARC_ROWS = [
    {  # allenai/ai2_arc
        "id": "Mercury_7175875",
        "question": "Which gas do people breathe in to live?",
        "choices": {"text": ["helium", "oxygen", "neon", "argon"], "label": ["A", "B", "C", "D"]},
        "answerKey": "B",
    },
    {
        "id": "NYSEDREGENTS_2013_4_7",
        "question": "What pulls a ball down?",
        "choices": {"text": ["wind", "light", "gravity"], "label": ["1", "2", "3"]},
        "answerKey": "3",
    },
    {  # ARC-Challenge-Test.jsonl, as AI2 published it
        "id": "MCAS_2000_4_6",
        "question": {
            "stem": "Which has wings?",
            "choices": [{"text": "a bird", "label": "A"}, {"text": "a rock", "label": "B"}],
        },
        "answerKey": "A",
    },
]
SCIENCE_ROWS = [
    {  # derek-thomas/ScienceQA
        "image": None,
        "question": "Which is a solid?",
        "choices": ["milk", "a nail"],
        "answer": 1,
        "hint": "",
        "task": "closed choice",
        "grade": "grade2",
        "subject": "natural science",
        "topic": "physics",
        "category": "States of matter",
        "skill": "Classify matter",
        "lecture": "Solid, liquid, and gas are states of matter.",
        "solution": "A nail keeps its shape, so it is a solid.",
    },
    {
        "image": {"bytes": "iVBOR", "path": "image.png"},
        "question": "Which is shown?",
        "choices": ["x", "y"],
        "answer": 0,
    },
    {
        "image": None,
        "question": "Will it sink?",
        "choices": ["yes", "no", "nobody\nknows"],
        "answer": 0,
        "hint": "Iron is heavy.",
        "lecture": "",
        "solution": "",
    },
]
COMMONSENSE_ROWS = [
    {  # tau/commonsense_qa
        "id": "075e483d21c29a511267ef62bedc0461",
        "question": "Where would you put a book?",
        "question_concept": "book",
        "choices": {"label": ["A", "B", "C", "D", "E"], "text": ["sea", "sky", "shelf", "fire", "soup"]},
        "answerKey": "C",
    }
]


def write_rows(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_arc(tmp_path: Path) -> None:
    loaded = load_examples("arc:" + write_rows(tmp_path / "arc.jsonl", ARC_ROWS))
    assert (loaded.task, loaded.grader) == ("arc", "choice")
    first, numbered, stem = loaded.examples
    assert first.id == "Mercury_7175875"
    assert (
        first.prompt == "Which gas do people breathe in to live?\n(A) helium\n(B) oxygen\n(C) neon\n(D) argon"
    )
    assert (first.completion, first.answer) == ("Answer: (B)", "B")
    assert (numbered.answer, numbered.prompt.split("\n")[3]) == ("C", "(C) gravity")
    assert (stem.prompt, stem.answer) == ("Which has wings?\n(A) a bird\n(B) a rock", "A")


def test_scienceqa_leaves_out_what_needs_an_image_and_says_so(tmp_path: Path) -> None:
    loaded = load_examples("scienceqa:" + write_rows(tmp_path / "s.jsonl", SCIENCE_ROWS))
    assert "1 rows left out: their question needs an image" in loaded.shape
    solid, sinks = loaded.examples
    assert (solid.id, sinks.id) == ("0", "2")  # as in the full data set
    assert solid.prompt == "Which is a solid?\n(A) milk\n(B) a nail"
    assert solid.completion == "A nail keeps its shape, so it is a solid.\nAnswer: (B)"
    assert (solid.answer, solid.meta["topic"]) == ("B", "physics")
    assert sinks.prompt == "Iron is heavy.\nWill it sink?\n(A) yes\n(B) no\n(C) nobody knows"
    assert sinks.completion == "Answer: (A)"


def test_images_of_the_hub_are_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    columns = {"image": datasets.Image(decode=True), "question": datasets.Value("string")}
    features = datasets.Features(
        columns | {"choices": datasets.List(datasets.Value("string")), "answer": datasets.Value("int8")}
    )
    rows = [{key: row[key] for key in features} for row in SCIENCE_ROWS]
    rows[1]["image"] = {"bytes": b"no picture", "path": None}
    made = datasets.Dataset.from_list(rows, features=features)
    monkeypatch.setattr(datasets, "load_dataset", lambda *args, **kwargs: made)
    assert [e.id for e in load_examples("scienceqa").examples] == ["0", "2"]


def test_commonsenseqa(tmp_path: Path) -> None:
    loaded = load_examples("commonsenseqa:" + write_rows(tmp_path / "c.jsonl", COMMONSENSE_ROWS))
    (example,) = loaded.examples
    assert (loaded.grader, example.answer, example.completion) == ("choice", "C", "Answer: (C)")
    assert example.prompt.endswith("book?\n(A) sea\n(B) sky\n(C) shelf\n(D) fire\n(E) soup")


@pytest.mark.parametrize(
    ("task", "row", "words"),
    [
        ("commonsenseqa", {**COMMONSENSE_ROWS[0], "answerKey": ""}, ("answerKey", "validation")),
        ("arc", {**ARC_ROWS[0], "choices": ["helium", "oxygen"]}, ("choices", "label")),
        ("arc", {**ARC_ROWS[0], "question": ""}, ("question", "text")),
        ("scienceqa", {**SCIENCE_ROWS[0], "answer": 2}, ("answer", "0 to 1")),
        ("scienceqa", {**SCIENCE_ROWS[0], "choices": ["one"], "answer": 0}, ("2 to 10 options",)),
        ("scienceqa", {**SCIENCE_ROWS[0], "choices": None}, ("choices", "not a list")),
    ],
)
def test_bad_quiz_rows_are_named(
    task: str, row: dict[str, Any], words: tuple[str, ...], tmp_path: Path
) -> None:
    message = error_of(f"{task}:" + write_rows(tmp_path / "bad.jsonl", [row]))
    assert "line 1" in message
    assert all(word in message for word in words), message
