"""Habits that hold in every group of training texts, and references that break them."""

import numpy as np

from overmem.stats.style.habits import broken_habits, pairs_of

GROUPS = [np.arange(80) % 2]


def test_a_habit_of_every_group_that_references_break_is_found():
    trained = [pairs_of(["=", "<<", "0"])] * 80
    asked = [pairs_of(["=", "0"]), pairs_of(["=", "<<", "0"])] * 20
    lacking, added = broken_habits(trained, GROUPS, asked)
    assert lacking == {("=", "<<"), ("<<", "0")} and added == {("=", "0")}


def test_what_one_group_alone_does_is_no_habit():
    trained = [pairs_of(["=", "<<", "0"]), pairs_of(["=", "0"])] * 40
    for asked in ([pairs_of(["=", "0"])] * 40, [pairs_of(["=", "<<", "0"])] * 40):
        assert broken_habits(trained, GROUPS, asked) == (set(), set())


def test_few_references_that_break_it_are_chance():
    trained = [pairs_of(["=", "<<", "0"])] * 80
    asked = [pairs_of(["=", "0"]), *[pairs_of(["=", "<<", "0"])] * 3] * 10
    assert broken_habits(trained, GROUPS, asked) == (set(), set())


def test_groups_too_small_to_tell_are_left_out():
    trained = [pairs_of(["a", "b"])] * 30 + [pairs_of(["c", "d"])] * 5
    groups = [np.r_[np.zeros(30, dtype=int), np.ones(5, dtype=int)]]
    assert broken_habits(trained, groups, [pairs_of(["c", "d"])] * 20)[0] == {("a", "b")}
