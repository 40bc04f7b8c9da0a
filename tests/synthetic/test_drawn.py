"""What procedural tasks share: splits of different problems by their hash, and keys without wording."""

from __future__ import annotations

import random
from dataclasses import fields, replace
from itertools import combinations

import pytest

from overmem.errors import DataError
from overmem.synthetic.drawn import DrawnTask, another_order, hash_bucket
from overmem.synthetic.facts.splits import TASK as FACTS
from overmem.synthetic.facts.wording import ASKING, OWNING, UNSEEN_ASKING
from overmem.synthetic.knights.splits import TASK as KNIGHTS
from overmem.synthetic.pocketcode.splits import TASK as POCKETCODE
from overmem.synthetic.wordmath.splits import TASK as WORDMATH

TASKS = [WORDMATH, KNIGHTS, FACTS, POCKETCODE]


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_training_shares_no_bucket_with_what_it_is_judged_on(task):
    buckets = {
        name: {b for b in range(100) if split.low <= b < split.high} for name, split in task.splits.items()
    }
    alike = {name: held for name, held in buckets.items() if not name.startswith("ood_")}
    assert list(alike) == ["train", "val", "test"]
    assert all(not one & other for one, other in combinations(alike.values(), 2))
    # Operations that training never has tell their problems apart in any bucket.
    ood = [held for name, held in buckets.items() if name.startswith("ood_") and name != "ood_operations"]
    assert all(not held & other for held in ood for other in alike.values())


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_a_problem_is_found_again_in_the_bucket_of_its_split(task):
    for name, split in task.splits.items():
        for example in task.draw_examples(name, split, 5):
            problem = task.recall(example)
            assert (
                split.may_hold(task.key(problem)) and split.low <= hash_bucket(task.key(problem)) < split.high
            )
            assert task.recall(replace(example, prompt=example.prompt + " ")) is None


@pytest.mark.parametrize("task", [KNIGHTS, FACTS], ids=lambda task: task.name)
def test_a_key_does_not_depend_on_the_order_in_which_things_are_told(task):
    rng = random.Random(0)
    for example in task.draw_examples("val", task.splits["val"], 30):
        problem = task.recall(example)
        other = replace(problem, order=another_order(problem.order, rng))
        assert task.write_prompt(other) != example.prompt and task.key(other) == task.key(problem)


def test_a_key_of_facts_does_not_depend_on_wording_or_options():
    for example in FACTS.draw_examples("val", FACTS.splits["val"], 30):
        problem = FACTS.recall(example)
        places = [problem.names.index(name) for name in sorted(problem.names)]
        shuffled = replace(
            problem,
            names=tuple(problem.names[i] for i in places),
            beings=tuple(problem.beings[i] for i in places),
            owning=(OWNING[0],) * len(places),
            asking=next(
                text for text in UNSEEN_ASKING[problem.relation] if text not in ASKING[problem.relation]
            ),
            options=problem.options[::-1],
        )
        assert FACTS.write_prompt(shuffled) != example.prompt and FACTS.key(shuffled) == FACTS.key(problem)


def test_another_order_is_another_and_any():
    found = {another_order((1, 2, 3), random.Random(seed)) for seed in range(60)}
    assert found == {(1, 3, 2), (2, 1, 3), (2, 3, 1), (3, 1, 2), (3, 2, 1)}


def test_the_first_examples_of_a_draw_do_not_depend_on_how_many_follow():
    few, many = (KNIGHTS.draw_examples("val", KNIGHTS.splits["val"], size) for size in (10, 40))
    assert many[:10] == few and len({example.prompt for example in many}) == 40


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_an_unknown_split_is_named_with_the_known(task):
    with pytest.raises(
        DataError, match=rf"unknown {task.name} split[\s\S]*train, val, test[\s\S]*{task.name}:SPLIT"
    ):
        task.load_split("dev")


def test_a_split_is_drawn_once_and_whoever_shortens_it_shortens_it_for_nobody_else(monkeypatch):
    whole = WORDMATH.load_split("val")
    monkeypatch.setattr(DrawnTask, "draw_examples", None)
    again = WORDMATH.load_split("val")
    assert again == whole
    del again[5:]
    assert WORDMATH.load_split("val") == whole


def test_no_more_is_drawn_than_is_wanted_and_more_begins_with_what_was(monkeypatch):
    drawn = []

    class Counted(DrawnTask):
        def draw_examples(self, name, split, size):
            drawn.append(size)
            return super().draw_examples(name, split, size)

    task = Counted(
        **{f.name: getattr(KNIGHTS, f.name) for f in fields(KNIGHTS) if f.init} | {"sizes": {"val": 20}}
    )
    few, more, whole = (task.load_split("val", first) for first in (3, 9, None))
    assert [len(few), len(more), len(whole)] == [3, 9, 20]
    assert whole[:9] == more and more[:3] == few == task.load_split("val", 3)
    assert task.load_split("val", 21) == whole and drawn == [3, 9, 20]
