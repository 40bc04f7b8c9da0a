"""Find the checkpoints of a run and say which of them can be read.

Every member of the HF Trainer family (TRL, LLaMA-Factory, Axolotl, ms-swift, Unsloth) leaves the
same folder: `checkpoint-<step>/` with safetensors, and perhaps a final model at the root. This
module looks at file headers only; it imports neither torch nor transformers.
"""

from __future__ import annotations

import filecmp
import re
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from overmem.boundary import reason
from overmem.errors import CheckpointError, RunError
from overmem.parsing import ParseError, finite_number, parse_json, read_json_object, read_json_or_empty
from overmem.records import Checkpoint, Run

ADAPTER_CONFIG = "adapter_config.json"
PICKLED = ("pytorch_model*.bin", "adapter_model.bin", "*.pt", "*.pth")
MAX_STEP = 2**53
"""Optimizer steps; above it a number is none, and has no exact form as a float."""
_ADAPTER_SETTINGS: tuple[tuple[str, Any, str], ...] = (
    ("r", int, "a whole number"),
    ("lora_alpha", int | float, "a number"),
    ("rank_pattern", dict, "an object"),
    ("alpha_pattern", dict, "an object"),
    ("bias", str, "a text"),
    ("base_model_name_or_path", str, "a text"),
    ("init_lora_weights", bool | str, "true, false or a text"),
)
"""Settings that we compute with ourselves, and what PEFT writes there."""
_LARGEST_SETTING = 2**31
_LARGEST_HEADER = 100_000_000
"""Bytes; safetensors itself refuses more."""
NOT_WEIGHTS = {"optimizer.pt", "scheduler.pt", "scaler.pt", "training_args.bin"}


def open_run(path: str | Path, *, allow_pickle: bool = False) -> Run:
    """Discover and order the checkpoints of a run folder.

    A checkpoint that cannot be read (truncated file, missing shard) is named in `Run.skipped` and
    the others are kept. Order is by `global_step`, then by the number in the name. A model at the root
    that is a numbered checkpoint again is left out.

    Args:
        path: run directory with `checkpoint-<step>` folders, a final model at its root, or both.
        allow_pickle: also accept `.bin` / `.pt` weights, which can run code when loaded.

    Raises:
        RunError: the folder does not exist or holds no readable checkpoint.
    """
    root = Path(path)
    if not root.is_dir():
        raise RunError("the run folder does not exist", got=root, next_step="check the path")
    found: list[Checkpoint] = []
    skipped: dict[str, str] = {}
    for folder in [*sorted(root.glob("checkpoint-*")), root]:
        if not folder.is_dir() or (folder == root and not has_weights(root)):
            continue
        if folder != root and not re.fullmatch(r"checkpoint-\d{1,15}", folder.name):
            skipped[folder.name] = "its name is not checkpoint-<step>, so it is no step of the run"
            continue
        try:
            found.append(read_checkpoint(folder, root, allow_pickle=allow_pickle))
        except CheckpointError as error:
            skipped["final" if folder == root else folder.name] = str(error)
    if not found:
        raise _no_checkpoints(root, skipped)
    return Run(path=root, checkpoints=_ordered(found, skipped), skipped=skipped)


def has_weights(folder: Path) -> bool:
    """Whether a folder holds model weights of any kind, readable or not."""
    return bool(list(folder.glob("*.safetensors")) or _pickled_files(folder))


