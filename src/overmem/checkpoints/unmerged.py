"""States of a training that are no model yet, and the command that makes one of them.

What large trainings save by the piece, or in a format of their own, is recognised by the names of its files.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from overmem.errors import CheckpointError


@dataclass(frozen=True, kw_only=True)
class State:
    """A kind of state, the names that it is known by, and its cure."""

    what: str
    patterns: tuple[str, ...]
    """Any of them tells it; relative to the folder."""
    cure: Callable[[Path, Path], str]
    """From the folder and the file that was found."""


def _accelerate(folder: Path, found: Path) -> str:
    return f"run `accelerate merge-weights {found.parent} {folder}`"


def _verl(backend: str, actor: Path) -> str:
    merge = f"python -m verl.model_merger merge --backend {backend} --local_dir {actor}"
    return f"run `{merge} --target_dir {actor}/huggingface`"


def _deepspeed(folder: Path, _: Path) -> str:
    if (folder / "zero_to_fp32.py").is_file():
        return f"run `python {folder}/zero_to_fp32.py {folder} {folder} --safe_serialization`"
    gather = f"python zero_to_fp32.py {folder.parent} {folder}-whole --safe_serialization -t {folder.name}"
    return f"run `{gather}` with the script that DeepSpeed writes beside it"


def _litgpt(folder: Path, found: Path) -> str:
    merge = f"`litgpt merge_lora {folder}`, then " if found.name.endswith(".lora") else ""
    convert = f"`litgpt convert_from_litgpt {folder} {folder}-hf`"
    return f"run {merge}{convert}, and save the result with save_pretrained of the model it started from"


STATES = (
    State(
        what="FSDP's sharded state",
        patterns=("pytorch_model_fsdp*/*.distcp", "pytorch_model_fsdp*/.metadata"),
        cure=_accelerate,
    ),
    State(
        what="FSDP's full state",
        patterns=("pytorch_model_fsdp*.bin",),
        cure=lambda _, found: (
            f"rename {found} to pytorch_model.bin, and pass --allow-pickle if you trust its source"
        ),
    ),
    State(
        what="verl's shards, one a process",
        patterns=("model_world_size_*_rank_*.pt", "actor/model_world_size_*_rank_*.pt"),
        cure=lambda _, found: _verl("fsdp", found.parent),
    ),
    State(
        what="verl's Megatron shards",
        patterns=("actor/dist_ckpt/*", "dist_ckpt/*"),
        cure=lambda _, found: _verl("megatron", found.parent.parent),
    ),
    State(
        what="DeepSpeed's shards",
        patterns=(
            "zero_to_fp32.py",
            "global_step*/*_model_states.pt",
            "global_step*/*_optim_states.pt",
            "*_model_states.pt",
            "*_optim_states.pt",
            "pytorch_model/*_model_states.pt",
        ),
        cure=_deepspeed,
    ),
    State(what="LitGPT's weights", patterns=("lit_model.pth", "lit_model.pth.*"), cure=_litgpt),
    State(
        what="Megatron's shards",
        patterns=("mp_rank_*/model_optim_rng.pt", "mp_rank_*/model_rng.pt", "common.pt"),
        cure=lambda folder, _: (
            f"export {folder} to Hugging Face's format (Megatron Bridge: "
            f"`AutoBridge.export_ckpt`; ms-swift: `swift export --mcore_model {folder} --to_hf true`)"
        ),
    ),
    State(
        what="NeMo's checkpoint",
        patterns=("context/model.yaml", "*.nemo"),
        cure=lambda folder, _: (
            f"export it: `nemo.collections.llm.export_ckpt(path={str(folder)!r}, target='hf', ...)`"
        ),
    ),
    State(
        what="a distributed checkpoint of PyTorch (DCP)",
        patterns=("*.distcp", ".metadata", "*/*.distcp", "*/*/*.distcp"),
        cure=lambda _, found: (
            f"convert {found.parent} with its framework's script (torchtitan: "
            "scripts/checkpoint_conversion/convert_to_hf.py; NeMo RL: examples/converters/"
            "convert_dcp_to_hf.py), or train with whole weights saved (NeMo AutoModel: save_consolidated)"
        ),
    ),
    State(
        what="adapters of MLX",
        patterns=("adapters.safetensors", "*_adapters.safetensors"),
        cure=lambda folder, _: (
            f"run `mlx_lm.fuse --model BASE --adapter-path {folder} --save-path {folder}-fused` for each"
        ),
    ),
    State(
        what="a GGUF file",
        patterns=("*.gguf",),
        cure=lambda *_: "measure the model that it was converted from",
    ),
    State(
        what="weights as PyTorch's own file",
        patterns=("*model*.pt", "*model*.pth", "adapter_*.pt", "consolidated.*.pth", "*.ckpt"),
        cure=lambda *_: (
            "save them with save_pretrained of the model they belong to (torchtune: FullModelHFCheckpointer)"
        ),
    ),
)
"""In the order in which they are looked for: the particular before the general."""


def find_state(folder: Path) -> tuple[State, Path] | None:
    """The first kind of state that a folder holds, and the file that tells it."""
    entries = listed(folder)
    for state in STATES:
        for pattern in state.patterns:
            found = first_match(folder, entries, pattern)
            if found is not None:
                return state, found
    return None


def listed(folder: Path) -> list[os.DirEntry[str]]:
    """What lies in a folder, by name; nothing in one that cannot be listed."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return []


def first_match(folder: Path, entries: Sequence[os.DirEntry[str]], pattern: str) -> Path | None:
    """The first file of a folder, by name, that fits a pattern.

    Args:
        folder: may be one of thousands, so it is listed once for all patterns.
        entries: what lies in it.
        pattern: of a name in it, or of a path below it, with slashes.
    """
    if "/" not in pattern:
        return next((folder / entry.name for entry in entries if fnmatch(entry.name, pattern)), None)
    if not any(entry.is_dir() for entry in entries):
        return None
    return min(folder.glob(pattern), default=None)


def no_weights(folder: Path) -> CheckpointError:
    """The error of a folder without weights that can be read: what is there in their place, and its cure."""
    found = find_state(folder)
    if found is None:
        names = ", ".join(sorted(child.name for child in folder.iterdir())[:8])
        return CheckpointError(
            f"{folder.name} holds no weights",
            got=names or "an empty folder",
            expected="model or adapter *.safetensors",
            next_step="copy the checkpoint again, if they should be there",
        )
    state, file = found
    return CheckpointError(
        f"{folder.name} holds {state.what}, which is no model yet",
        got=str(file.relative_to(folder)),
        expected="model or adapter *.safetensors",
        next_step=state.cure(folder, file),
    )
