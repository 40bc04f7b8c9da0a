"""Which model a fine-tune started from, as the files of its run folder name it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from overmem.auditing.resolve import read_recipe
from overmem.auditing.run_files.training_files import find_training_file
from overmem.boundary import real_path
from overmem.errors import OvermemError
from overmem.parsing import ParseError, read_json_or_empty, read_whole_text
from overmem.records import Run

_CARD = re.compile(r"\A---\s*\n(?:.*\n)*?base_model:[ \t]*(?P<name>[^\s\[\]{}#'\"]+)[ \t]*\n")
"""The base model in the head of a model card, where there is one."""


def named_base(run: Run) -> str | None:
    """Folder or hub id of the model that a run started from; None where no file names one.

    Looked at in this order: overmem's recipe; LLaMA-Factory's and Axolotl's configuration; the model card of
    the run or of a checkpoint; `_name_or_path` in a checkpoint's configuration. What an adapter names is
    found with the adapter.

    Args:
        run: its folder and its checkpoints.
    """
    own = {real_path(run.training_folder), *(real_path(checkpoint.path) for checkpoint in run.checkpoints)}
    return next((name for name in _names(run) if real_path(name) not in own), None)


def _names(run: Run) -> Iterator[str]:
    recipe = read_recipe(run.training_folder)
    if recipe is not None:
        from overmem.recipe.base_model import resolve_model

        try:
            yield resolve_model(recipe.model)
        except OvermemError:
            return
    training = find_training_file(run.training_folder)
    if training is not None and training.base_model is not None:
        yield training.base_model
    folders = [run.training_folder, *(checkpoint.path for checkpoint in run.checkpoints[-1:])]
    for folder in folders:
        if match := _CARD.match(_read(folder / "README.md")):
            yield match["name"]
    for folder in folders:
        if name := _name_or_path(folder / "config.json"):
            yield name


def _name_or_path(config: Path) -> str | None:
    name = read_json_or_empty(config).get("_name_or_path")
    return name if isinstance(name, str) and name.strip() else None


def _read(path: Path) -> str:
    """A small text file; empty where it cannot be read."""
    try:
        return read_whole_text(path)
    except (OSError, ParseError):
        return ""
