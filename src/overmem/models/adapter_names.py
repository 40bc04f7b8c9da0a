"""Adapters of one form of a model on the other: of a language model alone, and inside its multimodal whole.

Both forms have the same layers under other names (`model.layers`, `model.language_model.layers`). PEFT
renames what older versions of one class have saved; from class to class it does not. Where an adapter's
modules are all there under another beginning, and under one only, they are moved to it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from overmem.checkpoints import read_adapter_config, read_header
from overmem.models.adapter_loading import suits
from overmem.models.adapters import PREFIX, WEIGHTS, rename_tensors, scaling
from overmem.models.pretrained import unwrap_adapter

CHOOSES = ("layers_to_transform", "layers_pattern", "exclude_modules", "auto_mapping", "layer_replication")
"""Settings that choose modules beside `target_modules`, which then names each of them."""


def moved_modules(model: Any, folder: Path) -> dict[str, str] | None:
    """Where a LoRA adapter's modules are in a model that has them under other names.

    Args:
        model: a language model, with or without adapters on it.
        folder: of the adapter.

    Returns:
        Names in the model by names in the adapter; None where it fits as it is, by PEFT's renaming, or not.
    """
    shapes = _shapes(folder)
    base = unwrap_adapter(model)
    held = {name.replace(".base_layer", ""): module for name, module in base.named_modules()}
    if not shapes or any(name in held for name in shapes):
        return None
    with torch.device("meta"):
        skeleton = type(base)(base.config)
    return None if suits(skeleton, folder) else find_moves(shapes, held)


def find_moves(shapes: Mapping[str, tuple[int, int]], held: Mapping[str, Any]) -> dict[str, str] | None:
    """The one way to exchange a common beginning of names so that each is the name of a module that fits.

    Args:
        shapes: outputs and inputs of each of an adapter's modules.
        held: the model's modules.
    """
    first = min(shapes)
    found: list[dict[str, str]] = []
    for at in range(len(first.split("."))):
        end = first.split(".", at)[-1]
        old = first.removesuffix(end)
        for candidate in held:
            if candidate != end and not candidate.endswith(f".{end}"):
                continue
            new = candidate.removesuffix(end)
            moves = {name: new + name.removeprefix(old) for name in shapes if name.startswith(old)}
            fits = len(moves) == len(shapes) and all(_fits(held.get(m), shapes[n]) for n, m in moves.items())
            if fits and moves not in found:
                found.append(moves)
    return found[0] if len(found) == 1 else None


def write_moved(folder: Path, out: Path, moves: Mapping[str, str]) -> None:
    """Write the adapter in `folder` into `out`, with its modules under their names in the model."""
    config = read_adapter_config(folder)
    sizes = {moved: scaling(config, name) for name, moved in moves.items()}
    more = {name: math.sqrt(rank) if config.get("use_rslora") else rank for name, (rank, _) in sizes.items()}
    config |= dict.fromkeys(CHOOSES) | {
        "target_modules": sorted(moves.values()),
        "rank_pattern": {f"^{name}": rank for name, (rank, _) in sizes.items()},
        "alpha_pattern": {f"^{name}": scale * more[name] for name, (_, scale) in sizes.items()},
    }
    names = {}
    for key in read_header(folder / WEIGHTS)[0]:
        module, mark, rest = key.removeprefix(PREFIX).partition(".lora_")
        if module in moves:
            names[key] = PREFIX + moves[module] + mark + rest
    rename_tensors(folder, out, names, config)


def _fits(module: Any, shape: tuple[int, int]) -> bool:
    weight = getattr(getattr(module, "base_layer", module), "weight", None)
    return weight is not None and tuple(weight.shape) in (shape, shape[::-1])


def _shapes(folder: Path) -> dict[str, tuple[int, int]]:
    """Outputs and inputs of each of a LoRA adapter's modules; none of another kind of adapter."""
    if read_adapter_config(folder).get("peft_type") != "LORA" or not (folder / WEIGHTS).is_file():
        return {}
    sides: dict[str, dict[str, int]] = {}
    for name, entry in read_header(folder / WEIGHTS)[0].items():
        for mark, side in ((".lora_A.weight", 1), (".lora_B.weight", 0)):
            if name.endswith(mark) and len(entry["shape"]) == 2:
                module = name.removeprefix(PREFIX).removesuffix(mark)
                sides.setdefault(module, {})[mark] = entry["shape"][side]
    return {m: (s[".lora_B.weight"], s[".lora_A.weight"]) for m, s in sides.items() if len(s) == 2}
