"""Every val problem, with what each model wrote."""

import base64
import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import overmem
from overmem.artifacts.manifest import Manifest, read_manifest
from overmem.artifacts.manifest_parts.model_rows import BaseRows
from overmem.artifacts.store import Store
from overmem.contamination.record import Contamination, Overlap, SetOverlap
from overmem.reporting.problems import val_problems as module
from overmem.reporting.problems.lists import val_part
from overmem.reporting.problems.val_problems import val_problems
from overmem.reporting.run import read_saved
from tests.helpers.synthetic import END, write_run
from tests.helpers.verdicts import make_verdict


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_run(tmp_path_factory.mktemp("lists") / "run", problems=40)
    overmem.diagnose(folder)
    return folder


def rows_of(packed: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(packed)))
    return found


def test_it_is_what_the_rows_say_of_every_problem_and_checkpoint(run: Path) -> None:
    found = read_saved(run, with_lists=True).problems
    assert found is not None and found.n == 40 and found.graded and found.longest is None
    data = rows_of(found.packed)
    assert data["models"] == [f"checkpoint-{100 * i}" for i in range(1, 7)] == list(found.models)
    by_id = {row["id"]: row for row in data["rows"]}
    for place, name in enumerate(found.models):
        answers = pl.read_parquet(run / "overmem" / name / "generations.parquet")
        answers = answers.filter(pl.col("row_key") == "g")
        scores = pl.read_parquet(run / "overmem" / name / "likelihood.parquet")
        scores = scores.filter(pl.col("split") == "val")
        assert len(answers) == len(scores) == 40
        for line in answers.iter_rows(named=True):
            row = by_id[line["example_id"]]
            assert row["texts"][row["at"][place]] == line["text"].strip()
            assert row["right"][place] == line["correct"]
        for line in scores.iter_rows(named=True):
            nll = line["nll_nats"] / line["n_tokens"]
            assert by_id[line["example_id"]]["nll"][place] == pytest.approx(nll, abs=5e-4)
    # Answers that are the same are stored once, and the token that ends a turn is no part of a reference.
    assert all(len(row["texts"]) == 1 and row["same"] == [True] for row in data["rows"])
    assert not any(END in row["reference"] for row in data["rows"])


def test_problems_that_training_had_are_there_and_marked(run: Path) -> None:
    store = Store(run / "overmem")
    manifest = read_manifest(store)
    record = Contamination(
        val="x",
        n_val=40,
        sets=(
            SetOverlap(
                set="val",
                against="train",
                n=40,
                n_against=40,
                found=(
                    Overlap(id="val-00003", other="train-00001", kind="copy"),
                    Overlap(id="val-00005", other="train-00002", kind="renumbered"),
                ),
            ),
        ),
    )
    manifest = replace(manifest, left_out={"val": ("val-00003",)})
    found = val_problems(store, manifest, record, {END}, None)
    assert found is not None and found.n == 40 and found.n_left_out == 1
    rows = {row["id"]: row for row in rows_of(found.packed)["rows"]}
    assert rows["val-00003"]["out"] and "word for word" in rows["val-00003"]["overlap"]
    assert not rows["val-00005"]["out"] and "other numbers" in rows["val-00005"]["overlap"]
    assert rows["val-00004"]["overlap"] is None and rows["val-00003"]["right"][0] is not None
    assert ("out", "left out: in the training data") in val_part(found, make_verdict())["shows"]


def test_groups_of_one_are_no_groups(run: Path) -> None:
    store = Store(run / "overmem")
    manifest = read_manifest(store)
    labels = tuple("family" if i < 3 else f"own-{i}" for i in range(40))
    val = replace(manifest.splits["val"], groups=labels)
    grouped = replace(manifest, splits={**manifest.splits, "val": val})
    found = val_problems(store, grouped, None, (), None)
    assert found is not None and found.grouped
    assert [row["group"] for row in rows_of(found.packed)["rows"]] == ["family"] * 3 + [None] * 37
    alone = val_problems(store, manifest, None, (), None)
    assert alone is not None and not alone.grouped


def test_texts_are_shortened_until_all_fit(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = Store(run / "overmem").read_texts()
    longer = texts.with_columns(pl.col("prompt").str.replace("Ida", "Ida " * 100))
    monkeypatch.setattr(Store, "read_texts", lambda self: longer)
    monkeypatch.setattr(module, "TEXT_BUDGET", 12_000)
    found = val_problems(Store(run / "overmem"), read_manifest(Store(run / "overmem")), None, {END}, None)
    assert found is not None and found.longest is not None
    rows = rows_of(found.packed)["rows"]
    assert all("characters are not shown" in row["prompt"] for row in rows)
    assert not any("not shown" in row["reference"] for row in rows)


def test_the_base_model_stands_before_the_checkpoints(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, answered = Store(run / "overmem"), module._answered
    manifest = replace(
        read_manifest(store), base=BaseRows(name="base", model="org/base", weights="w", row_keys={})
    )

    def of_first(store: Store, manifest: Manifest, name: str, model: Any) -> Any:
        return answered(store, manifest, name, manifest.checkpoints[0])

    monkeypatch.setattr(module, "_answered", of_first)
    found = val_problems(store, manifest, None, (), "base model")
    assert found is not None and found.models[:2] == ("base model", "checkpoint-100")
    without = val_problems(store, manifest, None, (), None)
    assert without is not None and "base model" not in without.models


def test_no_answer_is_not_the_reference_word_for_word() -> None:
    assert module._by_model("a", "", ["", " x"], [], 100)["same"] == [False, False]
