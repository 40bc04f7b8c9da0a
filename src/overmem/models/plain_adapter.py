"""Write an adapter that was trained over a changed base model as plain LoRA: `overmem.plain_adapter`."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch

from overmem.checkpoints import ADAPTER_CONFIG, read_adapter_config, read_checkpoint
from overmem.errors import CheckpointError
from overmem.keywords import names_its_keywords
from overmem.models.adapters import InitialFactors, changed_base, make_plain
from overmem.models.loading import ModelHost
from overmem.records import Run

BESIDE = (".json", ".jinja", ".model", ".txt")
"""Tokenizer and trainer's state, which a plain copy takes along."""


@names_its_keywords
def plain_adapter(folder: str | Path, out: str | Path, *, base_model: str | None = None) -> Path:
    """Write a PiSSA or OLoRA adapter as plain LoRA, which merges and loads anywhere.

    Args:
        folder: an adapter that another tool has saved unconverted.
        out: a new folder, for the adapter of twice the rank.
        base_model: folder or hub id, where the one it names is gone.

    Returns:
        `out`.

    Raises:
        OvermemError: no such adapter, its start cannot be taken again, its base model cannot be found, or
            `out` is in use.
    """
    folder, out = Path(folder), Path(out)
    if not (folder / ADAPTER_CONFIG).is_file():
        raise CheckpointError(
            "no adapter to make plain", got=folder, expected=f"a folder with {ADAPTER_CONFIG}"
        )
    config = read_adapter_config(folder)
    if changed_base(config) is None:
        raise CheckpointError(f"{folder.name} is plain already", got=config.get("init_lora_weights"))
    if out.exists() and any(out.iterdir()):
        raise CheckpointError("the output folder is in use", got=out, next_step="name a new one")
    checkpoint = read_checkpoint(folder)
    run = Run(path=folder.parent, checkpoints=(checkpoint,), skipped={})
    host = ModelHost(run, device=torch.device("cpu"), dtype=torch.float32, base_model=base_model)
    start = InitialFactors(host.adapted.base(checkpoint)).of(folder)
    out.mkdir(parents=True, exist_ok=True)
    for file in folder.iterdir():
        if file.suffix in BESIDE and file.name != ADAPTER_CONFIG:
            shutil.copy2(file, out / file.name)
    make_plain(folder, out, start)
    return out
