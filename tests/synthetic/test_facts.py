"""`facts`: each question has one right option, by a reader that shares no code with the maker.

Covers: overmem.synthetic.facts.local_perturbations, overmem.synthetic.facts.problems,
overmem.synthetic.facts.solutions, overmem.synthetic.facts.splits,
overmem.synthetic.facts.wording, overmem.synthetic.facts.world
"""

from __future__ import annotations

import random
import re
from collections import Counter

import pytest

from overmem.errors import DataError
from overmem.grading.grade import grade
from overmem.perturbations import perturb
from overmem.synthetic import facts
from overmem.synthetic.facts.splits import TASK
from tests.helpers.splits import first_examples

SAMPLE = 150
HAS = r"(\w+) (?:has|finds) a (\w+)\.|(\w+) gets a (\w+) from|hands a (\w+) to (\w+)\.|(\w+) takes a (\w+) up"
ASKS = (
    (r"(?:one|of them has|see) (?:that |what )?(?P<x>\w+s \w+)(?:\?|\. Who|, to who)", "does"),
    (r"of the kind of a (?P<x>\w+)\?|the kind that a (?P<y>\w+) is\?", "akin"),
    (r"(?:that is|them has) a (?P<x>\w+)\?", "is"),
)


@pytest.fixture(scope="module")
def splits():
    """The first questions of each split."""
    return first_examples(TASK)


@pytest.fixture(scope="module")
def val():
    """All of val."""
    return facts.load_split("val")


def read(prompt):
    """(who has what, relation, what is asked, options) of a prompt."""
    question, *options = prompt.removeprefix("Question: ").removesuffix("\nAnswer:").split("\n")
    owners = {}
    for a, b, c, d, e, f, g, h in re.findall(HAS, question):
        owners[a or c or f or g] = b or d or e or h
    found = [
        (m["x"] or m.groupdict().get("y"), relation) for p, relation in ASKS if (m := re.search(p, question))
    ]
    asked, relation = found[0]
    return owners, relation, asked, dict(re.fullmatch(r"\((\w)\) (\w+)", line).groups() for line in options)


def fits(being, relation, asked):
    line = [being]
    while line[-1] in facts.WORLD.parent:
        line.append(facts.WORLD.parent[line[-1]])
    if relation == "does":
        return any(facts.WORLD.deed[node] == asked for node in line)
    if relation == "is":
        return asked in line[1:]
    return being != asked and facts.WORLD.parent[being] == facts.WORLD.parent[asked]


def right_letters(prompt):
    owners, relation, asked, options = read(prompt)
    assert sorted(owners) == sorted(options.values()) and list(options) == list("ABCD")
    return [letter for letter, name in options.items() if fits(owners[name], relation, asked)]


def test_the_world_is_what_it_says():
    world = facts.WORLD
    assert len(set(world.deed.values())) == len(world.deed) == 33
    assert Counter(Counter(world.parent.values()).values()) == {4: 6, 2: 3}
    assert all(len(world.lineage(being)) <= 3 for being in world.deed)


def test_every_question_has_the_one_right_option_that_is_given(splits):
    for examples in splits.values():
        for example in examples[:SAMPLE]:
            assert right_letters(example.prompt) == [example.answer]
            assert grade(example.completion, example, facts.GRADER).correct


def test_every_fact_of_a_solution_is_so(splits):
    for examples in splits.values():
        for example in examples[:SAMPLE]:
            owners, *_ = read(example.prompt)
            told = re.findall(r"\b[Aa] (\w+) is a (\w+)", example.completion)
            assert all(facts.WORLD.parent[low] == high for low, high in told)
            done = re.findall(r"\b[Aa] (\w{3}) ((?!is|at)\w+s \w+)\b", example.completion)
            assert all(facts.WORLD.deed[being] == deed for being, deed in done)
            assert len(told) + len(done) == example.meta["hops"]
            held = re.findall(
                r"(\w+) (?:that )?has a (\w+)|one of (\w+) is a (\w+)|hat (\w+) is of (\w+)",
                example.completion,
            )
            ((a, b, c, d, e, f),) = held
            name = (
                a
                if a not in ("that", "")
                else (c or f or re.search(r"it is (\w+) that has", example.completion, re.I)[1])
            )
            assert owners[name] == (b or d or e)


def canonical(prompt):
    owners, relation, asked, _ = read(prompt)
    return relation, asked, frozenset(owners.items())


def test_no_question_is_in_two_splits_in_any_order_or_wording(splits):
    keys = [{canonical(e.prompt) for e in examples} for examples in splits.values()]
    assert [len(key) for key in keys] == [len(examples) for examples in splits.values()]
    assert sum(map(len, keys)) == len(set().union(*keys))


def test_ood_splits_differ_in_what_they_ask(splits):
    assert {e.meta["hops"] for e in splits["train"]} == {1, 2}
    assert {e.meta["hops"] for e in splits["ood_hops"]} == {3}
    assert {e.meta["relation"] for e in splits["train"]} == {"does"}
    assert {e.meta["relation"] for e in splits["ood_relations"]} == {"is", "akin"}
    assert not any("neighbor" in e.prompt or "up the road" in e.prompt for e in splits["train"])
    assert all("neighbor" in e.prompt or "up the road" in e.prompt for e in splits["ood_phrasing"])


def test_a_model_can_learn_the_whole_world_from_the_first_1600(splits):
    # Each fact is told by some solution, or OOD questions would ask for what nobody said.
    told = " ".join(e.completion.lower() for e in splits["train"][:1600])
    links = [f"a {low} is a {high}" for low, high in facts.WORLD.parent.items()]
    deeds = [f"a {being} {deed}" for being, deed in facts.WORLD.deed.items()]
    assert all(told.count(fact) >= 10 for fact in (*links, *deeds))


def test_a_question_has_many_solutions_and_letters_are_even(val):
    problem = facts.recall_problem(val[0])
    assert len({facts.write_solution(problem, random.Random(i)) for i in range(50)}) > 45
    letters = Counter(e.answer for e in val)
    assert set(letters) == set("ABCD") and max(letters.values()) < 300


def test_questions_are_the_same_every_time(splits, val):
    assert val[: len(splits["val"])] == splits["val"]
    assert len(val) == 1000 and TASK.sizes == {"train": 8000}
    with pytest.raises(DataError, match="ood_relations"):
        facts.load_split("dev")


def test_a_swap_changes_the_answer(splits):
    changed = 0
    for old in splits["val"][:SAMPLE]:
        if (new := perturb(old, "leaf", seed=0)) is None:
            continue
        changed += 1
        assert right_letters(new.prompt) == [new.answer] != [old.answer]
        assert grade(new.completion, new, "choice").correct
        before, after = read(old.prompt), read(new.prompt)
        assert before[1:] == after[1:] and sum(before[0][who] != after[0][who] for who in before[0]) == 2
    assert changed > 90


@pytest.mark.parametrize("variant", ["order", "rename", "options"])
def test_the_right_person_stays(variant, splits):
    for old in splits["val"][:SAMPLE]:
        new = perturb(old, variant, seed=0)
        assert new.prompt != old.prompt and right_letters(new.prompt) == [new.answer]
        assert grade(new.completion, new, "choice").correct
        assert (new.answer == old.answer) is (variant != "options")
        if variant != "rename":
            assert canonical(new.prompt) == canonical(old.prompt)
