"""Where frameworks put the checkpoints of a run: the folders of one, each with its number, found by name.

The run lies in the folder that is named, or somewhere below it: ms-swift's `v0-20250101-120000`, a
`checkpoints/`, the snapshot of a hub cache. The weights of a checkpoint lie in its folder, or below it:
verl's `actor/huggingface`, PEFT's folder of an adapter. `--checkpoints-glob` finds what has other names.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from overmem.checkpoints.folders import (
    DEEPEST,
    Layout,
    StepFolder,
    below,
    children_of,
    is_model_folder,
    weights_in,
)
from overmem.checkpoints.names import is_named, looks_numbered, read_number
from overmem.checkpoints.patterns import matching_folders
from overmem.checkpoints.unmerged import find_state
from overmem.errors import RunError

FINAL = "final"
"""Name of a model at the root."""
_MOST_FOLDERS = 2000
"""Folders that are looked at before the search ends."""
_INSIDE = ("checkpoints", "checkpoint", "ckpts", "ckpt", "weights")
"""Folders for checkpoints beside a final model."""


def find_folders(root: Path, pattern: str | None = None) -> Layout:
    """The folders that are checkpoints of the run in `root`.

    Args:
        root: folder of a run, or one above it.
        pattern: as of a shell, relative to `root`: these folders and no others; the step is in their names.

    Raises:
        RunError: several runs lie below `root`, or the pattern matches nothing or no number.
    """
    if pattern is not None:
        return matching_folders(root, pattern)
    home = _home(root)
    left_out: dict[str, str] = {}
    folders = _revisions(root) or list(_in(home, left_out))
    if not any(found.number is not None for found in folders):
        folders += _inside(home, left_out)
    if is_model_folder(home) or (find_state(home) is not None and not folders):
        taken = FINAL in {found.name for found in folders}
        folders.append(StepFolder(name="root" if taken else FINAL, folder=home, path=home))
    folders.sort(key=lambda found: (found.number is None, found.number or 0, found.name))
    return Layout(home=home, folders=tuple(folders), left_out=left_out)


def _in(home: Path, left_out: dict[str, str]) -> Iterator[StepFolder]:
    """The checkpoints directly in a folder; `left_out` gains what looks like one."""
    is_checkpoint = is_model_folder(home) or read_number(home.name) is not None
    for child in children_of(home, links=True):
        number, name = read_number(child.name), child.name
        if child.is_symlink() and not child.exists():
            if number is not None or is_named(name):
                left_out[name] = f"{name} is a link to {child.readlink()}, which is not there"
        elif not child.is_dir() or (is_checkpoint and _is_optimizer(child)):
            continue
        elif number is not None or is_named(name):
            if number is None and not below(child):
                continue
            weights = weights_in(child, left_out)
            if weights is not None:
                yield StepFolder(
                    name=name,
                    folder=child,
                    path=weights,
                    number=None if number is None else number.number,
                    unit="step" if number is None else number.unit,
                )
        elif looks_numbered(name) and below(child):
            left_out[name] = (
                f"its name is not that of a step; to take it in: --checkpoints-glob '{name}', or a pattern "
                "for all"
            )


def _inside(home: Path, left_out: dict[str, str]) -> list[StepFolder]:
    """The checkpoints in a folder for them; of several (weights, trainer states) one that can be read."""
    found = []
    for name in _INSIDE:
        notes: dict[str, str] = {}
        if folders := list(_in(home / name, notes)):
            found.append((folders, notes))
    found.sort(key=lambda one: not any(is_model_folder(folder.path) for folder in one[0]))
    if not found:
        return []
    left_out |= found[0][1]
    return found[0][0]


def _home(root: Path) -> Path:
    """The folder of the run: `root`, or the only run below it.

    Raises:
        RunError: there are several.
    """
    snapshot = _main_snapshot(root)
    if snapshot is not None:
        return snapshot
    if is_model_folder(root) or _is_run(root):
        return root
    runs: list[Path] = []
    level, seen = [root], 0
    for _ in range(DEEPEST):
        children = [child for folder in level for child in children_of(folder)]
        seen += len(children)
        runs += [child for child in children if _is_run(child)]
        level = [child for child in children if child not in runs]
        if seen > _MOST_FOLDERS:
            break
        level = level[:_MOST_FOLDERS]
    if len(runs) > 1:
        raise RunError(
            f"{root} holds {len(runs)} runs",
            got=", ".join(str(run.relative_to(root)) for run in runs[:8]),
            expected="the folder of one run",
            next_step=f"name one of them, such as {runs[-1]}, or take checkpoints of several with "
            "--checkpoints-glob",
        )
    return runs[0] if runs else root


def _is_run(folder: Path) -> bool:
    """Whether a folder holds checkpoints, or what is to become one; a model alone is none."""
    state = find_state(folder)
    if state is not None and state[1].parent == folder:
        return True
    return any(_has_steps(place) for place in (folder, *(folder / name for name in _INSIDE)))


def _has_steps(folder: Path) -> bool:
    children = children_of(folder, links=True)
    return any(read_number(child.name) or (is_named(child.name) and below(child)) for child in children)


def _is_optimizer(folder: Path) -> bool:
    """Whether a folder is where DeepSpeed keeps the state of the checkpoint that it lies in."""
    return folder.name.startswith("global_step") and any(True for _ in folder.glob("*_states.pt"))


def _main_snapshot(root: Path) -> Path | None:
    """The snapshot of a hub cache that `main` names, else the only one; None elsewhere."""
    if not (root / "snapshots").is_dir():
        return None
    main = root / "snapshots" / _ref(root / "refs" / "main")
    found = children_of(root / "snapshots")
    if main in found:
        return main
    return found[0] if len(found) == 1 else None


def _revisions(root: Path) -> list[StepFolder]:
    """Revisions of a hub cache that are steps, such as `step1000`; empty elsewhere."""
    found = []
    for ref in children_of(root / "refs", files=True) if (root / "snapshots").is_dir() else ():
        number, snapshot = read_number(ref.name), root / "snapshots" / _ref(ref)
        if number is not None and snapshot.is_dir():
            found.append(
                StepFolder(
                    name=ref.name, folder=snapshot, path=snapshot, number=number.number, unit=number.unit
                )
            )
    return found


def _ref(file: Path) -> str:
    try:
        return Path(file.read_text(encoding="utf-8").strip()).name or "none"
    except (OSError, UnicodeDecodeError):
        return "none"
