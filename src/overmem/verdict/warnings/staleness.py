"""What of a run's folder changed since its audit, seen from names and times alone."""

from __future__ import annotations

import re
from pathlib import Path

from overmem.artifacts.manifest import read_manifest
from overmem.artifacts.store import Store
from overmem.checkpoints import stored_weights
from overmem.errors import CheckpointError

_FOLDER = re.compile(r"checkpoint-\d+")


def staleness_notes(run_path: Path, store: Store) -> tuple[str, ...]:
    """Checkpoints that were added or written anew after the audit, a sentence for each kind.

    Args:
        run_path: the run's folder; an artifact folder by itself holds no checkpoints, and has no changes.
        store: the run's artifacts, with a manifest.
    """
    manifest = read_manifest(store)
    measured = {checkpoint.name for checkpoint in manifest.checkpoints}
    seen = measured | set(manifest.skipped) | set(manifest.pending)
    here = [path for path in run_path.glob("checkpoint-*") if path.is_dir() and _FOLDER.fullmatch(path.name)]
    at = store.modified("manifest")
    added = [path.name for path in here if path.name not in seen and _weights(path)]
    rewritten = [
        path.name
        for path in here
        if path.name in measured and any(file.stat().st_mtime > at for file in _weights(path))
    ]
    kinds = (
        (added, "is in the folder and not in the audit"),
        (rewritten, "was written anew after the audit"),
    )
    return tuple(f"{_names(names)} {said}: run `overmem audit` again" for names, said in kinds if names)


def _weights(folder: Path) -> list[Path]:
    try:
        return stored_weights(folder)
    except CheckpointError:
        return []  # being written


def _names(names: list[str]) -> str:
    ordered = sorted(names, key=lambda name: int(name.rpartition("-")[2]))
    return ordered[0] if len(names) == 1 else f"each of {', '.join(ordered)}"
