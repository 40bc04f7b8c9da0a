"""Output folders of lighteval, as 0.13 writes them."""

import json

import pyarrow
import pyarrow.parquet
import pytest

from overmem.errors import DataError
from overmem.results.readers.lighteval import read_lighteval

DATE = "2026-11-29T21-30-00.123456"
MODEL = "/data/of/mine/runs/checkpoint-5"


def write(out, rows=None, task="community:math:0", details="details_community|math|0"):
    """Results, and details of one task where rows are given."""
    folder = out / "results" / MODEL.strip("/")
    folder.mkdir(parents=True)
    record = {
        "config_general": {
            "lighteval_sha": "0.13",
            "model_name": MODEL,
            "model_config": {"model_name": MODEL},
        },
        "results": {task: {"em": 0.5, "em_stderr": 0.1}, "all": {"em": 0.5}},
        "versions": {task: 1},
        "config_tasks": {task: {"effective_num_docs": 40}},
    }
    (folder / f"results_{DATE}.json").write_text(json.dumps(record))
    if rows is not None:
        path = out / "details" / MODEL.strip("/") / DATE / f"{details}_{DATE}.parquet"
        path.parent.mkdir(parents=True)
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    return folder / f"results_{DATE}.json"


def row(at, right, **response):
    doc = {
        "query": f"Question {at}?",
        "choices": ["no", "yes"],
        "gold_index": 1,
        "id": "0",
        "task_name": "math",
    }
    model = {
        "input": f"Question {at}?",
        "text": ["yes"],
        "logprobs": [],
        "output_tokens": [[1, 2]],
        **response,
    }
    return {"doc": doc, "model_response": model, "metric": {"em": right, "length": 7.0}}


def test_details_are_read_to_the_figure(tmp_path):
    write(tmp_path, [row(0, 1), row(1, 0)])
    (found,) = read_lighteval(tmp_path, None)
    assert (found.model, found.task, found.metric) == (MODEL, "community:math:0", "em")
    assert found.samples.select("id", "correct", "answer", "text").rows() == [
        ("0", 1.0, "yes", "yes"), ("1", 0.0, "yes", "yes"),
    ]  # fmt: skip
    assert not found.has("nll_nats")


def test_ids_that_are_unique_name_the_problems_whatever_their_order(tmp_path):
    rows = [row(0, 1), row(1, 0)]
    for item, name in zip(rows, ("38", "4"), strict=True):
        item["doc"]["id"] = name
    write(tmp_path, rows, task="math|0", details="details_math|0")
    (found,) = read_lighteval(tmp_path, None)
    assert found.task == "math:0" and found.settings == {"version of the task": "1"}
    assert found.samples.select("id", "correct").rows() == [("38", 1.0), ("4", 0.0)]


def test_scored_choices_give_the_likelihood_of_the_right_one(tmp_path):
    rows = [row(0, 1, text=[], logprobs=[-3.0, -0.5], output_tokens=[[1], [2, 3, 4]])]
    write(tmp_path, rows)
    (found,) = read_lighteval(tmp_path, "em")
    assert found.samples.select("nll_nats", "n_tokens", "completion").row(0) == (0.5, 3, "yes")


def test_without_details_the_aggregate_counts(tmp_path):
    write(tmp_path)
    (found,) = read_lighteval(tmp_path, None)
    assert (found.metric, found.score.accuracy, found.score.n) == ("em", 0.5, 40)


def test_what_is_something_else_is_one_message(tmp_path):
    write(tmp_path / "a", [{"example": "x", "metrics": "y"}])
    with pytest.raises(DataError, match="no file of details"):
        read_lighteval(tmp_path / "a", None)
    write(tmp_path / "b", [row(0, 1)])
    with pytest.raises(DataError, match="no metric that says"):
        read_lighteval(tmp_path / "b", "length")
    file = write(tmp_path / "c")
    file.write_text(file.read_text()[:50])
    with pytest.raises(DataError, match="cannot be read as results of lighteval"):
        read_lighteval(tmp_path / "c", None)
    file.write_text('{"results": {}, "configs": {}}')
    with pytest.raises(DataError, match="no file of results of lighteval"):
        read_lighteval(tmp_path / "c", None)
