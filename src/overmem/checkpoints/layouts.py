"""Where frameworks put the checkpoints of a run: the folders of one, each with its number, found by name.

The run lies in the folder that is named, or somewhere below it: ms-swift's `v0-20250101-120000`, a
`checkpoints/`, the snapshot of a hub cache. The weights of a checkpoint lie in its folder, or below it:
verl's `actor/huggingface`, PEFT's folder of an adapter. `--checkpoints-glob` finds what has other names.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from overmem.checkpoints.names import Unit, is_named, looks_numbered, numbers_in, read_number
from overmem.checkpoints.unmerged import find_state
from overmem.errors import RunError

FINAL = "final"
"""Name of a model at the root."""
_DEEPEST = 3
"""Levels that a run may lie below the folder that is named, and weights below their checkpoint."""
_MOST_FOLDERS = 2000
"""Folders that are looked at before the search ends."""
_INSIDE = ("checkpoints", "checkpoint", "ckpts", "ckpt", "weights")
"""Folders for checkpoints beside a final model."""
_NO_POLICY = {
    "critic",
    "ref",
    "reference",
    "reward",
    "value",
    "optimizer",
    "original",
    "dist_ckpt",
    "dataset",
}
"""Folders of a checkpoint with other weights than those that were fine-tuned."""
_WEIGHTS = (
    "model*.safetensors",
    "model.safetensors.index.json",
    "adapter_model.safetensors",
    "pytorch_model*.bin",
    "adapter_model.bin",
)
_WHOLE = "consolidated"
"""NeMo AutoModel's and torchtitan's folder of whole weights, beside shards of the same."""


@dataclass(frozen=True, kw_only=True)
class StepFolder:
    """A folder that is a checkpoint by its name."""

    name: str
    """Of the checkpoint, unique in the run."""
    folder: Path
    """Carries the number in its name, and what training noted beside the weights."""
    path: Path
    """Holds the weights; `folder` itself, or one below it."""
    number: int | None = None
    """None of the model at the root, of `best` and the like."""
    unit: Unit = "step"


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A run as it lies on disk, before any file is read."""

    home: Path
    """The folder that holds the checkpoints."""
    folders: tuple[StepFolder, ...]
    """Those with a number in order of it, then the others."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Names of what looks like a checkpoint and is none, each with the reason."""


def find_folders(root: Path, pattern: str | None = None) -> Layout:
    """The folders that are checkpoints of the run in `root`.

    Args:
        root: folder of a run, or one above it.
        pattern: as of a shell, relative to `root`: these folders and no others; the step is in their names.

    Raises:
        RunError: several runs lie below `root`, or the pattern matches nothing or no number.
    """
    if pattern is not None:
        return _matching(root, pattern)
    home = _home(root)
    left_out: dict[str, str] = {}
    folders = _revisions(root) or list(_in(home, left_out))
    if not any(found.number is not None for found in folders):
        folders += _inside(home, left_out)
    if _holds_weights(home) or (find_state(home) is not None and not folders):
        taken = FINAL in {found.name for found in folders}
        folders.append(StepFolder(name="root" if taken else FINAL, folder=home, path=home))
    folders.sort(key=lambda found: (found.number is None, found.number or 0, found.name))
    return Layout(home=home, folders=tuple(folders), left_out=left_out)


def _in(home: Path, left_out: dict[str, str]) -> Iterator[StepFolder]:
    """The checkpoints directly in a folder; `left_out` gains what looks like one."""
    is_checkpoint = _holds_weights(home) or read_number(home.name) is not None
    for child in _children(home, links=True):
        number, name = read_number(child.name), child.name
        if child.is_symlink() and not child.exists():
            if number is not None or is_named(name):
                left_out[name] = f"{name} is a link to {child.readlink()}, which is not there"
        elif not child.is_dir() or (is_checkpoint and _is_optimizer(child)):
            continue
        elif number is not None or is_named(name):
            if number is None and not _below(child):
                continue
            weights = _weights_in(child, left_out)
            if weights is not None:
                yield StepFolder(
                    name=name,
                    folder=child,
                    path=weights,
                    number=None if number is None else number.number,
                    unit="step" if number is None else number.unit,
                )
        elif looks_numbered(name) and _below(child):
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
    found.sort(key=lambda one: not any(_holds_weights(folder.path) for folder in one[0]))
    if not found:
        return []
    left_out |= found[0][1]
    return found[0][0]


def models_below(folder: Path) -> list[Path]:
    """Folders with weights that no run names, a few levels down."""
    return [] if _holds_weights(folder) else [found for found in _below(folder) if found != folder]


def _home(root: Path) -> Path:
    """The folder of the run: `root`, or the only run below it.

    Raises:
        RunError: there are several.
    """
    snapshot = _main_snapshot(root)
    if snapshot is not None:
        return snapshot
    if _holds_weights(root) or _is_run(root):
        return root
    runs: list[Path] = []
    level, seen = [root], 0
    for _ in range(_DEEPEST):
        children = [child for folder in level for child in _children(folder)]
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
    children = _children(folder, links=True)
    return any(read_number(child.name) or (is_named(child.name) and _below(child)) for child in children)


