"""Multiple choice data sets, by name and by their columns.

Covers: overmem.tasks.known.choice
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from overmem.grading.grade import grade
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


def test_images_of_the_hub_are_not_opened(hub_is_on: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    columns = {"image": datasets.Image(decode=True), "question": datasets.Value("string")}
    features = datasets.Features(
        columns | {"choices": datasets.List(datasets.Value("string")), "answer": datasets.Value("int8")}
    )
    rows = [{key: row[key] for key in features} for row in SCIENCE_ROWS]
    rows[1]["image"] = {"bytes": b"no picture", "path": None}
    made = datasets.Dataset.from_list(rows, features=features)
    hub_is_on.setattr(datasets, "load_dataset", lambda *args, **kwargs: made)
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


FOUR = ["w", "x", "y", "z"]
LETTERED = dict(zip("ABCD", FOUR, strict=True))
LABELLED = ["A. w", "B. x", "C. y", "D. z"]
NAMED = {
    "mmlu": {"question": "q", "subject": "s", "choices": FOUR, "answer": 1},
    "mmlu_pro": {
        "question_id": 7,
        "question": "q",
        "options": list("abcdefghij"),
        "answer": "J",
        "answer_index": 9,
        "cot_content": "A: It is j. The answer is (J).",
    },
    "logiqa": {"context": "c", "query": "q", "options": LABELLED, "correct_option": 2},
    "gpqa": {
        "Question": "q",
        "Correct Answer": "right",
        **{f"Incorrect Answer {number}": f"wrong {number}" for number in (1, 2, 3)},
        "Explanation": "Because.",
        "Record ID": "rec1",
    },
    "boolq": {"question": "is it", "passage": "p", "answer": True},
    "strategyqa": {"qid": "a1", "question": "q", "answer": False, "facts": ["One.", "Two."]},
}  # fmt: skip
SEEN = {
    "mmlu": ("q\n(A) w\n(B) x\n(C) y\n(D) z", "Answer: (B)"),
    "mmlu_pro": (
        "q\n" + "\n".join(f"({letter.upper()}) {letter}" for letter in "abcdefghij"),
        "It is j. The answer is (J).\nAnswer: (J)",
    ),
    "logiqa": ("c\nq\n(A) w\n(B) x\n(C) y\n(D) z", "Answer: (C)"),
    "boolq": ("p\nis it\n(A) yes\n(B) no", "Answer: (A)"),
    "strategyqa": ("q\n(A) yes\n(B) no", "One. Two.\nAnswer: (B)"),
}


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("by_name", [True, False])
def test_named_and_recognised_alike(tmp_path: Path, name: str, by_name: bool) -> None:
    path = write_rows(tmp_path / "a.jsonl", [NAMED[name]])
    loaded = load_examples(f"{name}:{path}" if by_name else path)
    (example,) = loaded.examples
    assert (loaded.task, loaded.grader) == (name if by_name else "file", "choice")
    assert loaded.shape.startswith(f"{name}: ")
    assert grade(example.completion, example, "choice").correct
    if name in SEEN:
        assert (example.prompt, example.completion) == SEEN[name]


def test_options_of_gpqa_are_in_an_order_of_their_own(tmp_path: Path) -> None:
    rows = [{**NAMED["gpqa"], "Question": f"q{i}", "Record ID": f"r{i}"} for i in range(60)]
    path = write_rows(tmp_path / "a.jsonl", rows)
    found = load_examples(f"gpqa:{path}").examples
    assert load_examples(f"gpqa:{write_rows(tmp_path / 'b.jsonl', rows[::-1])}").examples[::-1] == found
    letters = [example.answer for example in found]
    assert {letters.count(letter) > 5 for letter in "ABCD"} == {True}
    for example in found:
        assert f"({example.answer}) right" in example.prompt
        assert sorted(line[4:] for line in example.prompt.split("\n")[1:]) == [
            "right",
            "wrong 1",
            "wrong 2",
            "wrong 3",
        ]


@pytest.mark.parametrize(
    ("row", "prompt", "answer"),
    [
        ({"article": "a", "question": "q", "options": FOUR, "answer": "D"}, "a\nq", "D"),  # RACE
        ({"context": "c", "question": "q", "answers": FOUR, "label": 0}, "c\nq", "A"),  # ReClor
        ({"text": "t", "question": "q", "options": FOUR, "answer": 3, "id": 9}, "t\nq", "D"),  # LogiQA 2.0
        ({"question": "q", "options": FOUR, "rationale": "r", "correct": "B"}, "q", "B"),  # AQuA
        (
            {"question": "q", "options": dict(zip("ABCD", FOUR, strict=True)), "answer": "y"},
            "q",
            "C",
        ),  # MedQA
        ({"question": "q", "choices": json.dumps(FOUR), "answer": "2"}, "q", "C"),  # of a CSV
        ({"question": "q", "options": FOUR, "answer": "B. x"}, "q", "B"),
        ({"question": "q", "options": FOUR, "answer": "(b) x"}, "q", "B"),
        ({"question": "q", "hint": "h", "choices": FOUR, "answer": 0}, "h\nq", "A"),
    ],
)
def test_other_rows_with_a_list_of_options(
    tmp_path: Path, row: dict[str, Any], prompt: str, answer: str
) -> None:
    (example,) = load_examples(write_rows(tmp_path / "a.jsonl", [row])).examples
    assert example.prompt == f"{prompt}\n(A) w\n(B) x\n(C) y\n(D) z"
    assert example.answer == answer


@pytest.mark.parametrize(
    ("row", "part"),
    [
        ({"question": "q", "choices": FOUR, "answer": 4}, "index from 0 to 3"),
        ({"question": "q", "choices": FOUR, "answer": -1}, "does not name one option"),
        ({"question": "q", "choices": FOUR, "answer": "E"}, "letter from A to D"),
        ({"question": "q", "choices": FOUR, "answer": "B. y"}, "does not name one option"),
        ({"question": "q", "choices": FOUR, "answer": "It is B, as x is so."}, "--columns"),
        (
            {"question": "q", "choices": ["1", "0"], "answer": "1"},
            "does not name one option",
        ),  # text or index
        ({"question": "q", "choices": ["x"] * 11, "answer": 0}, "2 to 10 options"),
        (
            {"question": "q", "options": {"A": "x", "B": "y", "D": "z"}, "answer": "A"},
            "other keys than A, B, C",
        ),
        ({"question": "<image 1>", "options": FOUR, "answer": "A", "image_1": {"bytes": "x"}}, "text alone"),
        ({"question": "q", "passage": "p", "answer": True, "images": ["i"]}, "text alone"),
    ],
)
def test_rows_whose_answer_is_not_clear(tmp_path: Path, row: dict[str, Any], part: str) -> None:
    assert part in error_of(write_rows(tmp_path / "a.jsonl", [row]))


def test_superglue_names_the_truth_of_boolq_label(tmp_path: Path) -> None:
    rows = [{"question": "q", "passage": "p", "idx": i, "label": label} for i, label in enumerate((1, 0))]
    path = write_rows(tmp_path / "a.jsonl", rows)
    assert [e.answer for e in load_examples(f"boolq:{path}").examples] == ["A", "B"]
    path = write_rows(tmp_path / "a.jsonl", [{**rows[0], "label": -1}])
    assert "neither true nor false" in error_of(f"boolq:{path}")


def test_bbh_asks_what_it_asks(tmp_path: Path) -> None:
    wrapped = {"canary": "c", "examples": [{"input": "q\nOptions:\n(A) x\n(B) y", "target": "(B)"}] * 2}
    (tmp_path / "bbh.json").write_text(json.dumps(wrapped))
    loaded = load_examples(f"bbh:{tmp_path / 'bbh.json'}")
    assert (loaded.grader, loaded.examples[1].answer) == ("choice", "(B)")
    words = [{"input": "q", "target": target} for target in ("True", "False")]
    assert load_examples("bbh:" + write_rows(tmp_path / "w.jsonl", words)).grader == "exact"
