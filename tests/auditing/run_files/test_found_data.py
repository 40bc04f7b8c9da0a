"""Which tool wrote a run, and where its data may be."""

import json
from pathlib import Path

import pytest
import yaml

from overmem.auditing.run_files.found_data import find_data
from overmem.records import Run


@pytest.fixture
def run(tmp_path, monkeypatch) -> Run:
    (tmp_path / "work" / "outputs").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "work")
    return Run(path=Path("outputs"), checkpoints=())


def test_a_recipe_names_both(run):
    recipe = {"model": {"name": "organism"}, "data": {"train": "t.jsonl", "val": "v.jsonl"}, "output": "o"}
    (run.path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    found = find_data(run)
    assert (found.tool, found.val, found.train) == ("overmem train", "v.jsonl", "t.jsonl")


def test_llamafactory_names_a_data_set_of_its_description(run):
    settings = {"model_name_or_path": "m", "stage": "sft", "template": "qwen", "dataset": "mine"}
    (run.path / "train.yaml").write_text(yaml.safe_dump(settings))
    assert find_data(run).train is None  # its description is not on this machine
    Path("data").mkdir()
    (Path("data") / "dataset_info.json").write_text(json.dumps({"mine": {"file_name": "mine.json"}}))
    assert (find_data(run).tool, find_data(run).train) == ("LLaMA-Factory", "data/dataset_info.json#mine")


def test_axolotl_names_a_file_or_a_hub_id(run):
    settings = {"base_model": "m", "datasets": [{"path": "org/set", "split": "train"}]}
    settings["test_datasets"] = [{"path": "json", "data_files": "held_out.jsonl"}]
    Path("held_out.jsonl").touch()
    (run.path / "axolotl.yaml").write_text(yaml.safe_dump(settings))
    found = find_data(run)
    assert (found.tool, found.train, found.val) == ("Axolotl", "org/set#train", "held_out.jsonl")
    settings["datasets"].append({"path": "org/other"})
    (run.path / "axolotl.yaml").write_text(yaml.safe_dump(settings))
    assert find_data(run).train is None  # two: which is asked


def test_a_model_card_names_the_tool_and_files_are_found_by_their_names(run):
    (run.path / "README.md").write_text("---\ntags:\n- trl\n- sft\n---\n# A model\n- unsloth\n")
    Path("test.jsonl").touch()
    (run.path / "valid.csv").touch()
    Path("data").mkdir()
    Path("data/train.parquet").touch()
    found = find_data(run)
    assert (found.tool, found.told_by) == ("trl", "README.md")
    assert found.val == "outputs/valid.csv"  # a name that says more comes first
    assert Path(found.train).resolve() == Path("data/train.parquet").resolve()


def test_where_nothing_says_anything_nothing_is_guessed(run):
    found = find_data(run)
    assert (found.tool, found.val, found.train) == ("", None, None)
