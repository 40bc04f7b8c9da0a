"""The sets of an audit as they are loaded: what is left out of one is left out of its variants."""

from __future__ import annotations

import json

from overmem.auditing.options import AuditOptions
from overmem.auditing.problem_sets.load import load_problems
from overmem.auditing.problem_sets.problems import said_of
from tests.helpers.tokenizers import make_tokenizer


def write_rows(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_rows_that_cannot_be_graded_are_left_out_of_val_and_of_its_variants(tmp_path):
    rows = [{"id": str(n), "prompt": f"Question: {n}?", "completion": f" {n}", "answer": n} for n in range(5)]
    del rows[2]["answer"]
    val = write_rows(tmp_path / "val.jsonl", rows)
    other = write_rows(tmp_path / "other.jsonl", [row | {"prompt": row["prompt"] + "!"} for row in rows])
    options = AuditOptions(val=val, axes=("likelihood", "accuracy", "robustness"), variants={"mine": other})
    found = load_problems(options, make_tokenizer())
    assert [item.set for item in found.values()] == ["val", "val"]
    for item in found.values():
        assert [example.id for example in item.examples] == ["0", "1", "3", "4"]
    assert any("1 rows left out, which cannot be graded: no answer" in line for line in said_of(found))
    alone = load_problems(options.replace(axes=("likelihood",), variants=None), make_tokenizer())
    assert len(alone["val"].examples) == 5  # nothing is asked, so nothing has to be graded
