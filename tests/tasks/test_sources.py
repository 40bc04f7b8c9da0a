"""The grammar of data sources, the data sets known by name, and what the hub may do wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import types
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overmem.errors import DataError
from overmem.grading.grade import grade
from overmem.records import Example
from overmem.tasks import load_examples
from overmem.tasks.known_datasets import join_story, solve_steps
from overmem.tasks.sources import TASKS, default_grader, parse_source

GSM8K = [
    {
        "question": f"Tom has {n} pens and buys 1000. How many?",
        "answer": f"{n}+1000=<<{n}+1000=1>>x\n#### 1,00{n}",
    }
    for n in range(10)
]
SVAMP = [
    {
        "ID": "chal-1",
        "Body": "Each pack of dvds costs 76 dollars. If there is a discount of 25 dollars on each pack",
        "Question": "How much do you have to pay to buy each pack?",
        "Equation": "( 76.0 - 25.0 )",
        "Answer": 51.0,
        "Type": "Subtraction",
    },
    {
        "ID": "chal-2",
        "Body": "They had 90 pens in 4 boxes.",
        "Question": "How many pens in 2 boxes?",
        "Equation": "( 2.0 * ( 90.0 / 4.0 ) )",
        "Answer": "45.0",
        "Type": "Common-Division",
    },
    {"ID": "chal-3", "Body": "He has 3 left", "Question": "How many?", "Equation": "3.0", "Answer": 3.0},
    {  # the published row whose equation contradicts its answer
        "ID": "chal-4",
        "Body": "It moved.",
        "Question": "How far?",
        "Equation": "( ( 4.0 - 2.0 ) + 3.0 )",
        "Answer": 1.0,
    },
]
GSM_HARD = [
    {"input": "q1", "code": "def solution(): ...", "target": -9867630.0},
    {"input": "q2", "code": "", "target": 3244047.0999999996},
    {"input": "q3", "code": "", "target": 9284017268534.4},
    {"input": "q4", "code": "", "target": 1e-7},
]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, rows in (("gsm8k", GSM8K), ("hard", GSM_HARD)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "SVAMP.json").write_text(json.dumps(SVAMP, indent=2))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def error_of(source: str) -> str:
    with pytest.raises(DataError) as caught:
        load_examples(source)
    return str(caught.value)


def test_gsm8k(data: Path) -> None:
    loaded = load_examples("gsm8k:gsm8k.jsonl")
    assert (loaded.task, loaded.grader, len(loaded.examples)) == ("gsm8k", "math", 10)
    first = loaded.examples[0]
    assert (first.id, first.prompt, first.completion, first.answer) == (
        "0",
        GSM8K[0]["question"],
        GSM8K[0]["answer"],
        "1000",
    )


def test_the_shape_alone_reads_gsm8k_the_same(data: Path) -> None:
    named, recognised = load_examples("gsm8k:gsm8k.jsonl"), load_examples("gsm8k.jsonl")
    assert recognised.examples == named.examples
    assert (recognised.task, recognised.grader) == ("file", "math")
    assert recognised.shape.startswith("question/answer")


def test_svamp(data: Path) -> None:
    a, b, c, d = load_examples("svamp:SVAMP.json").examples
    assert a.prompt == (
        "Each pack of dvds costs 76 dollars. If there is a discount of 25 dollars on each pack, "
        "how much do you have to pay to buy each pack?"
    )
    assert (a.id, a.completion, a.answer) == ("chal-1", "76 - 25 = 51\n#### 51", "51")
    assert b.prompt == "They had 90 pens in 4 boxes. How many pens in 2 boxes?"
    assert b.completion == "90 / 4 = 22.5\n2 * 22.5 = 45\n#### 45"
    assert (c.prompt, c.completion) == ("He has 3 left. How many?", "#### 3")
    assert d.completion == "#### 1"


def test_gsm_hard(data: Path) -> None:
    examples = load_examples("gsm_hard:hard.jsonl").examples
    assert [e.answer for e in examples] == ["-9867630", "3244047.1", "9284017268534.4", "0.0000001"]
    assert examples[1].completion == "#### 3244047.1"
    assert examples[1].prompt == "q2"


@pytest.mark.parametrize("source", ["gsm8k:gsm8k.jsonl", "svamp:SVAMP.json", "gsm_hard:hard.jsonl"])
def test_every_reference_solution_is_graded_right(data: Path, source: str) -> None:
    loaded = load_examples(source)
    assert all(
        grade(loaded.grader, e.completion, e) == (grade("math", f"#### {e.answer}", e))
        for e in loaded.examples
    )
    assert all(grade(loaded.grader, e.completion, e).correct for e in loaded.examples)


@pytest.mark.parametrize(
    ("body", "question", "text"),
    [
        ("A.", "How many?", "A. How many?"),
        ("A", "How many?", "A. How many?"),
        ("A. If b", "What is c?", "A. If b, what is c?"),
        ("If b", "Jack has how many?", "If b, Jack has how many?"),
        ("Is it so?", "How many?", "Is it so? How many?"),
        ("", "How many?", "How many?"),
        ("Iffy", "How many?", "Iffy. How many?"),
    ],
)
def test_join_story(body: str, question: str, text: str) -> None:
    assert join_story(body, question) == text


@pytest.mark.parametrize(
    ("equation", "lines"),
    [
        ("( 10.0 / 4.0 )", ["10 / 4 = 2.5"]),
        ("( 10.0 / 3.0 )", ["10 / 3 = 3.33"]),
        ("( 3.0 * ( 10.0 / 3.0 ) )", ["10 / 3 = 3.33", "3 * 3.33 = 10"]),
        ("( ( 2.5 + 0.5 ) - 7.0 )", ["2.5 + 0.5 = 3", "3 - 7 = -4"]),
        ("5.0", []),
    ],
)
def test_solve_steps(equation: str, lines: list[str]) -> None:
    assert [line for line, _ in solve_steps(equation, "row 0")] == lines


@pytest.mark.parametrize(
    "equation", ["", "(", "( 1 +", "( 1 + 2", "( 1 ^ 2 )", "( 1 / 0 )", "1 2", "x", "( 1 + 2 ) )"]
)
def test_unreadable_equations(equation: str) -> None:
    with pytest.raises(DataError, match="row 3"):
        solve_steps(equation, "row 3")


NUMBERS = st.integers(1, 999).map(lambda n: f"{n}.0")
TREES = st.recursive(
    NUMBERS,
    lambda inner: st.tuples(inner, st.sampled_from("+-*/"), inner).map(lambda t: f"( {t[0]} {t[1]} {t[2]} )"),
    max_leaves=5,
)


@given(equation=TREES)
def test_steps_reach_the_value_that_python_computes(equation: str) -> None:
    exact = equation
    for number in {token for token in equation.split() if token[0].isdigit()}:
        exact = " ".join(f"Fraction('{t}')" if t == number else t for t in exact.split())
    try:
        expected = eval(exact, {"Fraction": Fraction})
    except ZeroDivisionError:
        with pytest.raises(DataError):
            solve_steps(equation, "row 0")
        return
    steps = solve_steps(equation, "row 0")
    assert len(steps) == sum(token in "+-*/" for token in equation.split())
    assert (steps[-1][1] if steps else Fraction(equation)) == expected


@pytest.mark.parametrize(
    ("source", "parts"),
    [
        ("gsm8k:hard.jsonl", ["hard.jsonl, row 0 (line 1)", "`question`", "input"]),
        ("svamp:gsm8k.jsonl", ["row 0", "`Body`"]),
        ("gsm_hard:gsm8k.jsonl", ["row 0", "`target`"]),
    ],
)
def test_a_file_of_another_data_set(data: Path, source: str, parts: list[str]) -> None:
    message = error_of(source)
    for part in parts:
        assert part in message


def test_known_rows_must_fit(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    for rows, part in (
        ([{"question": "q", "answer": "no mark"}], "no final answer"),
        ([5], "not a record"),
    ):
        path.write_text(json.dumps(rows))
        assert part in error_of(f"gsm8k:{path}")
    path.write_text(json.dumps([SVAMP[0], SVAMP[0]]))
    assert "chal-1" in error_of(f"svamp:{path}")
    for target in (None, "many", True, float("inf"), float("nan")):
        path.write_text(json.dumps([{"input": "q", "target": target}]))
        assert "`target` is not a number" in error_of(f"gsm_hard:{path}")


@pytest.mark.parametrize("text", ["[:3]", "[2:5]", "[7:]", "[-2:]", "[:-8]", "[0:100]", "[:]", "[ 1 : 2 ]"])
def test_slices_are_pythons_and_keep_ids(data: Path, text: str) -> None:
    whole = load_examples("gsm8k.jsonl").examples
    start, stop = (int(part) if part.strip() else None for part in text[1:-1].split(":"))
    assert load_examples(f"gsm8k.jsonl{text}").examples == whole[start:stop]
    assert load_examples(f"gsm8k:gsm8k.jsonl{text}").examples == whole[start:stop]


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


@pytest.mark.parametrize("task", ["knights", "facts"])
def test_every_procedural_task_is_loaded_by_name(task: str) -> None:
    loaded = load_examples(f"{task}:val[:20]")
    assert (loaded.task, len(loaded.examples)) == (task, 20)
    assert all(grade(loaded.grader, e.completion, e).correct for e in loaded.examples)
    assert "ood_phrasing" in error_of(f"{task}:dev")


def test_wordmath_is_loaded_through_its_module(monkeypatch: pytest.MonkeyPatch) -> None:
    import overmem.tasks

    fake = types.ModuleType("overmem.synthetic.wordmath")
    fake.load_split = lambda name: [Example(f"{name}-{i}", "q", "#### 1", "1") for i in range(5)]  # type: ignore[attr-defined]
    fake.GRADER = "exact"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "overmem.synthetic.wordmath", fake)
    monkeypatch.setattr(overmem.tasks, "wordmath", fake, raising=False)
    loaded = load_examples("wordmath:val[3:]")
    assert [e.id for e in loaded.examples] == ["val-3", "val-4"]
    assert (loaded.task, loaded.grader) == ("wordmath", "exact")


class FakeHub(types.ModuleType):
    """Stands for `datasets`: records calls, returns rows or raises."""

    def __init__(self, rows: list[dict[str, Any]], splits: tuple[str, ...] = ("train", "test")) -> None:
        super().__init__("datasets")
        self.rows, self.splits, self.calls = rows, splits, []  # type: ignore[var-annotated]

    def load_dataset(self, hub_id: str, config: str | None, *, split: str) -> list[dict[str, Any]]:
        self.calls.append((hub_id, config, split))
        if split not in self.splits:
            raise ValueError(f'Unknown split "{split}".\nmore lines')
        return self.rows

    def get_dataset_split_names(self, hub_id: str, config: str | None) -> list[str]:
        return list(self.splits)


@pytest.mark.parametrize(
    ("source", "rows", "call", "task"),
    [
        ("gsm8k", GSM8K, ("openai/gsm8k", "main", "test"), "gsm8k"),
        ("gsm8k:#train", GSM8K, ("openai/gsm8k", "main", "train"), "gsm8k"),
        ("openai/gsm8k#train", GSM8K, ("openai/gsm8k", "main", "train"), "hub"),
        ("openai/gsm8k#socratic/train", GSM8K, ("openai/gsm8k", "socratic", "train"), "hub"),
        ("gsm8k:me/copy#train", GSM8K, ("me/copy", None, "train"), "gsm8k"),
        ("svamp", SVAMP, ("ChilleD/SVAMP", None, "test"), "svamp"),
        ("gsm_hard", GSM_HARD, ("reasoning-machines/gsm-hard", None, "train"), "gsm_hard"),
    ],
)
def test_hub_locations(
    monkeypatch: pytest.MonkeyPatch, source: str, rows: list[Any], call: tuple[object, ...], task: str
) -> None:
    hub = FakeHub(rows)
    monkeypatch.setitem(sys.modules, "datasets", hub)
    loaded = load_examples(source)
    assert hub.calls == [call]
    assert (loaded.task, len(loaded.examples)) == (task, len(rows))


def test_hub_errors_are_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", FakeHub(GSM8K))
    message = error_of("gsm8k:#validation")
    assert "openai/gsm8k" in message
    assert 'ValueError: Unknown split "validation".' in message
    assert "more lines" not in message
    assert "local file" in message
    message = error_of("me/data")
    assert "which split" in message
    assert "me/data#train" in message
    monkeypatch.setitem(sys.modules, "datasets", FakeHub(GSM8K, ("only",)))
    assert len(load_examples("me/data").examples) == 10


def test_the_real_library_without_a_network(tmp_path: Path) -> None:
    code = (
        "from overmem.tasks import load_examples\n"
        "from overmem.errors import DataError\n"
        "try:\n    load_examples('openai/gsm8k#train')\n"
        "except DataError as error:\n    print(error)\n"
    )
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    result = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=100
    )
    assert "cannot load openai/gsm8k (split train) from the Hugging Face hub" in result.stdout, result.stderr
    assert "local file" in result.stdout


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


@pytest.mark.parametrize(
    ("answers", "grader"),
    [
        (["1", "2.5", "$3"], "math"),
        (["\\frac{1}{2}", "3"], "math"),
        (["A", "(c)"], "choice"),
        (["A", "12"], "exact"),
        (["Paris", "Rome"], "exact"),
        (["1", None], "none"),
    ],
)
def test_default_grader(answers: list[str | None], grader: str) -> None:
    assert default_grader(tuple(Example(str(i), "q", "c", a) for i, a in enumerate(answers))) == grader


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
    with pytest.raises(DataError, match="its split once"):
        load_examples("wordmath:val#test")
