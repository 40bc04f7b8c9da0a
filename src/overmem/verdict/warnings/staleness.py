"""What of a run's folder changed since its audit: which checkpoints, and the content of their weights."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path

from overmem.artifacts.manifest import Manifest, read_manifest
from overmem.artifacts.manifest_parts.model_rows import BaseRows, FolderFingerprint, MeasuredModel
from overmem.artifacts.store import Store
from overmem.checkpoints import ADAPTER_CONFIG, find_folders, has_weights, stored_weights
from overmem.errors import CheckpointError, RunError
from overmem.fingerprints import full_fingerprint, sampled_fingerprint
from overmem.parsing import read_json_or_empty

CHANGED = "holds other weights than when it was audited"
UNKNOWN = "cannot be compared with the audit, whose base model is no longer there"

Fingerprint = Callable[[Path], str]


def staleness_notes(run_path: Path, store: Store, *, full: bool = False) -> tuple[str, ...]:
    """Checkpoints that were added or hold other weights than the audit measured, a sentence for each kind.

    Args:
        run_path: the run's folder; an artifact folder in its run stands for the run, one elsewhere holds no
            checkpoints and has no changes.
        store: the run's artifacts, with a manifest.
        full: read every byte of the weights, not only sampled blocks. Where an older overmem noted no sampled
            ones, every byte is read in any case.
    """
    home = run_path.parent if run_path == store.root and run_path.name == "overmem" else run_path
    manifest = read_manifest(store)
    measured = {checkpoint.name for checkpoint in manifest.checkpoints}
    seen = measured | set(manifest.skipped) | set(manifest.pending)
    places = _places(home, manifest)
    if manifest.imported is not None:
        # Another tool chose what to measure, and sampled blocks are all that was noted of the weights.
        places = {name: path for name, path in places.items() if name in measured}
        full = False
    kinds: dict[str, dict[str, None]] = {
        "is in the folder and not in the audit": {},
        CHANGED: {},
        UNKNOWN: {},
    }
    kinds["is in the folder and not in the audit"] = {
        name: None for name, path in places.items() if name not in seen and _is_whole(path)
    }
    for name, said in _differences(home, places, manifest, full):
        kinds[said][name] = None
    again = "run `overmem audit` again" if manifest.imported is None else "evaluate it and import again"
    return tuple(f"{_names(list(names))} {said}: {again}" for said, names in kinds.items() if names)


def _places(home: Path, manifest: Manifest) -> dict[str, Path]:
    """Where the checkpoints of a run lie now, by name: those with a number, and those that were measured."""
    pattern = manifest.config.get("checkpoints_glob")
    measured = {checkpoint.name for checkpoint in manifest.checkpoints}
    try:
        found = find_folders(home, pattern if isinstance(pattern, str) else None).folders
    except RunError:
        return {}  # none is left, or another run lies beside it now
    return {f.name: f.path for f in found if f.number is not None or f.name in measured}


def _differences(
    home: Path, places: Mapping[str, Path], manifest: Manifest, full: bool
) -> Iterator[tuple[str, str]]:
    """What is not as it was measured, and what is to be said of it."""
    # Adapters share their base model, which is read once.
    read_all, read_some = cache(full_fingerprint), cache(sampled_fingerprint)
    for model, path in _models(places, manifest):
        if not has_weights(path):
            continue  # deleted since, which changes nothing that was measured
        if not model.folders and manifest.imported is None:
            said = _of_older(model, path, manifest, read_all)
            if said is not None:
                yield model.name if path.is_relative_to(home) else f"the base model {path}", said
        for found in model.folders:
            place = path if found.folder == "." else Path(found.folder)
            if has_weights(place) and not _is_same(place, found, read_all if full else read_some, full):
                yield model.name if found.folder == "." else f"the base model {place}", CHANGED


def _models(places: Mapping[str, Path], manifest: Manifest) -> Iterator[tuple[MeasuredModel, Path]]:
    """What was measured and where it lies."""
    for checkpoint in manifest.checkpoints:
        if checkpoint.name in places:
            yield checkpoint, places[checkpoint.name]
    base = manifest.base
    if base is not None and base.name not in {checkpoint.name for checkpoint in manifest.checkpoints}:
        yield base, Path(base.model)


def _is_same(place: Path, found: FolderFingerprint, read: Fingerprint, full: bool) -> bool:
    try:
        return read(place) == (found.full if full else found.sampled)
    except CheckpointError:
        return False


def _of_older(model: MeasuredModel, path: Path, manifest: Manifest, read: Fingerprint) -> str | None:
    """The same of what an older overmem measured, which noted one fingerprint; None where it stands."""
    try:
        own = read(path)
        if isinstance(model, BaseRows) or model.kind != "adapter":
            return None if own == model.weights else CHANGED
        named = read_json_or_empty(path / ADAPTER_CONFIG).get("base_model_name_or_path")
        base = Path(str(manifest.config.get("base_model") or named))
        of_base = read(base) if base.is_dir() else str(base)
    except CheckpointError:
        return CHANGED
    if hashlib.sha256(f"{own}/{of_base}".encode()).hexdigest() == model.weights:
        return None
    return CHANGED if base.is_dir() else UNKNOWN


def _is_whole(folder: Path) -> bool:
    try:
        return bool(stored_weights(folder))
    except CheckpointError:
        return False  # being written


def _names(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"each of {', '.join(names)}"
