"""Where a repaired model goes: refused early, put there whole, taken away when it is no longer proved."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from overmem.errors import MergeError
from overmem.merging.apply import atomic_folder
from overmem.records import Checkpoint, Repair
from overmem.repairing.card import add_proof


def refuse_existing(out: Path | None) -> None:
    """Find out before the work that there would be no place for its result.

    Raises:
        MergeError: `out` exists, or cannot be a folder.
    """
    if out is None:
        return
    if out.exists() or out.is_symlink():
        raise MergeError("the output folder exists", got=out, next_step="name another one, or remove it")
    above = next(parent for parent in Path(os.path.abspath(out)).parents if parent.exists())
    if not above.is_dir():
        raise MergeError("the output cannot be a folder", got=out, expected=f"{above} to be a folder")


def settle(repaired: Repair, model: Checkpoint | None, target: Path, *, replace: bool) -> None:
    """Put a proved model where it belongs; what an earlier repair proved is not what this one says.

    Args:
        repaired: the record.
        model: the winner, if there is one.
        target: where it goes.
        replace: whether an earlier model there is replaced, or removed where nothing was proved.
    """
    if model is not None and repaired.model is not None:
        add_proof(model.path, repaired)
        save_model(model.path, target, replace=replace)
    elif replace:
        shutil.rmtree(target, ignore_errors=True)


def save_model(model: Path, out: Path, *, replace: bool) -> None:
    """Copy a model to where it belongs, whole or not at all.

    Args:
        model: its folder, which stays.
        out: where it goes.
        replace: whether an earlier one is replaced; it is removed only when the new one is there.
    """
    n_bytes = sum(file.stat().st_size for file in model.rglob("*") if file.is_file())
    old = out.with_name(f".{out.name}.old")
    if replace and out.exists():
        shutil.rmtree(old, ignore_errors=True)
        os.replace(out, old)
    try:
        with atomic_folder(out, n_bytes) as folder:
            shutil.copytree(model, folder, dirs_exist_ok=True)
    except BaseException:
        if old.exists():
            os.replace(old, out)
        raise
    shutil.rmtree(old, ignore_errors=True)