def _is_optimizer(folder: Path) -> bool:
    """Whether a folder is where DeepSpeed keeps the state of the checkpoint that it lies in."""
    return folder.name.startswith("global_step") and any(True for _ in folder.glob("*_states.pt"))


def _main_snapshot(root: Path) -> Path | None:
    """The snapshot of a hub cache that `main` names, else the only one; None elsewhere."""
    if not (root / "snapshots").is_dir():
        return None
    main = root / "snapshots" / _ref(root / "refs" / "main")
    found = _children(root / "snapshots")
    if main in found:
        return main
    return found[0] if len(found) == 1 else None


def _revisions(root: Path) -> list[StepFolder]:
    """Revisions of a hub cache that are steps, such as `step1000`; empty elsewhere."""
    found = []
    for ref in _children(root / "refs", files=True) if (root / "snapshots").is_dir() else ():
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


def _weights_in(folder: Path, left_out: dict[str, str]) -> Path | None:
    """Where in a checkpoint its weights are; None, and a reason, where it holds several models."""
    found = _below(folder)
    whole = [path for path in found if path.name == _WHOLE]
    found = whole or found
    if len(found) > 1:
        names = [str(path.relative_to(folder)) for path in found]
        left_out[folder.name] = (
            f"{folder.name} holds several models: {', '.join(names[:8])}\n"
            f"  next:     say which, such as --checkpoints-glob "
            f"'{folder.name.rstrip('0123456789')}*/{names[0]}'"
        )
        return None
    return found[0] if found else folder


def _below(folder: Path) -> list[Path]:
    """The folders that hold weights: the folder itself alone where it does, else all below it."""
    if _holds_weights(folder):
        return [folder]
    found: list[Path] = []
    level = [folder]
    for _ in range(_DEEPEST):
        level = [child for parent in level for child in _children(parent) if child.name not in _NO_POLICY]
        found += [child for child in level if _holds_weights(child)]
        level = [child for child in level if child not in found or (child / _WHOLE).is_dir()]
    return found or ([folder] if find_state(folder) is not None else [])


def _holds_weights(folder: Path) -> bool:
    return any(True for pattern in _WEIGHTS for _ in folder.glob(pattern))


def _children(folder: Path, *, links: bool = False, files: bool = False) -> list[Path]:
    """Folders in a folder by name, without hidden ones and our own.

    Args:
        folder: where; one that cannot be listed has none.
        links: also dangling links.
        files: also files.
    """
    try:
        found = sorted(folder.iterdir())
    except OSError:
        return []
    return [
        child
        for child in found
        if not child.name.startswith((".", "overmem", "_overmem", "tmp-"))
        and (child.is_dir() or (links and child.is_symlink() and not child.exists()) or files)
    ]


def _matching(root: Path, pattern: str) -> Layout:
    if Path(pattern).is_absolute() or ".." in Path(pattern).parts or not pattern.strip():
        raise RunError(
            "--checkpoints-glob is a pattern relative to RUN",
            got=pattern,
            expected="such as 'step_*' or '*/actor/step-*'",
        )
    matches = [path.relative_to(root) for path in sorted(root.glob(pattern)) if path.is_dir()]
    if not matches:
        there = ", ".join(child.name for child in _children(root)[:8])
        raise RunError(
            "--checkpoints-glob matches no folder",
            got=f"{pattern} in {root}",
            expected=f"a pattern for some of {there or 'no folder'}",
        )
    numbers, part = _steps_in_names(matches, pattern)
    names = [match.parts[part] for match in matches]
    if len(set(names)) < len(names):
        names = ["-".join(match.parts) for match in matches]
    left_out: dict[str, str] = {}
    folders = []
    for name, match, number in zip(names, matches, numbers, strict=True):
        weights = _weights_in(root / match, left_out)
        if weights is not None:
            found = read_number(match.parts[part])
            unit: Unit = found.unit if found is not None and found.number == number else "step"
            folders.append(StepFolder(name=name, folder=root / match, path=weights, number=number, unit=unit))
    folders.sort(key=lambda found: (found.number, found.name))
    return Layout(home=root, folders=tuple(folders), left_out=left_out)


def _steps_in_names(matches: Sequence[Path], pattern: str) -> tuple[list[int], int]:
    """The number of each match, and in which part of its path: the deepest that tells all of them apart.

    Raises:
        RunError: there is none.
    """
    depth = min(len(match.parts) for match in matches)
    first: tuple[list[int], int] | None = None
    for part in range(-1, -depth - 1, -1):
        found = [numbers_in(match.parts[part]) for match in matches]
        if not all(found):
            continue
        for column in range(min(map(len, found))):
            numbers = [row[column] for row in found]
            if len(set(numbers)) == len(numbers):
                return numbers, part
            first = first or (numbers, part)
    if first is None:
        raise RunError(
            "--checkpoints-glob matches folders without a number, and the step is read from it",
            got=f"{pattern}: {', '.join(map(str, matches[:8]))}",
            expected="a number in the name of each, such as step_300",
        )
    return first
