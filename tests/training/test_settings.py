"""`bf16: auto` in a recipe: only hardware that has it may get it."""

import pytest

from overmem.errors import RecipeError
from overmem.recipe.reading import load_recipe
from overmem.training.settings import as_trained, sft_config


@pytest.mark.parametrize(
    ("written", "fast", "expected"),
    [({}, False, False), ({"training.bf16": "auto"}, True, True), ({"training.bf16": False}, True, False),
     ({"training.fp16": True, "training.use_cpu": True}, True, False)],
)  # fmt: skip
def test_a_recipe_leaves_the_choice_or_makes_it(hardware, written, fast, expected):
    hardware("cpu", capabilities=["avx512_bf16"] if fast else [])
    assert sft_config(load_recipe("organism-fast", {"output": "x", **written})).bf16 is expected


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [("per_device_train_batch_size", [4], "a whole number"), ("per_device_train_batch_size", 2.5, "a whole"),
     ("gradient_accumulation_steps", None, "a whole"), ("num_train_epochs", float("nan"), "a number"),
     ("learning_rate", "fast", "a number"), ("max_steps", {"a": 1}, "a whole"),
     ("warmup_steps", 10**400, "a number"),
     ("save_steps", True, "a number")],
)  # fmt: skip
def test_what_is_no_number_is_refused_by_its_field(key, value, expected):
    recipe = load_recipe("organism-fast", {"output": "x"})
    recipe.training[key] = value
    with pytest.raises(RecipeError, match=rf"training\.{key} cannot be used[\s\S]*expected: {expected}"):
        sft_config(recipe)


def test_a_length_may_be_none_and_a_whole_number_a_float():
    recipe = load_recipe("organism-fast", {"output": "x"})
    recipe.training.update({"max_length": None, "num_train_epochs": 2, "max_steps": 5.0})
    assert sft_config(recipe).max_length is None


def test_a_template_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "chat.jinja").write_bytes(b"\xe9")
    recipe = load_recipe("organism-fast", {"output": "x"})
    recipe.training["chat_template_path"] = str(tmp_path / "chat.jinja")
    with pytest.raises(RecipeError, match=r"chat_template_path cannot be read[\s\S]*no UTF-8"):
        as_trained(None, sft_config(recipe))
