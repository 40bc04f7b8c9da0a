"""Two runs with planted answers: the better one is found by its margin, equal ones are not told apart.

Covers: overmem.verdict.warnings.unlike, overmem.verdict.words.comparison
"""

import json
import math
import shutil

import numpy as np
import polars as pl
import pytest

import overmem
from overmem.artifacts.store import Store
from overmem.errors import ArtifactError, RunError
from overmem.verdict.compare import compare
from tests.helpers.synthetic import write_run

N = 400
NAMES = ("checkpoint-100", "checkpoint-200", "checkpoint-300")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "run"
    return write_run(folder, checkpoints=3, problems=N, axes=False, train=False, tokenizer=False)


@pytest.fixture
def plant(made, tmp_path):
    """Copy the run, with given answers right at every checkpoint and NLLs that grow by a factor."""

    def run(name, right_N, nll_times=1.0, **changes):
        folder = tmp_path / name
        shutil.copytree(made, folder)
        is_right = dict(zip((f"val-{i:05d}" for i in range(N)), map(float, right_N), strict=True))
        store = Store.of_run(folder)
        for checkpoint in NAMES:
            store.update_rows(
                checkpoint, "generations", lambda row: row | {"correct": is_right[row["example_id"]]}
            )
            store.update_rows(
                checkpoint, "likelihood", lambda row: row | {"nll_nats": row["nll_nats"] * nll_times}
            )
        edit(folder, **{"config__temperature": 0.8, **changes})
        return folder

    return run


def edit(folder, **changes):
    """Change fields of the manifest, `splits__val__grader` for one deep inside."""
    path = folder / "overmem" / "manifest.json"
    manifest = json.loads(path.read_text())
    for name, value in changes.items():
        *way, last = name.split("__")
        place = manifest
        for key in way:
            place = place[key]
        place[last] = value
    path.write_text(json.dumps(manifest))


def right(*stretches):
    """Answers that are right between these places."""
    found = np.zeros(N)
    for start, end in stretches:
        found[start:end] = 1
    return found


def accuracy_of(found):
    return next(cost for cost in found.at_recommended if cost.measure == "accuracy")


def test_a_run_that_is_better_by_a_known_margin_is_named_with_its_interval(plant):
    a, b = plant("a", right((0, 320))), plant("b", right((0, 280)))
    found = compare(a, b)
    difference = accuracy_of(found).difference
    # 40 of 400 answers differ, all one way: 10 points, with a standard error of sqrt(0.1 * 0.9 / 400);
    # the interval allows for skew, so that its upper end lies a little higher.
    half = 1.96 * math.sqrt(0.1 * 0.9 / N)
    assert difference.value == pytest.approx(0.1)
    assert (difference.low, difference.high) == pytest.approx((0.1 - half, 0.1 + half), abs=0.006)
    assert found.better == "A"
    assert found.words[0].startswith("A is better: at the checkpoints to ship (checkpoint-")
    assert "it solves 10.0 points more (95% interval " in found.words[0]
    assert found.matched is None
    assert "Not compared at matched accuracy: no two checkpoints" in found.words[2]
    back = compare(b, a)
    assert back.better == "B"
    assert accuracy_of(back).difference.value == pytest.approx(-0.1)
    assert back.words[0].partition("it solves")[2] == found.words[0].partition("it solves")[2]


@pytest.mark.parametrize(
    ("b", "said"),
    [
        (right((0, 300)), "A and B do not differ in accuracy: at the checkpoints to ship"),
        # 8 answers differ either way: half a standard error is within the margin of 3 points.
        (right((8, 308)), "A and B do not differ in accuracy: at the checkpoints to ship"),
        # 60 differ either way, which is no difference, and too much spread to call it equal.
        (right((60, 360)), "Which run is better cannot be told from 400 problems"),
    ],
)
def test_runs_of_equal_accuracy_are_never_called_different(plant, b, said):
    found = compare(plant("a", right((0, 300))), plant("b", b))
    assert found.better is None
    assert accuracy_of(found).difference.value == 0
    assert found.words[0].startswith(said)


def test_as_accurate_and_likelier_references_decide(plant):
    a, b = plant("a", right((0, 300))), plant("b", right((4, 304)), nll_times=1.3)
    found = compare(a, b)
    assert found.better == "A"
    assert found.words[0].startswith("A is better: as accurate (at the checkpoints to ship")
    assert found.words[0].endswith("and better in likelihood.")
    assert compare(b, a).better == "B"


def test_a_less_accurate_run_is_not_better_for_its_likelihood(plant):
    found = compare(plant("a", right((0, 240))), plant("b", right((0, 320)), nll_times=1.3))
    assert found.better == "B"
    assert "There, A is better in likelihood." in found.words


