"""What people write to have a sweep, and what is wrong with it, named by its path."""

import pytest

from overmem.errors import RecipeError
from tests.helpers.sweeps import RATE
from tests.sweeping.test_cells import asked


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"grid": {}}, "nothing varies"),
        ({"grid": {RATE: []}}, rf"grid\.{RATE}: no values"),
        ({"girds": {}}, r"girds[\s\S]*keys: recipe, output, set, grid"),
        ({"grid": {"output": ["a"]}}, r"grid\.output"),
        ({"set": {RATE: 1}}, rf"{RATE}: is in (grid|set) too"),
        ({"cells": [{"loss": "mar"}, {RATE: 1}]}, rf"cells\.1\.{RATE}: is in grid too"),
        ({"audit": {"axis": ["ood"]}}, r"audit: axis"),
        ({"audit": {"limit": "many"}}, r"audit: limit"),
        ({"audit": {"axes": ["speed"]}}, r"unknown axis[\s\S]*speed"),
        ({"audit": {"until_decided": True}}, r"audit\.until_decided"),
        ({"audit": {"engine": "openai:http://x"}}, r"audit\.engine"),
        ({"rule": {"perplexity_ratio": 0.9}}, r"rule\.perplexity_ratio"),
    ],
)
def test_what_is_wrong_is_named_by_its_path(changes, message):
    with pytest.raises(RecipeError, match=message):
        asked(**changes)
