"""Halves of the problems are disjoint, whole, and never part what stands for one another."""

from __future__ import annotations

from overmem.artifacts.rows import subset
from overmem.auditing.problem_sets.halves import half_of


def test_halves_are_disjoint_whole_and_leave_some_of_any_subset_on_either_side():
    ids = [f"p{i}" for i in range(101)]
    prompts = {name: f"What is {name}?" for name in ids}
    search, confirm = half_of(prompts, "search", 0), half_of(prompts, "confirm", 0)
    assert search | confirm == set(ids) and not search & confirm
    assert half_of(dict(reversed(prompts.items())), "search", 0) == search != half_of(prompts, "search", 1)
    few = {ids[i] for i in subset(ids, 40, 0)}
    assert 8 < len(few & search) < 32


def test_the_same_problem_under_two_ids_is_never_in_both_halves():
    prompts = {f"{copy}{i}": f"What is {i}?" for i in range(40) for copy in "ab"}
    search = half_of(prompts, "search", 0)
    assert len(search) == 40 and all((f"a{i}" in search) == (f"b{i}" in search) for i in range(40))


def test_a_group_falls_into_one_half_also_by_way_of_a_shared_prompt():
    prompts = {f"{i}": f"prompt {i - i % 2}" for i in range(60)}
    groups = {f"{i}": f"group {i // 3}" for i in range(0, 60, 2)}
    search, confirm = (half_of(prompts, half, 0, groups) for half in ("search", "confirm"))
    assert search | confirm == prompts.keys() and not search & confirm and search and confirm
    for half in (search, confirm):
        texts, labels = {prompts[i] for i in half}, {groups[i] for i in half if i in groups}
        other = prompts.keys() - half
        assert not texts & {prompts[i] for i in other}
        assert not labels & {groups[i] for i in other if i in groups}
    turned = dict(reversed(prompts.items()))
    assert half_of(turned, "search", 0, dict(reversed(groups.items()))) == search
    assert half_of(prompts, "search", 0, {}) == half_of(prompts, "search", 0)
