"""Measures that are made of others."""

import pytest

from overmem.stats.measures import average_measure, difference_measure
from tests.stats.test_paired import measure


def test_an_average_rests_on_its_smallest_part_and_a_difference_on_its_smaller_side():
    few, many = measure([1, 0, 1]), measure([1, 0, 1, 1, 0], "train")
    assert average_measure("a", "higher", [many, few]).problems == 3
    gap = difference_measure("g", "lower", many, few)
    assert gap.problems == 3 and gap.value() == pytest.approx(3 / 5 - 2 / 3)