def read_checkpoint(folder: Path, root: Path, *, allow_pickle: bool = False) -> Checkpoint:
    """Describe one checkpoint folder after checking that its weight files are whole.

    Raises:
        CheckpointError: no weights, pickled weights, a truncated file or a missing shard.
    """
    files = weight_files(folder)
    pickled = _pickled_files(folder)
    if not files and pickled and not allow_pickle:
        raise CheckpointError(
            f"{folder.name} holds pickled weights, which can run code when loaded",
            got=pickled[0].name,
            expected="safetensors",
            next_step="convert them, or pass --allow-pickle if you trust their source",
        )
    if not files and not pickled:
        raise CheckpointError(f"{folder.name} holds no weights", expected="model or adapter *.safetensors")
    for file in files:
        check_safetensors(file)
    if (folder / ADAPTER_CONFIG).is_file():
        read_adapter_config(folder)
    state = read_trainer_state(folder)
    name = "final" if folder == root else folder.name
    return Checkpoint(
        name=name,
        step=_step(folder, root, state),
        path=folder,
        kind="adapter" if (folder / ADAPTER_CONFIG).is_file() else "full",
        epoch=finite_number(state.get("epoch")),
    )


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a checkpoint, shards resolved through their index.

    As in transformers, one whole file counts before an index, which an earlier save may have left behind.

    Raises:
        CheckpointError: the index is damaged or names a shard that is not there.
    """
    adapter = folder / "adapter_model.safetensors"
    if (folder / ADAPTER_CONFIG).is_file():
        return [adapter] if adapter.is_file() else []
    whole, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if whole.is_file():
        return [whole]
    if not index.is_file():
        return sorted(folder.glob("model*.safetensors"))
    mapping = read_json_or_empty(index).get("weight_map")
    found = list(mapping.values()) if isinstance(mapping, dict) else []
    if not found or not all(isinstance(name, str) and Path(name).name == name for name in found):
        raise CheckpointError(
            f"{_short(index)} is not a shard index",
            expected="a `weight_map` from tensors to names of files in the folder",
            next_step="copy the checkpoint again",
        )
    names = sorted(set(found))
    shards = [folder / name for name in names]
    missing = [shard.name for shard in shards if not shard.is_file()]
    if missing:
        raise CheckpointError(
            f"{folder.name} lacks {len(missing)} of {len(names)} shards",
            got=f"missing {missing[0]}",
            next_step="copy the checkpoint again",
        )
    return shards


def check_safetensors(file: Path) -> None:
    """Compare a safetensors header with the file's size; a truncated copy fails here.

    Raises:
        CheckpointError: the header is damaged or the file is shorter or longer than it says.
    """
    size = file.stat().st_size
    header, header_bytes = read_header(file)
    data_bytes = max((entry["data_offsets"][1] for entry in header.values()), default=0)
    expected = 8 + header_bytes + data_bytes
    if size != expected:
        raise CheckpointError(
            f"{_short(file)} is truncated",
            got=f"{size} bytes",
            expected=f"{expected} bytes",
            next_step="copy the checkpoint again",
        )


def read_header(file: Path) -> tuple[dict[str, Any], int]:
    """The tensors that a safetensors file says it holds, and the bytes of its header.

    Raises:
        CheckpointError: it is damaged.
    """
    size = file.stat().st_size
    try:
        if not file.is_file():
            raise ParseError("it is a folder, a pipe or a device")
        with file.open("rb") as handle:
            (header_bytes,) = struct.unpack("<Q", handle.read(8))
            if header_bytes > min(size - 8, _LARGEST_HEADER):
                raise ParseError("header longer than the file")
            header = parse_json(handle.read(header_bytes).decode())
        if not isinstance(header, dict):
            raise ParseError("its header is no object")
        header.pop("__metadata__", None)
        for name, entry in header.items():
            if not _is_tensor(entry):
                raise ParseError(f"its header does not say what `{name:.80}` is")
    except (struct.error, OSError, UnicodeDecodeError, ParseError) as error:
        raise CheckpointError(
            f"{_short(file)} is not a whole safetensors file",
            got=f"{size} bytes ({reason(error)})",
            next_step="copy the checkpoint again",
        ) from None
    return header, header_bytes


def _is_tensor(entry: object) -> bool:
    """Whether an entry of a header has a dtype, a shape and where its bytes begin and end."""
    if not isinstance(entry, dict) or not isinstance(entry.get("dtype"), str):
        return False
    shape, offsets = entry.get("shape"), entry.get("data_offsets")
    sizes = [shape, offsets] if isinstance(shape, list) and isinstance(offsets, list) else [[None]]
    whole = all(type(size) is int and 0 <= size < 2**63 for part in sizes for size in part)
    return whole and isinstance(offsets, list) and len(offsets) == 2 and offsets[0] <= offsets[1]


def read_object(file: Path) -> dict[str, Any]:
    """The object in a JSON file of a checkpoint, such as its configuration.

    Raises:
        CheckpointError: it is missing, or cannot be read as an object.
    """
    try:
        return read_json_object(file)
    except (OSError, ParseError) as error:
        raise CheckpointError(
            f"{_short(file)} is damaged",
            got=reason(error),
            expected="a JSON object",
            next_step="copy the checkpoint again",
        ) from None


def read_adapter_config(folder: Path) -> dict[str, Any]:
    """What PEFT wrote beside an adapter's weights.

    Raises:
        CheckpointError: it is damaged, or a setting that we compute with is of another kind.
    """
    config = read_object(folder / ADAPTER_CONFIG)
    for name, kind, expected in _ADAPTER_SETTINGS:
        found = config.get(name)
        if found is not None and (not isinstance(found, kind) or abs(_number(found)) > _LARGEST_SETTING):
            raise CheckpointError(
                f"{folder.name}/{ADAPTER_CONFIG}: `{name}` cannot be read",
                got=f"{found!r:.80}",
                expected=expected,
                next_step="copy the checkpoint again",
            )
    return config


def _number(value: object) -> float:
    return value if isinstance(value, int | float) else 0


def read_trainer_state(folder: Path) -> dict[str, Any]:
    """The checkpoint's `trainer_state.json`, or an empty dict when there is none or it is damaged."""
    return read_json_or_empty(folder / "trainer_state.json")


