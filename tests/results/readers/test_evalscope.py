"""Output folders of evalscope, as 1.14 writes them."""

import json

import pytest

from overmem.errors import DataError
from overmem.results.readers.evalscope import read_evalscope


def review(at, right, main="acc"):
    score = {"value": {main: right, "bleu": 0.1}, "main_score_name": main, "prediction": f"It is {at}"}
    return {
        "index": at, "target": [str(at)], "messages": [{"role": "user", "content": f"Question {at}?"}],
        "sample_score": {"score": score, "sample_id": at},
    }  # fmt: skip


def write(out, rows):
    path = out / "20261129_210000" / "reviews" / "checkpoint-5" / "general_qa_default.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_reviews_are_read_to_the_figure(tmp_path):
    file = write(tmp_path, [review(0, 1.0), review(1, 0.0)])
    (file.parents[2] / "configs").mkdir()
    benchmark = "general_qa: {evaluation_version: v1.1}"
    config = f"evalscope_version: 1.14.1\nevaluation_identity: {{benchmarks: {{{benchmark}}}}}\n"
    (file.parents[2] / "configs" / "task_config.yaml").write_text(config)
    (found,) = read_evalscope(tmp_path, None)
    assert (found.model, found.task, found.metric, found.when) == (
        "checkpoint-5", "general_qa_default", "acc", "20261129_210000",
    )  # fmt: skip
    assert found.samples.select("id", "correct", "prompt", "answer", "text").row(1) == (
        "1", 0.0, "Question 1?", "1", "It is 1",
    )  # fmt: skip
    assert (found.version, found.settings) == ("1.14.1", {"version of the task": "v1.1"})
    assert read_evalscope(tmp_path, "bleu")[0].samples["correct"].to_list() == [0.1, 0.1]


def test_a_report_alone_is_a_score(tmp_path):
    path = tmp_path / "20261129_210000" / "reports" / "checkpoint-5" / "gsm8k.json"
    path.parent.mkdir(parents=True)
    metrics = [{"name": "mean_acc", "num": 1319, "score": 0.3}]
    path.write_text(json.dumps({"dataset_name": "gsm8k", "model_name": "checkpoint-5", "metrics": metrics}))
    (found,) = read_evalscope(tmp_path, None)
    assert (found.model, found.task, found.score.n, found.score.accuracy) == (
        "checkpoint-5",
        "gsm8k",
        1319,
        0.3,
    )
    path.write_text("{}")
    with pytest.raises(DataError, match="no figure"):
        read_evalscope(tmp_path, None)


def test_what_is_something_else_is_one_message(tmp_path):
    with pytest.raises(DataError, match="holds no results"):
        read_evalscope(tmp_path, None)
    path = write(tmp_path, [{"a": 1}])
    with pytest.raises(DataError, match="no file of reviews"):
        read_evalscope(tmp_path, None)
    write(tmp_path, [review(0, 7.0)])
    with pytest.raises(DataError, match="no score `acc`"):
        read_evalscope(tmp_path, None)
    path.write_text(json.dumps(review(0, 1.0))[:-9])
    with pytest.raises(DataError, match="line 1"):
        read_evalscope(tmp_path, None)
