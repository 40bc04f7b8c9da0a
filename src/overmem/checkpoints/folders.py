"""The folder of one checkpoint, and where in it the weights lie, such as in verl's `actor/huggingface`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from overmem.checkpoints.names import Unit
from overmem.checkpoints.unmerged import find_state, first_match, listed

DEEPEST = 3
"""Levels that a run may lie below the folder that is named, and weights below their checkpoint."""
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


def weights_in(folder: Path, left_out: dict[str, str]) -> Path | None:
    """Where in a checkpoint its weights are; None, and a reason, where it holds several models."""
    found = below(folder)
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


def below(folder: Path) -> list[Path]:
    """The folders that hold weights: the folder itself alone where it does, else all below it."""
    if is_model_folder(folder):
        return [folder]
    found: list[Path] = []
    level = [folder]
    for _ in range(DEEPEST):
        level = [child for parent in level for child in children_of(parent) if child.name not in _NO_POLICY]
        found += [child for child in level if is_model_folder(child)]
        level = [child for child in level if child not in found or (child / _WHOLE).is_dir()]
    return found or ([folder] if find_state(folder) is not None else [])


def models_below(folder: Path) -> list[Path]:
    """Folders with weights that no run names, a few levels down."""
    return [] if is_model_folder(folder) else [found for found in below(folder) if found != folder]


def is_model_folder(folder: Path) -> bool:
    """Whether a folder has weight files as transformers or PEFT name them; `has_weights` takes any name."""
    entries = listed(folder)
    return any(first_match(folder, entries, pattern) is not None for pattern in _WEIGHTS)


def children_of(folder: Path, *, links: bool = False, files: bool = False) -> list[Path]:
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
