"""Parquet, Arrow and saved data sets: the rows that pyarrow and datasets wrote, and damaged files."""

from __future__ import annotations

from pathlib import Path

import datasets
import pyarrow
import pyarrow.parquet
import pytest

from overmem.tasks import load_examples
from tests.tasks.test_sources import error_of

ROWS = [{"question": f"q{i}", "answer": f"a #### {i}", "n": i, "tags": ["x"] * i} for i in range(3000)]
TABLE = pyarrow.Table.from_pylist(ROWS)


def write(path: Path, form: str) -> Path:
    if form == "parquet":
        pyarrow.parquet.write_table(TABLE, path, row_group_size=700)
        return path
    make = pyarrow.ipc.new_stream if form == "stream" else pyarrow.ipc.new_file
    with pyarrow.OSFile(str(path), "wb") as file, make(file, TABLE.schema) as writer:
        writer.write_table(TABLE, max_chunksize=500)
    return path


FORMS = [("a.parquet", "parquet"), ("a.arrow", "stream"), ("b.arrow", "file")]


@pytest.mark.parametrize(("name", "form"), FORMS)
def test_rows_come_back_as_they_were_written(tmp_path: Path, name: str, form: str) -> None:
    found = load_examples(str(write(tmp_path / name, form))).examples
    assert [(e.prompt, e.completion, e.answer, e.meta["n"]) for e in found] == [
        (row["question"], row["answer"], str(row["n"]), row["n"]) for row in ROWS
    ]


@pytest.mark.parametrize(("name", "form"), FORMS)
@pytest.mark.parametrize("keep", [0, 3, 100, 0.5])
def test_a_cut_file_is_one_message(tmp_path: Path, name: str, form: str, keep: float) -> None:
    path = write(tmp_path / name, form)
    whole = path.read_bytes()
    path.write_bytes(whole[: keep if isinstance(keep, int) else int(len(whole) * keep)])
    assert f"{name} is not a readable" in error_of(str(path))


def test_tables_without_rows_or_with_a_column_twice(tmp_path: Path) -> None:
    pyarrow.parquet.write_table(TABLE.slice(0, 0), tmp_path / "none.parquet")
    assert "has no rows" in error_of(str(tmp_path / "none.parquet"))
    twice = pyarrow.table([["q"], ["4"], ["5"]], names=["question", "answer", "answer"])
    path = str(tmp_path / "twice.arrow")
    with pyarrow.OSFile(path, "wb") as file, pyarrow.ipc.new_file(file, twice.schema) as writer:
        writer.write_table(twice)
    assert "has a column twice" in error_of(path)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    made = datasets.Dataset.from_list(ROWS[:20])
    made.save_to_disk(str(folder / "one"))
    datasets.DatasetDict({"train": made, "test": made.select(range(5))}).save_to_disk(str(folder / "two"))
    datasets.DatasetDict({"only": made}).save_to_disk(str(folder / "single"))
    return folder


def test_saved_datasets_and_their_splits(saved: Path) -> None:
    counts = {source: len(load_examples(f"{saved}/{source}").examples) for source in (
        "one", "one[:7]", "two#train", "two#test", "two#test[-2:]", "two/train", "single"
    )}  # fmt: skip
    assert list(counts.values()) == [20, 7, 20, 5, 2, 20, 20]
    assert [e.prompt for e in load_examples(f"{saved}/two#test").examples] == [f"q{i}" for i in range(5)]


def test_splits_that_are_not_there(saved: Path) -> None:
    assert "two#train" in error_of(f"{saved}/two")
    assert "has no split `dev`" in error_of(f"{saved}/two#dev")
    assert "has no splits" in error_of(f"{saved}/one#train")


def test_a_damaged_saved_dataset(tmp_path: Path) -> None:
    datasets.Dataset.from_list(ROWS[:2]).save_to_disk(str(tmp_path / "one"))
    (tmp_path / "one" / "state.json").write_text("{")
    assert "not a readable folder of `save_to_disk`" in error_of(str(tmp_path / "one"))
