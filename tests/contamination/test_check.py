"""What is found between the sets, what follows from it, and the record that keeps it.

Covers: overmem.contamination.policy, overmem.contamination.record
"""

import dataclasses

import pytest

from overmem.artifacts.store import Store
from overmem.contamination.check import check_sets
from overmem.contamination.policy import (
    counts_text,
    leaked_ids,
    overlap_line,
    problems_left_out,
    refusal,
    said_of_contamination,
)
from overmem.contamination.record import (
    Contamination,
    Follower,
    read_contamination,
    write_contamination,
)
from overmem.errors import ArtifactError
from overmem.records import Example
from overmem.tasks.sources import load_examples


def renamed(examples, prefix):
    return [dataclasses.replace(e, id=f"{prefix}{i}") for i, e in enumerate(examples)]


TRAIN = renamed(load_examples("wordmath:train[:400]").examples, "t")
CLEAN = renamed(load_examples("facts:val[:60]").examples, "v")
LEAKED = renamed(TRAIN[:6], "l")


def test_copies_are_found_between_all_sets_and_train():
    found = check_sets([*CLEAN, *LEAKED], TRAIN, {"ood/x": [*LEAKED[:2], *CLEAN[:3]]}, fingerprint="f")
    pairs = {(item.set, item.against): item.counts for item in found.sets}
    assert pairs == {
        ("val", "train"): {"copy": 6},
        ("val", "ood/x"): {"copy": 5},
        ("ood/x", "train"): {"copy": 2},
        ("val", "val"): {},
    }
    assert [o.other for o in found.of("val", "train").found] == [f"t{i}" for i in range(6)]
    assert problems_left_out(found, [e.id for e in [*CLEAN, *LEAKED]]) == {
        "val": tuple(f"l{i}" for i in range(6)),
        "ood/x": ("l0", "l1"),
    }


def test_val_without_training_data_is_not_checked_and_it_is_said_first():
    found = check_sets(CLEAN, None, {})
    assert found.not_checked and leaked_ids(found, "val", strict=True) == {}
    assert said_of_contamination(found, {})[0].startswith("warning: val was not compared with training data")


def test_groups_are_problems_of_one_template_and_twins_are_counted():
    rows = [
        Example("a", "Tom has 3 red hats. How many hats?", "x"),
        Example("b", "Ann has 7 red hats. How many hats?", "x"),
        Example("c", "ann has 7 red hats, how many hats", "x"),
        Example("d", "Why is the sky blue, and how?", "x"),
    ]
    # `ann` is written small too, so that it is no name, and b and c are one text.
    found = check_sets(rows, None, {})
    assert [(o.id, o.other) for o in found.of("val", "val").found] == [("c", "b")]
    names = check_sets([*rows[:2], rows[3]], None, {})
    assert names.groups == (("a", "b"),)


@pytest.mark.parametrize("n", [1, 2, 10])
def test_a_few_rows_are_enough_to_compare(n):
    found = check_sets(TRAIN[:n], TRAIN[:10], {"ood/x": CLEAN[:n]})
    assert found.of("val", "train").counts == {"copy": n}


def test_rows_without_prompts_are_compared_by_their_references():
    rows = [Example(f"e{i}", "", e.completion) for i, e in enumerate(TRAIN[:40])]
    assert check_sets(rows[:10], rows[10:], {}).of("val", "train").counts.get("copy") is None
    assert check_sets(rows[:10], rows[5:], {}).of("val", "train").counts["copy"] == 5


def test_a_question_within_a_conversation_of_training_is_found_and_named_by_its_row():
    turns = ({"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Hello."})
    talk = Example("talk", (*turns, {"role": "user", "content": LEAKED[0].prompt}), LEAKED[0].completion)
    first = Example("first", ({"role": "user", "content": LEAKED[1].prompt}, *turns[1:], turns[0]), "Bye.")
    found = check_sets(LEAKED[:2], [*CLEAN, talk, first], {}).of("val", "train").found
    assert [(item.id, item.other, item.kind) for item in found] == [
        ("l0", "talk", "copy"),
        ("l1", "first", "copy"),
    ]


