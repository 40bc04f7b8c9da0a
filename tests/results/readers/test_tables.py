"""Plain CSV and Parquet tables of results."""

import polars as pl
import pytest

from overmem.artifacts.manifest_parts.imported import Score
from overmem.errors import DataError
from overmem.results.readers.tables import read_table


def table(tmp_path, *lines):
    path = tmp_path / "table.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_samples_with_and_without_likelihood(tmp_path):
    path = table(
        tmp_path, "checkpoint,example_id,correct,nll_nats,n_tokens", "a,1,true,2.5,10", "a,2,0,,", "b,1,1,1,5"
    )
    first, second = read_table(path, "csv")
    assert (first.model, second.model) == ("a", "b")
    assert first.samples["correct"].to_list() == [1.0, 0.0]
    assert first.samples["nll_nats"].to_list() == [2.5, None] and not first.has("nll_nats")
    assert second.has("nll_nats")


def test_parquet_keeps_its_types(tmp_path):
    path = tmp_path / "table.parquet"
    columns = {"checkpoint": ["a"], "example_id": [7], "correct": [True], "nll_nats": [1.5], "n_tokens": [3]}
    pl.DataFrame(columns).write_parquet(path)
    (found,) = read_table(path, "parquet")
    assert found.samples.select("id", "correct", "nll_nats", "n_tokens").row(0) == ("7", 1.0, 1.5, 3)


def test_accuracies_alone(tmp_path):
    (found,) = read_table(table(tmp_path, "checkpoint,accuracy,n", "a,0.25,1319"), "csv")
    assert found.score == Score(accuracy=0.25, n=1319)


@pytest.mark.parametrize(
    "lines, message",
    [
        (["checkpoint,correct", "a,1"], "no column `example_id`"),
        (["name,example_id,correct", "a,1,1"], "no column `checkpoint`"),
        (["checkpoint,example_id,correct", "a,1,"], "`correct` is empty"),
        (["checkpoint,example_id,correct", "a,1,maybe"], "`correct` is no number"),
        (["checkpoint,example_id,correct", "a,1,7"], "out of range"),
        (["checkpoint,example_id,correct", "a,1,1", "a,1,0"], "twice"),
        (["checkpoint,example_id,correct,nll_nats", "a,1,1,2.0"], "no column `n_tokens`"),
        (["checkpoint,accuracy,n", "a,62.3,500"], "no accuracy"),
        (["checkpoint,accuracy,n", "a,0.5,100", "a,0.6,100"], "two accuracies"),
        (["checkpoint,example_id,correct"], "no rows"),
    ],
)
def test_what_is_no_result_is_one_message(tmp_path, lines, message):
    with pytest.raises(DataError, match=message):
        read_table(table(tmp_path, *lines), "csv")


def test_a_missing_or_foreign_file_is_one_message(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_table(tmp_path / "none.csv", "csv")
    (tmp_path / "x.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(DataError, match="not a readable Parquet"):
        read_table(tmp_path / "x.parquet", "parquet")
