"""The tool that wrote a run folder, and where its val and train may be: a guess, to be confirmed.

What the configuration of the training names comes first, then files beside the run whose names say what they
hold.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from overmem.auditing.resolve import read_recipe
from overmem.auditing.run_files.training_files import find_training_file
from overmem.parsing import ParseError, read_whole_text
from overmem.records import Run
from overmem.tasks.files import SUFFIXES

VAL_NAMES = ("val", "valid", "validation", "dev", "eval", "test")
TRAIN_NAMES = ("train", "training")
TOOLS = ("unsloth", "trl", "ms-swift", "swift", "axolotl", "llama-factory")
"""What the head of a model card says of the tool, among its tags."""


@dataclass(frozen=True, kw_only=True)
class FoundData:
    """What was found out about a run."""

    tool: str
    """That wrote the run; empty where nothing says."""
    told_by: str
    """The file that says so; empty likewise."""
    val: str | None
    """A source that may hold the problems to decide on."""
    train: str | None


def find_data(run: Run) -> FoundData:
    """Look for the tool, the validation data and the training data of a run; nothing is read but small files.

    Args:
        run: its folder and its checkpoints.
    """
    folder = run.training_folder
    recipe, file = read_recipe(folder), find_training_file(folder)
    val: str | None = None
    train: str | None = None
    if recipe is not None:
        tool, told_by = "overmem train", "recipe.yaml"
        val, train = recipe.data.val, recipe.data.train
    elif file is not None:
        tool, told_by = file.framework, file.path.name
        val, train = file.val_source, file.train_source
    else:
        tool, told_by = _tool_of_card(folder)
    return FoundData(
        tool=tool,
        told_by=told_by,
        val=val or next(_files_named(folder, VAL_NAMES), None),
        train=train or next(_files_named(folder, TRAIN_NAMES), None),
    )


def _files_named(folder: Path, names: tuple[str, ...]) -> Iterator[str]:
    """Files in, beside and above a run, and in the current folder, called by one of the names."""
    here = Path()
    places = [folder, folder / "data", folder.parent, folder.parent / "data", here, here / "data"]
    for name in names:
        for place in places:
            for suffix in SUFFIXES:
                if (path := place / f"{name}{suffix}").is_file():
                    yield str(path)


def _tool_of_card(folder: Path) -> tuple[str, str]:
    """The tool that a model card names in its head, else what a trainer's own state shows."""
    card = folder / "README.md"
    try:
        head = read_whole_text(card).partition("\n---\n")[0].lower()
    except (OSError, ParseError):
        head = ""
    for tool in TOOLS:
        if f"- {tool}\n" in f"{head}\n":
            return tool, card.name
    return "", ""