def test_a_problem_that_training_has_with_many_solutions_is_a_copy():
    sampled = [Example(f"s{i}", LEAKED[0].prompt, f"Solution {i}.") for i in range(60)]
    assert check_sets(LEAKED[:1], [*TRAIN[100:300], *sampled], {}).of("val", "train").counts == {"copy": 1}


def test_an_earlier_record_speaks_of_the_same_sets_alone():
    val = [*CLEAN, *LEAKED]
    first = check_sets(val, TRAIN, {"ood/x": LEAKED, "ood/y": CLEAN[:40]}, fingerprint="f")
    others = renamed(load_examples("facts:test[:6]").examples, "l")  # of the same ids
    again = check_sets(val, None, {"ood/x": others, "ood/y": CLEAN[:40]}, fingerprint="f", earlier=first)
    left_out = problems_left_out(again, [e.id for e in val])
    assert left_out == {"val": tuple(e.id for e in LEAKED)}
    said = said_of_contamination(again, left_out)
    assert any(line.startswith("warning: ood/x was not compared with training data") for line in said)
    assert check_sets(CLEAN, None, {}, fingerprint="g", earlier=first).not_checked
    changed = check_sets(val, TRAIN[50:], {}, fingerprint="f", earlier=first)
    assert "copy" not in changed.of("val", "train").counts


def test_problems_without_words_are_counted():
    found = check_sets([*CLEAN[:3], Example("none", "...", "!!!")], TRAIN, {}).of("val", "train")
    assert found.unread == 1 and "1 have no words to compare" in overlap_line(found)


def test_renumbered_problems_stay_unless_strict():
    val = renamed(load_examples("wordmath:val[:100]").examples, "w")
    found = check_sets(val, TRAIN, {})
    ids = [e.id for e in val]
    n_renumbered = found.of("val", "train").counts["renumbered"]
    assert n_renumbered > 30 and "val" not in problems_left_out(found, ids)
    strict = problems_left_out(found, ids, strict=True).get("val", ())
    assert len(strict) == (n_renumbered if len(ids) - n_renumbered >= 30 else 0)


def test_where_too_few_are_clean_none_is_left_out_and_a_verdict_is_refused():
    found = check_sets([*CLEAN[:29], *LEAKED], TRAIN, {})
    assert problems_left_out(found, [e.id for e in [*CLEAN[:29], *LEAKED]]) == {}
    assert "29 clean ones are left" in refusal(6, 35)


@pytest.mark.parametrize(("leaked", "measured", "refused"), [(0, 9, 0), (20, 100, 0), (21, 100, 1)])
def test_above_a_fifth_a_verdict_is_refused(leaked, measured, refused):
    assert (refusal(leaked, measured) is not None) == refused


def test_certain_followers_are_left_out_and_others_are_not():
    found = dataclasses.replace(
        check_sets(CLEAN, TRAIN, {}),
        followers=(Follower(id="v1", probability=0.999), Follower(id="v2", probability=0.7)),
        certain_from=0.99,
    )
    assert leaked_ids(found, "val", strict=False) == {"v1": "followed"}


def test_counts_are_said_worst_first():
    assert counts_text({"renumbered": 3, "copy": 1}) == "1 copy, 3 renumbered"
    assert counts_text({}) == "none"


def test_the_record_survives_the_disk_and_a_damaged_one_says_what_to_do(tmp_path):
    store = Store(tmp_path)
    assert read_contamination(store) is None
    found = check_sets([*CLEAN, *LEAKED], TRAIN, {"ood/x": CLEAN}, fingerprint="f")
    write_contamination(store, found)
    assert read_contamination(store) == found
    (tmp_path / "contamination.json").write_text('{"schema": "overmem.contamination/1", "val": 3}')
    with pytest.raises(ArtifactError, match="overmem audit"):
        read_contamination(store)
    assert Contamination.from_dict(found.to_dict()) == found
