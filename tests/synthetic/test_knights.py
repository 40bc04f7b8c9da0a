"""Knights and knaves: one solution each, by a reader that shares no code with the maker.

Covers: overmem.synthetic.knights.local_perturbations, overmem.synthetic.knights.problems,
overmem.synthetic.knights.solutions, overmem.synthetic.knights.splits, overmem.synthetic.knights.wording
"""

from __future__ import annotations

import random
import re
from collections import Counter
from itertools import product

import pytest

from overmem.errors import DataError
from overmem.grading.grade import grade
from overmem.perturbations import perturb
from overmem.synthetic import knights
from overmem.synthetic.knights.splits import TASK
from tests.helpers.splits import first_examples

SAMPLE = 150
SAYING = (
    r"(?P<s>\w+) says(?: that|:) (?P<x>.+)",
    r"We get from (?P<s>\w+) that (?P<x>.+)",
    r"That (?P<x>.+) is what (?P<s>\w+) tells a friend",
    r"To a neighbor (?P<s>\w+) tells that (?P<x>.+)",
)


@pytest.fixture(scope="module")
def splits():
    """The first puzzles of each split."""
    return first_examples(TASK)


@pytest.fixture(scope="module")
def val():
    """All of val."""
    return knights.load_split("val")


def is_true(text, roles):
    """What a person would make of a statement in words, when people have these roles."""
    if found := re.fullmatch(r"if (.+) then (.+)", text):
        return not is_true(found[1], roles) or is_true(found[2], roles)
    if found := re.fullmatch(r"(.+) if and only if (.+)", text):
        return is_true(found[1], roles) is is_true(found[2], roles)
    if found := re.fullmatch(r"both (\w+) and (\w+) are (\w+)s", text):
        return roles[found[1]] == roles[found[2]] == found[3]
    if found := re.fullmatch(r"at least one of (\w+) and (\w+) is a (\w+)", text):
        return found[3] in (roles[found[1]], roles[found[2]])
    if found := re.fullmatch(r"(.+) or (.+)", text):
        return is_true(found[1], roles) or is_true(found[2], roles)
    if found := re.fullmatch(r"(.+ a \w+) and (.+)", text):
        return is_true(found[1], roles) and is_true(found[2], roles)
    name, role = re.fullmatch(r"(\w+) is a (knight|knave)", text).groups()
    return roles[name] == role


def read(prompt):
    """(who says what, whom is asked about) of a prompt."""
    story, asked = re.fullmatch(r"Question: (.+) What are (.+)\?\nAnswer:", prompt).groups()
    said = {}
    for sentence in filter(None, re.split(r"\. ?", story)):
        (match,) = [m for p in SAYING if (m := re.fullmatch(p, sentence))]
        said[match["s"]] = match["x"][0].lower() + match["x"][1:] if match["x"][:4] == "Both" else match["x"]
    return said, re.split(r", | and ", asked)


def solutions(prompt):
    said, asked = read(prompt)
    assert sorted(said) == sorted(asked)
    found = []
    for roles in product(("knight", "knave"), repeat=len(asked)):
        role_of = dict(zip(asked, roles, strict=True))
        if all(is_true(text, role_of) is (role_of[name] == "knight") for name, text in said.items()):
            found.append(", ".join(roles))
    return found


def test_every_puzzle_has_the_one_solution_that_is_given(splits):
    for examples in splits.values():
        for example in examples[:SAMPLE]:
            assert solutions(example.prompt) == [example.answer]
            assert grade(example.completion, example, knights.GRADER).correct
            wrong = example.completion.replace("knight", "x").replace("knave", "knight").replace("x", "knave")
            assert not grade(wrong, example, knights.GRADER).correct


def test_every_line_of_a_solution_is_so_and_is_a_reason(splits):
    for name in ("val", "ood_kinds"):
        for example in splits[name][:SAMPLE]:
            _, asked = read(example.prompt)
            roles = dict(zip(asked, example.answer.split(", "), strict=True))
            facts = re.findall(
                r"(\w+) (?:is|has to be) a (knight|knave)|makes (\w+) a (knight|knave)", example.completion
            )
            facts = [(a or c, b or d) for a, b, c, d in facts]
            assert facts and all(roles[who] == role for who, role in facts)
            assert {who for who, _ in facts} == set(asked)