def test_at_matched_accuracy_the_other_axes_are_named(plant):
    found = compare(plant("a", right((0, 300))), plant("b", right((0, 300)), nll_times=1.3))
    said = next(text for text in found.words if text.startswith("At matched accuracy"))
    assert "within 3 points with probability 1.00" in said
    assert said.endswith("A is better in likelihood.")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"splits__val__grader": "math"}, "grader of val: exact \\(A\\), math \\(B\\)"),
        ({"splits__val__answers": "other"}, "reference answers: first \\(A\\), other \\(B\\)"),
        (
            {"splits__val__answers": "x" * 99},
            f"reference answers: first \\(A\\), {'x' * 57}\\.\\.\\. \\(B\\)",
        ),
        (
            {"splits__val__example_shas": ["f" * 64] * N, "config__template__system": "Be brief."},
            "template system: None \\(A\\), 'Be brief.' \\(B\\)",
        ),
        ({"splits__val__example_shas": ["f" * 64] * N}, "tokenizer or its chat template"),
        (
            {
                "splits__val__example_ids": [f"other-{i}" for i in range(N)],
                "splits__val__source": "test.jsonl",
            },
            "val: val.jsonl \\(400 problems\\) \\(A\\), test.jsonl \\(400 problems\\) \\(B\\)",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused_by_name(plant, changes, said):
    a = plant("a", right((0, 300)), splits__val__answers="first")
    b = plant("b", right((0, 300)), **{"splits__val__answers": "first", **changes})
    with pytest.raises(
        ArtifactError, match=f"cannot be compared[\\s\\S]*{said}[\\s\\S]*--template"
    ) as caught:
        compare(a, b)
    assert "--dtype" not in caught.value.next_step


@pytest.mark.parametrize(
    ("changes", "said", "seeds"),
    [
        ({"dtype": "bfloat16"}, "bfloat16", "bfloat16 or float32"),
        ({"quantization": "4 bit"}, "float32, weights in 4 bit", "float32 or float32, weights in 4 bit"),
    ],
)
def test_figures_in_two_precisions_are_refused(plant, changes, said, seeds):
    a, b = plant("a", right((0, 300))), plant("b", right((0, 300)), **changes)
    with pytest.raises(ArtifactError) as caught:
        compare(a, b)
    assert f"precision: float32 (A), {said} (B)" in caught.value.what
    assert caught.value.next_step.endswith("with the same --dtype and --quantize")
    # Seeds of one recipe must agree, too; each precision of a side is named once.
    with pytest.raises(ArtifactError) as caught:
        compare([a, b, a], [a, a, a])
    assert f"precision: {seeds} (A), float32 (B)" in caught.value.what


def test_every_difference_is_named_at_once(plant):
    a = plant("a", right((0, 300)))
    b = plant("b", right((0, 300)), dtype="bfloat16", splits__val__grader="math")
    with pytest.raises(ArtifactError, match=r"grader of val[\s\S]*precision") as caught:
        compare(a, b)
    assert caught.value.next_step.endswith("--val, --template, --grader, --dtype and --quantize")


def test_other_texts_under_the_same_ids_are_other_data(plant):
    a, b = plant("a", right((0, 300))), plant("b", right((0, 300)), splits__val__example_shas=["f" * 64] * N)
    store = Store.of_run(b)
    store.write_texts(store.read_texts().with_columns(prompt=pl.lit("Another question?")))
    with pytest.raises(ArtifactError, match=r"val: val.jsonl \(400 problems\) \(A\)"):
        compare(a, b)


def test_what_may_be_the_cause_of_a_difference_is_said_and_compared(plant):
    a = plant("a", right((0, 320)), splits__val__max_new_tokens=64)
    b = plant(
        "b",
        right((0, 280)),
        engine={"kind": "vllm", "version": "0.14.0"},
        splits__val__max_new_tokens=512,
    )
    found = compare(a, b)
    assert found.better == "A"
    said = "Measured otherwise: precision and engine: float32 (A), float32, answers by vLLM 0.14.0 (B). A"
    assert said in " ".join(found.words)
    assert found.measured_otherwise["longest answer in tokens"] == ("64", "512")


def test_a_precision_that_an_import_does_not_know_is_said(plant):
    found = compare(plant("a", right((0, 320))), plant("b", right((0, 280)), dtype=""))
    assert found.measured_otherwise["precision and engine"] == ("float32", "unknown precision")


def test_a_run_without_a_recommendation_says_why_and_is_matched_all_the_same(plant):
    a, b = plant("a", right((0, 300))), plant("b", right((0, 300)))
    manifest = json.loads((b / "overmem" / "manifest.json").read_text())
    edit(b, checkpoints=manifest["checkpoints"][:1])
    found = compare(a, b)
    assert found.better is None and found.at_recommended == ()
    assert found.words[0].startswith(
        "Which run is better to ship cannot be told: no checkpoint is recommended in"
    )
    assert "fewer than two were measured" in found.words[0]
    assert found.matched is not None


def test_two_seeds_are_too_few_to_say(plant):
    side_a = [plant(f"a{i}", right((i, 320 + i))) for i in range(2)]
    side_b = [plant(f"b{i}", right((i, 280 + i))) for i in range(2)]
    found = compare(side_a, side_b)
    assert found.better is None
    assert found.words[0].startswith("Which recipe is better cannot be told from fewer than 4 seeds each")
    assert "A minus B is +10.0 points" in found.words[0]
    assert any(
        "too few seeds to say what else differs" in text or "Not compared" in text for text in found.words
    )


def test_the_record_is_json_and_a_notebook_shows_the_answer(plant):
    found = overmem.compare(str(plant("a", right((0, 320)))), plant("b", right((0, 280))))
    record = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert record["schema"] == "overmem.comparison/1"
    assert record["better"] == "A" and record["words"][0] == found.words[0]
    assert record["problems"] == N
    assert found.words[0] in found._repr_html_() and "<table>" in found._repr_html_()


def test_a_side_without_a_run_or_a_checkpoint_is_refused(plant):
    run = plant("a", np.ones(N))
    with pytest.raises(RunError, match="names no run"):
        compare([], run)
    empty = plant("b", np.ones(N), checkpoints=[])
    with pytest.raises(ArtifactError, match="has no checkpoint"):
        compare(run, empty)
