"""Where a run folder names the model it started from."""

from __future__ import annotations

import json

import pytest
import yaml

from overmem.auditing.run_files.named_base import named_base
from overmem.records import Checkpoint, Run

CARD = "---\nlibrary_name: transformers\nbase_model: {name}\ntags:\n- sft\n---\n\n# Model\n"


def run(folder):
    last = folder / "checkpoint-10"
    last.mkdir(parents=True, exist_ok=True)
    return Run(path=folder, checkpoints=(Checkpoint(name="checkpoint-10", step=10, path=last, kind="full"),))


def write_config(folder, name):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", "_name_or_path": name}))


def test_nothing_is_named_where_nothing_says_it(tmp_path):
    assert named_base(run(tmp_path)) is None


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("README.md", CARD.format(name="org/base")),
        ("checkpoint-10/README.md", CARD.format(name="org/base")),
        ("checkpoint-10/config.json", json.dumps({"_name_or_path": "org/base"})),
        (
            "train.yaml",
            yaml.safe_dump({"model_name_or_path": "org/base", "stage": "sft", "template": "qwen"}),
        ),
        ("ax.yml", yaml.safe_dump({"base_model": "org/base", "datasets": [{"path": "d.jsonl"}]})),
        ("recipe.yaml", None),
    ],
)
def test_each_file_that_names_it_is_read(tmp_path, file, text):
    found = run(tmp_path)
    if text is None:
        file = "overmem_recipe.yaml"
        pytest.importorskip("overmem.recipe.schema")
        from overmem.recipe.schema import RECIPE_NAME

        file, text = (
            RECIPE_NAME,
            yaml.safe_dump(
                {"model": {"name": "org/base"}, "data": {"train": "t.jsonl", "val": "v.jsonl"}, "output": "o"}
            ),
        )
    (tmp_path / file).write_text(text)
    assert named_base(found) == "org/base"


def test_a_name_that_is_the_run_itself_names_nothing(tmp_path):
    found = run(tmp_path)
    write_config(tmp_path / "checkpoint-10", str(tmp_path / "checkpoint-10"))
    assert named_base(found) is None
    write_config(tmp_path / "checkpoint-10", str(tmp_path))
    assert named_base(found) is None


@pytest.mark.parametrize("text", ["{", "[1]", '{"_name_or_path": 7}', '{"_name_or_path": " "}', ""])
def test_a_damaged_configuration_names_nothing(tmp_path, text):
    found = run(tmp_path)
    (tmp_path / "checkpoint-10" / "config.json").write_text(text)
    assert named_base(found) is None