def test_the_reasons_settle_what_was_said():
    both = knights.Statement("and", (knights.Leaf(0, True), knights.Leaf(1, False)))
    either = knights.Statement("or", (knights.Leaf(1, True), knights.Leaf(2, True)))
    assert knights.reasons(both, 0, (False, True)) == [(1,)]  # Ana is no knave, so the whole is false
    assert knights.reasons(both, 0, (True, False)) == []  # true only because of the speaker too
    assert knights.reasons(either, 0, (True, True, True)) == [(1,), (2,)]  # one is enough, either will do
    assert knights.reasons(either, 0, (False, False, False)) == [(1, 2)]


def canonical(prompt):
    said, _ = read(prompt)
    return frozenset((who, frozenset(re.split(r" (and|or) ", text))) for who, text in said.items())


def test_no_puzzle_is_in_two_splits_in_any_order_or_wording(splits):
    keys = [{canonical(e.prompt) for e in examples} for examples in splits.values()]
    assert sum(map(len, keys)) == len(set().union(*keys))
    assert all(len({e.prompt for e in examples}) == len(examples) for examples in splits.values())


def test_ood_splits_differ_in_the_way_they_say(splits):
    unseen = set(knights.UNSEEN_KINDS)
    assert {e.meta["n_people"] for e in splits["val"]} == {2, 3}
    assert {e.meta["n_people"] for e in splits["ood_people"]} == {4}
    assert not any(unseen & set(e.meta["kinds"]) for e in splits["train"])
    assert all(unseen & set(e.meta["kinds"]) for e in splits["ood_kinds"])
    assert not any("tells" in e.prompt for e in splits["train"])
    assert all("tells" in e.prompt for e in splits["ood_phrasing"])


def test_a_puzzle_has_many_solutions_and_answers_are_mixed(val):
    puzzle = knights.recall_puzzle(val[0])
    assert len({knights.write_solution(puzzle, random.Random(i)) for i in range(50)}) > 45
    (_, most), *_ = Counter(e.answer for e in val).most_common()
    assert most < 250  # of 1,000: what always giving one answer would score


def test_puzzles_are_the_same_every_time(splits, val):
    assert val[: len(splits["val"])] == splits["val"]
    assert len(val) == 1000 and TASK.sizes == {"train": 8000}
    with pytest.raises(DataError, match="ood_people"):
        knights.load_split("dev")


@pytest.mark.parametrize("variant", ["leaf", "statement"])
def test_a_local_change_has_its_own_one_solution(variant, splits):
    changed = 0
    for old in splits["val"][:SAMPLE]:
        new = perturb(old, variant, seed=0)
        if new is None:
            continue
        changed += 1
        assert solutions(new.prompt) == [new.answer] != [old.answer]
        assert grade(new.completion, new, knights.GRADER).correct and (new.id, new.meta) == (old.id, old.meta)
        (before, asked), (after, still_asked) = read(old.prompt), read(new.prompt)
        differ = [who for who in asked if before[who] != after[who]]
        assert len(differ) == 1 and asked == still_asked
        if variant == "leaf":
            words = zip(before[differ[0]].split(), after[differ[0]].split(), strict=True)
            assert 1 <= sum(a != b for a, b in words) <= 2  # a name, a role, or both
    assert changed >= (10 if variant == "leaf" else 40)
    assert perturb(splits["val"][0], "numbers", 0) is None


@pytest.mark.parametrize("variant", ["order", "rename"])
def test_the_answer_stays(variant, splits):
    for old in splits["val"][:SAMPLE]:
        new = perturb(old, variant, seed=0)
        assert new.prompt != old.prompt and solutions(new.prompt) == [old.answer] == [new.answer]
        said, names = read(new.prompt)
        assert (
            (said, names) == read(old.prompt) if variant == "order" else not {*names} & {*read(old.prompt)[1]}
        )
