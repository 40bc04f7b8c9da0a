"""From Python: val against training data before anything is trained."""

import json

import pytest

import overmem
from overmem.errors import DataError


def rows(path, start, end):
    asked = ("{0} pens lie in box {1}, and {2} more are brought to it by Ida. How many are there?",)
    path.write_text(
        "".join(
            json.dumps(
                {
                    "prompt": asked[0].format(i * 7, i, i * 3),
                    "completion": f" {i * 10}",
                    "answer": f"{i * 10}",
                }
            )
            + "\n"
            for i in range(start, end)
        )
    )
    return path


def test_copies_are_found_and_too_many_refuse_a_verdict(tmp_path):
    val, train = rows(tmp_path / "val.jsonl", 0, 40), rows(tmp_path / "train.jsonl", 20, 120)
    found = overmem.data_check(val, train)
    assert found.record.of("val", "train").counts["copy"] == 20
    assert "20 of 40" in found.refused
    assert json.loads(json.dumps(found.to_dict()))["refused"] == found.refused
    assert repr(found).startswith("DataCheck of 40 val problems; val has of train: 20 copy")


def test_without_training_data_the_sets_are_compared_with_one_another(tmp_path):
    val, far = rows(tmp_path / "val.jsonl", 0, 40), rows(tmp_path / "far.jsonl", 30, 60)
    found = overmem.data_check(str(val), ood={"far": far})
    assert found.refused is None
    assert found.record.of("val", "ood/far").counts["copy"] == 10


def test_tokenized_rows_have_no_text(tmp_path):
    path = tmp_path / "ids.jsonl"
    path.write_text('{"input_ids": [1, 2, 3], "labels": [-100, 2, 3]}\n' * 3)
    with pytest.raises(DataError, match="no text to compare"):
        overmem.data_check(path)
