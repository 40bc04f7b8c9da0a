"""Whether a run folder may be used, and the checkpoint that training goes on from."""

from __future__ import annotations

import re
from pathlib import Path

from transformers import TrainerState

from overmem.artifacts.files import check_folder
from overmem.boundary import library_call
from overmem.checkpoints import check_safetensors, has_weights, read_trainer_state, weight_files
from overmem.errors import CheckpointError, RunError
from overmem.parsing import finite_number
from overmem.recipe.reading import load_recipe
from overmem.recipe.schema import RECIPE_NAME, Recipe


def check_output(recipe: Recipe, *, resume: bool) -> Path | None:
    """The checkpoint to continue from, if any.

    Raises:
        StorageError: the run folder can be neither made nor written into.
        RunError: it is in use, or is that of another recipe, or cannot be continued.
        CheckpointError: the checkpoint to continue from is damaged.
    """
    output = Path(recipe.output)
    _check_name(recipe.output)
    check_folder(output)
    newest = newest_checkpoint(output)
    if newest is None and has_weights(output):
        raise RunError(
            "the output folder holds a model, which would count as this run's last checkpoint",
            got=output,
            next_step="pass --out for another folder",
        )
    if newest is not None and not resume:
        raise RunError(
            "the output folder already holds checkpoints",
            got=newest,
            next_step="pass --resume to continue that run, or --out for another folder",
        )
    if newest is None:
        return None
    _check_same_recipe(output, recipe)
    if not is_trained(output):
        _check_resumable(newest)
    return newest


def _check_name(output: str) -> None:
    """Refuse a name under which the libraries that save weights cannot write."""
    try:
        output.encode()
    except UnicodeEncodeError:
        output += "\0"
    if "\0" in output:
        raise RunError(
            "the name of the output folder is no text in UTF-8",
            got=ascii(output.rstrip("\0")),
            next_step="pass --out for another folder",
        )


def _check_resumable(checkpoint: Path) -> None:
    """Refuse to go on from what is damaged, or with an optimizer and a learning rate that begin anew."""
    if not has_optimizer(checkpoint):
        raise RunError(
            "the run cannot be continued: its newest checkpoint has no optimizer",
            got=checkpoint,
            expected="a checkpoint saved with its optimizer (training.save_only_model: false)",
            next_step="audit the run as it is, or train anew with --out for another folder",
        )
    with library_call(f"{checkpoint}/trainer_state.json cannot be read", next_step=f"delete {checkpoint}"):
        TrainerState.load_from_json(str(checkpoint / "trainer_state.json"))
    try:
        for file in weight_files(checkpoint):
            check_safetensors(file)
    except CheckpointError as error:
        raise CheckpointError(
            f"the run cannot be continued: {error.what}",
            got=error.got,
            expected=error.expected,
            next_step=f"delete {checkpoint} to continue from the one before",
        ) from None


def _check_same_recipe(output: Path, recipe: Recipe) -> None:
    saved = output / RECIPE_NAME
    if saved.is_file() and not same_recipe(load_recipe(str(saved)), recipe):
        raise RunError(
            "the output folder belongs to a run of another recipe",
            got=saved,
            next_step="pass --out for another folder, or delete that one",
        )


def same_recipe(one: Recipe, other: Recipe) -> bool:
    """Whether two recipes make the same run, wherever its folder lies."""
    return one == other.model_copy(update={"output": one.output})


def newest_checkpoint(output: Path) -> Path | None:
    """The newest checkpoint of training, whole as far as its state tells, which is written last."""
    found = [
        (int(match.group(1)), folder)
        for folder in output.glob("checkpoint-*")
        if (match := re.fullmatch(r"checkpoint-(\d+)", folder.name)) and read_trainer_state(folder)
    ]
    return max((item for item in found if item[0] > 0), default=(0, None))[1]


def is_trained(output: Path) -> bool:
    """Whether the newest whole checkpoint is that of the last step."""
    newest = newest_checkpoint(output)
    state = {} if newest is None else read_trainer_state(newest)
    most, done = (finite_number(state.get(name)) for name in ("max_steps", "global_step"))
    return most is not None and done is not None and 0 < most <= done


def has_optimizer(checkpoint: Path) -> bool:
    """Whether training can go on from a checkpoint as if it had not been stopped."""
    return any(checkpoint.glob("optimizer*")) or any(checkpoint.glob("global_step*"))
