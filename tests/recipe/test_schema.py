"""Recipes: what people write, checked and resolved.

Covers: overmem.recipe.methods, overmem.recipe.reading, overmem.strict_model
"""

import pytest
import yaml

from overmem.errors import OvermemError, RecipeError
from overmem.recipe.methods import lora_fields
from overmem.recipe.reading import BUNDLED, check_recipe, dump_recipe, load_recipe
from overmem.sweeping.config import load_sweep

GOOD = {"model": {"name": "organism"}, "data": {"train": "wordmath:train"}, "output": "x"}


def test_every_bundled_recipe_is_valid():
    names = sorted(path.stem for path in BUNDLED.glob("*.yaml"))
    assert {"demo", "organism-fast", "organism-healthy", "smollm2-gsm8k-cpu"} <= set(names)
    for name in names:
        load_sweep(name) if name.startswith("sweep-") else load_recipe(name)


def test_a_resolved_recipe_reads_back_the_same():
    recipe = load_recipe("organism-fast", {"seed": 3})
    assert check_recipe(yaml.safe_load(dump_recipe(recipe)), "again") == recipe


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"modle": {}}, r"modle[\s\S]*model, data, template"),
        ({"model": {"name": "x", "dtpye": "float32"}}, r"model\.dtpye[\s\S]*gguf_file"),
        ({"loss": "mse"}, "loss"),
        ({"data": {}}, r"data\.train"),
        ({"training": {"seed": 1}}, "top level"),
        ({"lora": {"r": 4}}, "method: lora"),
        ({"method": "dora", "lora": {"use_dora": False}}, "contradicts `method: dora`"),
        ({"method": "pissa", "lora": {"init_lora_weights": "olora"}}, "write `method: olora`"),
        ({"method": "lora", "lora": {"init_lora_weights": "corda"}}, "needs data"),
        ({"method": "lora", "lora_plus_ratio": 4}, "not lora_plus"),
        ({"method": "lora_plus", "lora_plus_ratio": 0.5}, "greater than or equal to 1"),
    ],
)
def test_mistakes_are_named_with_their_path(change, message):
    with pytest.raises(RecipeError, match=message):
        check_recipe(GOOD | change, "recipe.yaml")


def test_methods_are_presets_over_lora():
    def fields(method, **lora):
        return lora_fields(method, check_recipe(GOOD | {"method": method, "lora": lora}, "r").lora)

    assert fields("rslora", r=4) == {"use_rslora": True, "r": 4}
    assert fields("pissa", init_lora_weights="pissa_niter_4") == {"init_lora_weights": "pissa_niter_4"}
    assert fields("dora", use_rslora=True) == {"use_dora": True, "use_rslora": True}
    plus = check_recipe(GOOD | {"method": "lora_plus"}, "r")
    assert plus.lora_plus_ratio == 16
    with pytest.raises(RecipeError, match="lora_plus_ratio"):
        check_recipe(GOOD | {"method": "lora_plus", "lora_plus_ratio": 0}, "r")
    assert check_recipe(yaml.safe_load(dump_recipe(plus)), "again") == plus


def test_overrides_win_and_bad_ones_are_refused(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text(yaml.safe_dump(GOOD))
    recipe = load_recipe(str(path), {"training.learning_rate": 1e-3, "data.train": "y.jsonl"})
    assert recipe.training == {"learning_rate": 1e-3} and recipe.data.train == "y.jsonl"
    with pytest.raises(RecipeError, match="inside a value"):
        load_recipe(str(path), {"output.x": 1})


def test_a_number_that_yaml_takes_for_a_string_is_a_number(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text(
        yaml.safe_dump(GOOD).replace("training: {}\n", "")
        + "training: {learning_rate: 1e-4, run_name: '12', lr_scheduler_kwargs: {min_lr: 1E+2}}\n"
        + "method: lora\nlora: {lora_dropout: 5e-2}\n"
    )
    recipe = load_recipe(str(path))
    assert recipe.training["learning_rate"] == 1e-4 and recipe.training["run_name"] == "12"
    assert recipe.training["lr_scheduler_kwargs"] == {"min_lr": 100.0} and recipe.lora == {
        "lora_dropout": 0.05
    }


def test_no_recipe_lists_the_bundled():
    with pytest.raises(RecipeError, match="organism-fast"):
        load_recipe("nothing-like-it")


def test_recipes_turn_it_on_by_default_and_old_ones_still_load():
    written = {"model": {"name": "organism"}, "data": {"train": "wordmath:train"}, "output": "x"}
    recipe = check_recipe(written, "test")
    assert recipe.monitor.enabled and recipe.monitor.every == "epoch"
    off = check_recipe(written | {"monitor": False}, "test")
    assert not off.monitor.enabled and "enabled: false" in dump_recipe(off)
    assert check_recipe(written | {"monitor": {"every": 50, "answers": 40}}, "test").monitor.every == 50
    with pytest.raises(OvermemError, match=r"monitor\.evry[\s\S]*keep_checkpoints"):
        check_recipe(written | {"monitor": {"evry": 50}}, "test")
