"""Logs of inspect_ai, as 0.3.285 writes them."""

import json
import zipfile

import pyarrow
import pytest

from overmem.errors import DataError
from overmem.results.readers.inspect import read_inspect, value_of


def log(n=2, **changed):
    """A log with answers right, wrong, right, ..."""
    rows = [
        {
            "id": f"q{i}", "epoch": 1, "input": f"Question {i}?", "target": str(i),
            "output": {"choices": [{"message": {"role": "assistant", "content": f"It is {i}"}}]},
            "scores": {"match": {"value": "CI"[i % 2]}, "other": {"value": 0.25}},
        }
        for i in range(n)
    ]  # fmt: skip
    about = {
        "task": "math", "task_version": 1, "model": "hf/local", "created": "2026-11-29T21:27:02+00:00",
        "model_args": {"model_path": "/runs/checkpoint-5"}, "packages": {"inspect_ai": "0.3.285"},
    }  # fmt: skip
    scores = [{"name": "match", "metrics": {"accuracy": {"name": "accuracy", "value": 0.5}}}]
    results = {"total_samples": n, "completed_samples": n, "scores": scores}
    return {"version": 2, "status": "success", "eval": about, "results": results, "samples": rows} | changed


def write(path, record, packed=None):
    """A `.json`, or a `.eval`, whose entries are packed by deflate or, as inspect does, by Zstandard."""
    if path.suffix == ".json":
        path.write_text(json.dumps(record))
        return path
    entries = {"header.json": {k: v for k, v in record.items() if k != "samples"}}
    entries |= {f"samples/{row['id']}_epoch_{row['epoch']}.json": row for row in record["samples"]}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, entry in entries.items():
            archive.writestr(name, json.dumps(entry))
    if packed == "zstd":
        write_zstd(path, entries)
    return path


def write_zstd(path, entries):
    """The same by hand: stored bytes that are a Zstandard frame, marked as method 93 with their own sizes."""
    codec, content = pyarrow.Codec("zstd"), {k: json.dumps(v).encode() for k, v in entries.items()}
    frames = {name: codec.compress(text, asbytes=True) for name, text in content.items()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, frame in frames.items():
            archive.writestr(name, frame)
        for entry in archive.infolist():
            entry.compress_type, entry.file_size = 93, len(content[entry.filename])


@pytest.mark.parametrize("name, packed", [("log.json", None), ("log.eval", None), ("log.eval", "zstd")])
def test_samples_are_read_to_the_figure(tmp_path, name, packed):
    (found,) = read_inspect(write(tmp_path / name, log(), packed), None)
    assert (found.model, found.task, found.metric) == ("/runs/checkpoint-5", "math", "match")
    assert found.samples.select("id", "correct", "text", "answer").rows() == [
        ("q0", 1.0, "It is 0", "0"), ("q1", 0.0, "It is 1", "1"),
    ]  # fmt: skip
    assert read_inspect(tmp_path / name, "other")[0].samples["correct"].to_list() == [0.25, 0.25]


def test_epochs_of_a_problem_are_one_mean(tmp_path):
    record = log(1)
    again = {**record["samples"][0], "epoch": 2, "scores": {"match": {"value": "I"}}}
    record["samples"].append(again)
    (found,) = read_inspect(write(tmp_path / "log.json", record), None)
    assert found.samples["correct"].to_list() == [0.5]


def test_without_samples_the_accuracy_counts(tmp_path):
    (found,) = read_inspect(write(tmp_path / "log.json", log(40, samples=None)), None)
    assert (found.score.accuracy, found.score.n) == (0.5, 40)


def test_an_evaluation_that_failed_is_passed_over_beside_one_that_ended(tmp_path):
    write(tmp_path / "a.json", log(status="error"))
    write(tmp_path / "b.json", log())
    (found,) = read_inspect(tmp_path, None)
    assert found.notes == ("1 logs of evaluations that did not end are passed over",)


def test_values_of_a_score():
    assert [value_of(v) for v in ("C", "I", "P", "N", True, 0.3)] == [1.0, 0.0, 0.5, 0.0, 1.0, 0.3]
    assert [value_of(v) for v in ("yes", 7, None, {"a": 1})] == [None] * 4


@pytest.mark.parametrize(
    "record, message",
    [
        (log(status="started"), "did not end"),
        (log(status="error"), "did not end"),
        ({"a": 1}, "cannot be read as a log"),
        (log(samples=None, results={}), "neither samples nor an accuracy"),
    ],
)
def test_what_is_no_finished_log_is_refused(tmp_path, record, message):
    with pytest.raises(DataError, match=message):
        read_inspect(write(tmp_path / "log.json", record), None)


def test_a_score_that_is_not_there_or_says_nothing_is_refused(tmp_path):
    path = write(tmp_path / "log.json", log())
    with pytest.raises(DataError, match="no score `grader`"):
        read_inspect(path, "grader")
    record = log(1)
    record["samples"][0]["scores"]["match"]["value"] = "long text"
    with pytest.raises(DataError, match="does not say whether"):
        read_inspect(write(path, record), None)


@pytest.mark.parametrize("packed", [None, "zstd"])
def test_a_log_that_is_cut_off_is_one_message(tmp_path, packed):
    path = write(tmp_path / "log.eval", log(), packed)
    whole = path.read_bytes()
    for size in (10, len(whole) // 2, len(whole) - 30):
        path.write_bytes(whole[:size])
        with pytest.raises(DataError, match="cannot be read"):
            read_inspect(path, None)
    middle = bytearray(whole)
    middle[60:90] = b"\0" * 30
    path.write_bytes(bytes(middle))
    with pytest.raises(DataError, match="cannot be read"):
        read_inspect(path, None)
