"""The cells of a sweep: which there are, and how they are called."""

import pytest

from overmem.errors import RecipeError
from overmem.recipe.reading import load_recipe
from overmem.sweeping.cells import make_cells, varied_keys
from overmem.sweeping.config import check_sweep, load_sweep
from tests.helpers.sweeps import RATE


def asked(**changes):
    written = {"recipe": "organism-fast", "output": "runs/s", "grid": {RATE: [1e-4, 2e-4]}}
    return check_sweep(written | changes, "s.yaml")


def test_a_wrong_cell_is_named_with_its_field():
    with pytest.raises(RecipeError, match=r"cell method=loraa[\s\S]*method: Input should be 'full', 'lora'"):
        make_cells(asked(grid={"method": ["full", "loraa"]}))
    with pytest.raises(RecipeError, match=r"same fine-tune[\s\S]*loss=nll and"):
        make_cells(asked(grid={}, cells=[{"loss": "nll"}, {"seed": 0}]))


def test_a_number_that_yaml_takes_for_a_string_is_a_number():
    cells = make_cells(asked(grid={RATE: ["1e-4", 2e-4]}))
    assert [cell.recipe.training["learning_rate"] for cell in cells] == [1e-4, 2e-4]
    assert [cell.name for cell in cells] == ["learning_rate=0.0001", "learning_rate=0.0002"]


def test_names_are_readable_stable_and_fit_for_a_folder():
    sweep = asked(
        grid={RATE: [1e-4, 2e-4], "seed": [0, 1]}, cells=[{"data.train": "wordmath:train[:400]"}, {}]
    )
    cells = make_cells(sweep)
    assert len(cells) == 8
    assert cells[0].name == "train=wordmath-train-400+learning_rate=0.0001+seed=0"
    assert cells[-1].name == "learning_rate=0.0002+seed=1" and cells[-1].group == "learning_rate=0.0002"
    assert cells[0].recipe.output == f"runs/s/{cells[0].name}"
    # A longer grid changes no name, even where a key had one value before.
    short = make_cells(asked(grid={RATE: [1e-4], "seed": [0]}))
    assert short[0].name in {
        cell.name for cell in make_cells(asked(grid={RATE: [1e-4, 2e-4], "seed": [0, 1]}))
    }
    assert varied_keys(cells) == ("data.train", RATE)
    assert cells[-1].value("data.train") == "wordmath:train[:1600]"
    # Values that look alike in a name are told apart; keys that end alike are written out.
    alike = make_cells(asked(grid={"data.train": ["a/b.jsonl", "a-b.jsonl"]}))
    assert len({cell.name for cell in alike}) == 2
    ends = make_cells(
        asked(grid={"template.kind": ["chat", "plain"], "lora.kind": [1]}, set={"method": "lora"})
    )
    assert ends[0].name == "lora.kind=1+template.kind=chat"


def test_what_one_cell_sets_inside_a_mapping_stays_with_it():
    shared = {"lora": {"r": 8, "lora_alpha": 16}}
    sweep = asked(grid={}, set=shared, cells=[{"method": "lora", "lora.r": 64}, {"method": "dora"}])
    ranks = [cell.recipe.lora["r"] for cell in make_cells(sweep)]
    assert ranks == [64, 8] and sweep.set["lora"] == {"r": 8, "lora_alpha": 16}


def test_the_bundled_sweeps_are_valid():
    cells = make_cells(load_sweep("sweep-organism"))
    assert len(cells) == 8 and {cell.recipe.seed for cell in cells} == {0, 1}
    cells = make_cells(load_sweep("sweep-methods"))
    adapters = {"lora", "dora", "rslora", "lora_plus", "olora", "pissa"}
    assert len(cells) == 30 and {cell.recipe.method for cell in cells} == adapters
    cells = make_cells(load_sweep("sweep-gsm8k"))
    assert len(cells) == 8 and {cell.recipe.method for cell in cells} == {"full", "lora"}
    assert {cell.recipe.training["num_train_epochs"] for cell in cells} == {10}
    cells, first = make_cells(load_sweep("sweep-pocketcode")), load_recipe("organism-pocketcode")
    assert {cell.recipe.seed for cell in cells} == set(range(5))
    assert {cell.recipe.model.name for cell in cells} == {f"{first.output}/checkpoint-1600"}
    known = r"no such sweep[\s\S]*one of: sweep-gsm8k, sweep-methods, sweep-organism, sweep-pocketcode"
    with pytest.raises(RecipeError, match=known):
        load_sweep("sweep-nothing")