def stored_weights(folder: Path) -> list[Path]:
    """The files that hold a checkpoint's weights, safetensors or pickled.

    Raises:
        CheckpointError: the index is damaged or names a shard that is not there.
    """
    return weight_files(folder) or _pickled_files(folder)


def _pickled_files(folder: Path) -> list[Path]:
    files = {file for pattern in PICKLED for file in folder.glob(pattern)}
    return sorted(
        file for file in files if file.name not in NOT_WEIGHTS and not file.name.startswith("rng_state")
    )


def _step(folder: Path, root: Path, state: dict[str, Any]) -> int:
    step = finite_number(state.get("global_step"))
    if step is not None and 0 <= step <= MAX_STEP:
        return int(step)
    number = re.search(r"(\d+)$", folder.name)
    if folder != root and number:
        return int(number.group(1))
    steps = [
        int(match.group(1))
        for child in root.glob("checkpoint-*")
        if (match := re.search(r"(\d+)$", child.name))
    ]
    # Never 0, which would say that it is untrained.
    return max(steps, default=0) + 1


def _ordered(found: Sequence[Checkpoint], skipped: dict[str, str]) -> tuple[Checkpoint, ...]:
    """By step; a root model of the step or with the weights of a numbered checkpoint is that one again.

    Under `load_best_model_at_end` the weights at the root are often those of an early checkpoint; `skipped`
    then says of which.
    """
    numbered = sorted((c for c in found if c.name != "final"), key=lambda checkpoint: checkpoint.step)
    final = next((c for c in found if c.name == "final"), None)
    if final is None or any(checkpoint.step == final.step for checkpoint in numbered):
        return tuple(numbered)
    twin = next((c for c in reversed(numbered) if _same_weights(c, final)), None)
    if twin is None:
        return tuple(sorted([*numbered, final], key=lambda checkpoint: checkpoint.step))
    if twin != numbered[-1]:
        skipped["final"] = f"it holds the weights of {twin.name}, which is measured"
    return tuple(numbered)


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


def _no_checkpoints(root: Path, skipped: dict[str, str]) -> RunError:
    if skipped:
        details = "\n".join(f"  - {name}: {reason}" for name, reason in skipped.items())
        return RunError(f"no checkpoint in {root} can be read\n{details}")
    return RunError(
        f"no checkpoints in {root}",
        got=", ".join(sorted(child.name for child in root.iterdir())[:8]) or "an empty folder",
        expected="checkpoint-<step>/ folders with *.safetensors, or a model at the root",
        next_step="point at the Trainer's output_dir, and train with save_strategy='epoch' or 'steps'",
    )


def _short(file: Path) -> str:
    return f"{file.parent.name}/{file.name}"
