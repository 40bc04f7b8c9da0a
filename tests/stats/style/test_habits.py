"""Habits of training, and by how much references break them: by hand, and where parts of training differ."""

import numpy as np
import pytest

from overmem.stats.style.habits import ERRORS, LEAST, YARDSTICK, broken_habits, least_share, outside

LENGTH = np.full(400, 50)
HALVES = [np.arange(400) % 2]


def rows(*shares, n=400):
    """Rows of features, each in the first so many of every 20 rows (so alike in all parts)."""
    return np.column_stack([(np.arange(n) // 2 % 10 < share * 10) for share in shares]).astype(float)


def test_beyond_what_is_allowed_for_by_hand():
    found = broken_habits(rows(0, 1, 1, 0), LENGTH, rows(0.5, 0.2, 1, 0), LENGTH, HALVES)
    allowed = LEAST + ERRORS * np.sqrt(2 / 400)

    def arcsine(share):
        return 2 * np.arcsin(np.sqrt((share * 400 + 0.25) / 400.5))

    assert found[0] == pytest.approx(arcsine(0.5) - arcsine(0) - allowed)
    assert found[1] == pytest.approx(-(arcsine(1) - arcsine(0.2) - allowed))
    assert found[2:].tolist() == [0, 0]


def test_what_only_a_part_of_training_does_is_no_habit():
    assert not broken_habits(rows(0.2, 0.8), LENGTH, rows(1, 0), LENGTH, HALVES).any()
    assert (broken_habits(rows(0.1, 0.9), LENGTH, rows(1, 0), LENGTH, HALVES) != 0).all()


def test_what_training_does_against_a_habit_is_added_to_the_yardstick():
    trained = np.zeros((1000, 2))
    trained[:10, 0] = trained[:11, 1] = 1
    asked, length = np.tile([1.0, 1.0], (400, 1)), np.full(1000, 50)
    slips, more = broken_habits(trained, length, asked, LENGTH, [])
    off = 2 * np.arcsin(np.sqrt(0.011)) - 2 * np.arcsin(np.sqrt(0.01))
    assert slips - more == pytest.approx(off + YARDSTICK * 2 * np.arcsin(np.sqrt(0.011)), abs=0.01)


def test_parts_of_training_that_differ_are_the_yardstick():
    trained, asked = rows(0), rows(0.4)
    trained[:4] = 1  # a hundredth of training, all in one topic
    for size, is_seen in ((20, False), (14, True)):  # 14 texts are too few to tell
        topic = (np.arange(400) < size).astype(int)
        assert bool(broken_habits(trained, LENGTH, asked, LENGTH, [topic])[0] > 0) is is_seen


def test_parts_that_differ_by_chance_are_no_yardstick():
    trained, part = rows(0, n=1000), np.where(np.arange(1000) < 40, 0, 1 + np.arange(1000) % 2)
    trained[:1] = 1  # one of 40
    for groupings in ([], [part]):
        found = broken_habits(trained, np.full(1000, 50), rows(0.3), LENGTH, groupings)
        off = 2 * np.arcsin(np.sqrt(0.3 + 0.25 / 400)) - 2 * np.arcsin(np.sqrt(0.001))
        assert found[0] == pytest.approx(off - LEAST - ERRORS * np.sqrt(1 / 400 + 1 / 1000), abs=0.15)


def test_what_grows_with_the_length_is_expected_of_longer_references():
    length = np.repeat([10, 20, 40, 80], 100)
    trained = np.zeros((400, 1))
    trained[[*range(200, 205), *range(300, 335)]] = 1  # in none, none, 5% and 35%: in 10% of all
    for at, is_seen in ((80, False), (10, True)):
        found = broken_habits(trained, length, rows(0.9), np.full(400, at), [])
        assert bool(found[0] > 0) is is_seen


def test_at_lengths_that_training_lacks_more_is_asked_for():
    longer = np.full(400, 500)
    assert outside(LENGTH, longer) == 1 and outside(LENGTH, LENGTH) == 0
    alike, other = (broken_habits(rows(0), LENGTH, rows(0.5), at, HALVES)[0] for at in (LENGTH, longer))
    assert alike - other == pytest.approx(LEAST)


def test_the_least_share_is_where_it_begins_to_be_seen():
    n = 100_000
    length, size = np.full(n, 50), np.full(400, 50)
    least = least_share(length, size)
    for share, is_seen in ((least - 0.01, False), (least + 0.01, True)):
        asked = (np.arange(400) < share * 400).astype(float)[:, None]
        assert bool(broken_habits(np.zeros((n, 1)), length, asked, size, [])[0] > 0) is is_seen
    assert least_share(np.full(40, 50), np.full(40, 50)) > 0.3
    assert least_share(np.full(40, 5), np.full(40, 50)) <= 1
