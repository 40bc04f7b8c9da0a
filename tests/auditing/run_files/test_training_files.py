"""Configurations that other frameworks leave in a run folder."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from overmem.auditing.resolve import resolve_template
from overmem.auditing.run_files.training_files import find_training_file
from overmem.errors import RunError
from overmem.records import Run

LLAMAFACTORY = """
model_name_or_path: Qwen/Qwen3-4B
stage: sft
template: qwen3
dataset: alpaca_en_demo, identity
cutoff_len: 2048
"""
AXOLOTL = """
base_model: Qwen/Qwen3-4B
datasets:
  - path: mhenrichsen/alpaca_2k_test
    type: alpaca
dataset_prepared_path: last_run_prepared
sequence_len: 4096
"""
CARD = (
    "# run\n<details><summary>See axolotl config</summary>\n\naxolotl version: `0.19.0`\n```yaml\n"
    + AXOLOTL
    + "\n```\n\n</details>\n"
)


@pytest.mark.parametrize(
    ("name", "text", "framework", "template", "cutoff", "data", "prepared"),
    [
        (
            "training_args.yaml",
            LLAMAFACTORY,
            "LLaMA-Factory",
            "llamafactory:qwen3",
            2048,
            ("alpaca_en_demo", "identity"),
            None,
        ),
        (
            "README.md",
            CARD,
            "Axolotl",
            "axolotl:CONFIG",
            4096,
            ("mhenrichsen/alpaca_2k_test",),
            "last_run_prepared",
        ),
        (
            "config.yml",
            AXOLOTL,
            "Axolotl",
            "axolotl:{folder}/config.yml",
            4096,
            ("mhenrichsen/alpaca_2k_test",),
            "last_run_prepared",
        ),
    ],
)
def test_template_data_and_cutoff_are_read(
    tmp_path: Path,
    name: str,
    text: str,
    framework: str,
    template: str,
    cutoff: int,
    data: tuple[str, ...],
    prepared: str,
) -> None:
    (tmp_path / name).write_text(text)
    found = find_training_file(tmp_path)
    assert found is not None
    assert (found.framework, found.template) == (framework, template.format(folder=tmp_path))
    assert (found.max_length, found.data, found.prepared) == (cutoff, data, prepared)
    assert framework in str(found) and str(cutoff) in str(found)


def test_the_cutoff_is_taken_over_and_the_code_is_not(tmp_path: Path) -> None:
    (tmp_path / "training_args.yaml").write_text(LLAMAFACTORY)
    run = Run(path=tmp_path, checkpoints=())
    template = resolve_template(run, {})
    assert (template.max_length, template.kind) == (2048, "auto")
    assert resolve_template(run, {"max_length": 99}).max_length == 99


@pytest.mark.parametrize(
    "text", ["- a\n- b", "base_model: x", "\x00", "template: [", "model_name_or_path: x\nstage: sft"]
)
def test_other_yaml_is_left_alone(tmp_path: Path, text: str) -> None:
    (tmp_path / "some.yaml").write_text(text)
    (tmp_path / "README.md").write_text("# A model")
    assert find_training_file(tmp_path) is None


@pytest.mark.parametrize("kind", ["python:module:function", "axolotl:config.yaml", "llamafactory:qwen3"])
def test_code_that_only_a_recipe_in_the_folder_names_is_not_run(tmp_path: Path, kind: str) -> None:
    recipe = {"model": {"name": "m"}, "data": {"train": "t.jsonl"}, "output": "o", "template": {"kind": kind}}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    run = Run(path=tmp_path, checkpoints=())
    with pytest.raises(RunError, match="only if you allow it yourself"):
        resolve_template(run, {})
    assert resolve_template(run, {"kind": kind}).kind == kind
