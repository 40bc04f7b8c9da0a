"""Open a run: its checkpoints in the order in which they were saved, and why others are left out.

The step of a checkpoint is `global_step` of its trainer state, else the number in its name. A model without
a number (`best`, `final`, one at the root) is placed by its trainer state or by the weights that it shares
with a numbered one, else after the last. Two folders of one step are settled here, before any work.
"""

from __future__ import annotations

import filecmp
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from overmem.boundary import reason
from overmem.checkpoints.folders import StepFolder, models_below
from overmem.checkpoints.layouts import FINAL, find_folders
from overmem.checkpoints.reading import (
    ADAPTER_CONFIG,
    MAX_STEP,
    read_checkpoint,
    read_trainer_state,
    stored_weights,
)
from overmem.errors import CheckpointError, NoCheckpointError, RunError
from overmem.keywords import names_its_keywords
from overmem.parsing import finite_number, read_json_or_empty
from overmem.records import Checkpoint, Run


@names_its_keywords
def open_run(path: str | Path, *, allow_pickle: bool = False, checkpoints_glob: str | None = None) -> Run:
    """Discover and order the checkpoints of a run folder.

    A checkpoint that cannot be read (truncated file, missing shard) is named in `Run.skipped` and
    the others are kept. A model without a number is left out if a numbered
    checkpoint has the same weights.

    Args:
        path: run directory with `checkpoint-<step>` folders, a final model at its root, or both; the layouts
            of other frameworks are in `overmem.checkpoints.layouts`.
        allow_pickle: also accept `.bin` weights, which can run code when loaded.
        checkpoints_glob: pattern of the folders that are checkpoints, relative to `path`.

    Raises:
        RunError: the folder does not exist or holds no readable checkpoint, several runs, or two different
            checkpoints of one step.
    """
    root = Path(path)
    if not root.is_dir():
        raise RunError("the run folder does not exist", got=root, next_step="check the path")
    layout = find_folders(root, checkpoints_glob)
    found: list[tuple[StepFolder, Checkpoint]] = []
    skipped = dict(layout.left_out)
    for folder in layout.folders:
        try:
            read = read_checkpoint(folder.path, allow_pickle=allow_pickle)
        except CheckpointError as error:
            skipped[folder.name] = str(error)
        except OSError as error:
            skipped[folder.name] = f"{folder.name} cannot be read ({reason(error)})"
        else:
            found.append((folder, replace(read, name=folder.name)))
    if not found:
        raise _no_checkpoints(root, skipped)
    home = None if layout.home == root else layout.home
    return Run(path=root, home=home, checkpoints=_ordered(found, skipped), skipped=skipped)


def _ordered(
    found: Sequence[tuple[StepFolder, Checkpoint]], skipped: dict[str, str]
) -> tuple[Checkpoint, ...]:
    """By step, each weights once; see `open_run`."""
    numbered = _distinct(_steps(found), skipped)
    for checkpoint in (c for folder, c in found if folder.number is None):
        _place(checkpoint, numbered, skipped)
    return tuple(numbered)


def _steps(found: Sequence[tuple[StepFolder, Checkpoint]]) -> list[Checkpoint]:
    """Checkpoints with a number in their names, with their steps, by step.

    Raises:
        RunError: some are numbered by epoch and others by step.
    """
    numbered = [(folder, checkpoint) for folder, checkpoint in found if folder.number is not None]
    states = {folder.name: _state(folder) for folder, _ in numbered}
    noted = {name: step for name, state in states.items() if (step := _step_of(state)) is not None}
    by_state = len(noted) == len(numbered)
    units = {folder.unit for folder, _ in numbered}
    if len(units) > 1 and not by_state:
        names = {unit: next(f.name for f, _ in numbered if f.unit == unit) for unit in units}
        raise RunError(
            "some checkpoints are numbered by step and others by epoch, and nothing says which came first",
            got=f"{names['step']}, {names['epoch']}",
            expected="one kind of number, or a trainer_state.json in each",
            next_step="take those of one kind: --checkpoints-glob 'step*'",
        )
    repeated = by_state and _repeats(noted.values()) and not _repeats(f.number for f, _ in numbered)
    taken = {} if repeated or (not by_state and units == {"epoch"}) else noted
    # Epochs, and the saves that Accelerate numbers, are counted from 0, which is none of an untrained model.
    counted = units == {"epoch"} or all(folder.name.startswith("checkpoint_") for folder, _ in numbered)
    first = int(counted and any(folder.number == 0 for folder, _ in numbered))
    steps = []
    for folder, checkpoint in numbered:
        number = (folder.number or 0) + first
        epoch = finite_number(states[folder.name].get("epoch"))
        if epoch is None and folder.unit == "epoch":
            epoch = float(number)
        steps.append(replace(checkpoint, step=taken.get(folder.name, number), epoch=epoch))
    return sorted(steps, key=lambda checkpoint: (checkpoint.step, checkpoint.name))


