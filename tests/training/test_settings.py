"""`bf16: auto` in a recipe: only hardware that has it may get it."""

import pytest

from overmem.recipe.schema import load_recipe
from overmem.training.settings import sft_config


@pytest.mark.parametrize(
    ("written", "fast", "expected"),
    [({}, False, False), ({"training.bf16": "auto"}, True, True), ({"training.bf16": False}, True, False),
     ({"training.fp16": True, "training.use_cpu": True}, True, False)],
)  # fmt: skip
def test_a_recipe_leaves_the_choice_or_makes_it(hardware, written, fast, expected):
    hardware("cpu", capabilities=["avx512_bf16"] if fast else [])
    assert sft_config(load_recipe("organism-fast", {"output": "x", **written})).bf16 is expected
