"""Problems of an audit that stand for one another are told by a column, or else by their texts."""

import json

import pytest

import overmem
from overmem.auditing.options import AuditOptions, saved_options
from overmem.auditing.resolve import resolve_options
from overmem.auditing.run import measure
from overmem.errors import DataError


def test_a_column_groups_the_problems_of_an_audit_and_texts_do_where_none_is_named(pico_run, tmp_path):
    words = ("apple", "pear", "plum", "nut", "egg", "hen", "dog", "cat", "cow", "pig", "owl", "fox")
    rows = [
        {"id": word, "prompt": f"How many {word}s?", "completion": " 7", "answer": "7", "story": f"s{i % 3}"}
        for i, word in enumerate(words)
    ]
    val = tmp_path / "stories.jsonl"
    val.write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = {"val": str(val), "grader": "exact", "max_new_tokens": 2}
    with pytest.raises(DataError, match="val has no column `storey` to group its problems by"):
        overmem.audit(pico_run, group="storey", **asked)
    train = tmp_path / "train.jsonl"
    own = [{**row, "prompt": f"{row['prompt']} Tell.", "story": f"t{i % 4}"} for i, row in enumerate(rows)]
    train.write_text("".join(json.dumps(row) + "\n" for row in own))
    plans = []
    asked["train"] = str(train)
    run = overmem.open_run(pico_run)
    options = resolve_options(run, AuditOptions(group="story", **asked))
    found = measure(run, options, on_plan=plans.append).manifest
    said = [line for line in plans[0].data if line.startswith("groups: ")]
    assert [line.partition(" (")[0] for line in said] == [
        "groups: 12 val problems in 3 groups",
        "groups: 12 training rows in 4 groups",
    ]
    assert found.splits["train"].groups == tuple(f"story=t{place % 4}" for place in range(12))
    assert found.val.groups == tuple(f"story=s{place % 3}" for place in range(12))
    assert found.val.grouped_by == "column story" and saved_options(found).group == "story"
    verdict = overmem.diagnose(pico_run)
    assert (verdict.groups.problems, verdict.groups.groups) == (12, 3)
    assert (verdict.train_groups.problems, verdict.train_groups.groups) == (12, 4)
    assert "whose groups tell as much as 3 that stand alone" in verdict.reason
    rows[1] = {**rows[0], "id": "again", "completion": "Another way: 7."}
    val.write_text("".join(json.dumps(row) + "\n" for row in rows))
    other = tmp_path / "other.jsonl"
    other.write_text(
        "".join(json.dumps({**row, "prompt": f"{row['prompt']} Count them."}) + "\n" for row in rows)
    )
    sets = overmem.audit(pico_run, axes=("ood",), ood={"far": str(other)}, **asked).manifest.splits
    for texts in (sets["val"], sets["ood/far"]):
        assert len(set(texts.groups)) == 11 and texts.groups[0] == texts.groups[1]
        assert texts.grouped_by == "the same prompt"