def _distinct(steps: Sequence[Checkpoint], skipped: dict[str, str]) -> list[Checkpoint]:
    """Checkpoints of which no two have one step.

    Raises:
        RunError: two of one step hold different weights.
    """
    kept: list[Checkpoint] = []
    for checkpoint in steps:
        if not kept or kept[-1].step != checkpoint.step:
            kept.append(checkpoint)
        elif _same_weights(kept[-1], checkpoint):
            skipped[checkpoint.name] = f"it holds the weights of {kept[-1].name}, which is measured"
        else:
            raise RunError(
                f"two checkpoints of step {checkpoint.step} hold different weights",
                got=f"{kept[-1].name} ({kept[-1].path}), {checkpoint.name} ({checkpoint.path})",
                expected="one checkpoint a step",
                next_step="move one of them away, or name those of one run with --checkpoints-glob 'PATTERN'",
            )
    return kept


def _place(model: Checkpoint, numbered: list[Checkpoint], skipped: dict[str, str]) -> None:
    """Put a model without a number among those with one, or leave it out as one of them again.

    Under `load_best_model_at_end` the weights at the root are often those of an early checkpoint; `skipped`
    then says of which.
    """
    step = _step_of(read_trainer_state(model.path))
    at = next((c for c in numbered if c.step == step or c.path.samefile(model.path)), None)
    twin = at or next((c for c in reversed(numbered) if _same_weights(c, model)), None)
    if twin is None:
        # Never 0, which would say that it is untrained.
        last = max((c.step for c in numbered), default=0)
        numbered.append(replace(model, step=last + 1 if step is None else step))
        numbered.sort(key=lambda checkpoint: checkpoint.step)
    elif at is not None and model.name != FINAL and not model.path.samefile(at.path):
        skipped[model.name] = f"it is of step {at.step} as {at.name}, which is measured"
    elif at is None and (twin != numbered[-1] or model.name != FINAL):
        skipped[model.name] = f"it holds the weights of {twin.name}, which is measured"


def _state(folder: StepFolder) -> Mapping[str, Any]:
    """The trainer state beside the weights, else that of the folder above them that is the checkpoint."""
    return read_trainer_state(folder.path) or read_trainer_state(folder.folder)


def _step_of(state: Mapping[str, Any]) -> int | None:
    step = finite_number(state.get("global_step"))
    return int(step) if step is not None and 0 <= step <= MAX_STEP else None


def _repeats(numbers: Any) -> bool:
    return any(n > 1 for n in Counter(numbers).values())


def _same_weights(one: Checkpoint, other: Checkpoint) -> bool:
    """Whether two checkpoints hold the same bytes; files of one size are read up to the first difference."""
    if one.kind != other.kind:
        return False
    if one.kind == "adapter" and _adapter_settings(one.path) != _adapter_settings(other.path):
        return False
    ours, theirs = (stored_weights(checkpoint.path) for checkpoint in (one, other))
    names, others = ([(file.name, file.stat().st_size) for file in files] for files in (ours, theirs))
    return names == others and all(
        a.samefile(b) or filecmp.cmp(a, b, shallow=False) for a, b in zip(ours, theirs, strict=True)
    )


def _adapter_settings(folder: Path) -> dict[str, Any]:
    """An adapter's configuration; PEFT writes its sets of modules as lists in no fixed order."""
    found = read_json_or_empty(folder / ADAPTER_CONFIG)
    return {
        key: sorted(map(str, value)) if isinstance(value, list) else value for key, value in found.items()
    }


def _no_checkpoints(root: Path, skipped: Mapping[str, str]) -> RunError:
    if skipped:
        details = "\n".join(f"  - {name}: {why}" for name, why in skipped.items())
        return NoCheckpointError(
            f"no checkpoint in {root} can be read\n{details}",
            next_step="mend what is said of each, and call the same command again",
        )
    if models := models_below(root):
        return NoCheckpointError(
            f"no checkpoints in {root}, only models without a step",
            got=", ".join(str(model.relative_to(root)) for model in models[:8]),
            expected="checkpoint-<step>/ folders with *.safetensors, or a model at the root",
            next_step=f"name one of them, such as {models[0]}",
        )
    return NoCheckpointError(
        f"no checkpoints in {root}",
        got=", ".join(sorted(child.name for child in root.iterdir())[:8]) or "an empty folder",
        expected="checkpoint-<step>/ folders with *.safetensors, or a model at the root",
        next_step="point at the Trainer's output_dir (train with save_strategy='epoch' or 'steps'), or say "
        "how its folders are called: --checkpoints-glob 'my-*'",
    )
