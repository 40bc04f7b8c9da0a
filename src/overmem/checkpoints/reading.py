"""Read one checkpoint folder: are its weights whole, of what kind are they, what did PEFT note beside them.

Only headers of files are read; neither torch nor transformers is imported.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from overmem.boundary import reason
from overmem.checkpoints.names import read_number
from overmem.checkpoints.safetensors_files import check_safetensors, short
from overmem.checkpoints.unmerged import no_weights
from overmem.errors import CheckpointError
from overmem.parsing import ParseError, finite_number, read_json_object, read_json_or_empty
from overmem.records import Checkpoint

ADAPTER_CONFIG = "adapter_config.json"
PICKLED = ("pytorch_model.bin", "pytorch_model-*-of-*.bin", "adapter_model.bin")
"""Pickled weights as transformers and PEFT read them."""
MAX_STEP = 2**53
"""Optimizer steps; above it a number is none, and has no exact form as a float."""
_LARGEST_SETTING = 2**31


def _is_rank(found: object) -> bool:
    return isinstance(found, int) and not isinstance(found, bool) and 1 <= found <= _LARGEST_SETTING


def _is_size(found: object) -> bool:
    return (finite := finite_number(found)) is not None and abs(finite) <= _LARGEST_SETTING


def _all_are(check: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda found: found is None or (isinstance(found, dict) and all(map(check, found.values())))


_Settings = tuple[tuple[str, Callable[[object], bool], str], ...]
_LORA_SETTINGS: _Settings = (
    ("r", _is_rank, "a whole number of at least 1"),
    ("lora_alpha", _is_size, "a number"),
    ("rank_pattern", _all_are(_is_rank), "an object of whole numbers of at least 1"),
    ("alpha_pattern", _all_are(_is_size), "an object of numbers"),
)
_ADAPTER_SETTINGS: _Settings = (
    ("bias", lambda found: isinstance(found, str | None), "a text"),
    ("base_model_name_or_path", lambda found: isinstance(found, str | None), "a text"),
    ("init_lora_weights", lambda found: isinstance(found, bool | str | None), "true, false or a text"),
)
"""Settings that we compute with ourselves, of a LoRA and of any adapter, and what PEFT writes there."""
_LORA_DEFAULTS = {"r": 8, "lora_alpha": 8}
"""PEFT's own, for a configuration that does not have them."""
_DECIDES = ("*.safetensors", "*.bin", "*.json")
"""Files without which a checkpoint is another, or none."""


def has_weights(folder: Path) -> bool:
    """Whether a folder holds model weights of any kind, readable or not."""
    return bool(list(folder.glob("*.safetensors")) or _pickled_files(folder))


def read_checkpoint(folder: Path, *, allow_pickle: bool = False) -> Checkpoint:
    """Describe one checkpoint folder after checking that its weight files are whole.

    Raises:
        CheckpointError: no weights or no configuration, pickled weights, a truncated file, a missing shard or
            a link to nothing.
    """
    _refuse_dangling(folder)
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
        raise no_weights(folder)
    for file in files:
        check_safetensors(file)
    is_adapter = (folder / ADAPTER_CONFIG).is_file()
    if is_adapter:
        read_adapter_config(folder)
    else:
        require_config(folder)
    state, number = read_trainer_state(folder), read_number(folder.name)
    step = finite_number(state.get("global_step"))
    return Checkpoint(
        name=folder.name,
        step=int(step) if step is not None and 0 <= step <= MAX_STEP else number.number if number else 1,
        path=folder,
        kind="adapter" if is_adapter else "full",
        epoch=finite_number(state.get("epoch")),
    )


def _refuse_dangling(folder: Path) -> None:
    """Refuse links to what is not there, such as a hub cache leaves whose blobs were deleted."""
    links = (file for kind in _DECIDES for file in sorted(folder.glob(kind)) if file.is_symlink())
    dangling = next((file for file in links if not file.exists()), None)
    if dangling is not None:
        raise CheckpointError(
            f"{short(dangling)} is a link to a file that is not there",
            got=dangling.readlink(),
            next_step="download or copy the checkpoint again, links followed (`cp -rL`)",
        )


def require_config(folder: Path) -> None:
    """Refuse full weights of which nothing says what model they are.

    Raises:
        CheckpointError: names where a configuration may be taken from.
    """
    if (folder / "config.json").is_file():
        return
    near = next((p / "config.json" for p in folder.parents[:2] if (p / "config.json").is_file()), None)
    source = "BASE/config.json, of the model that training started from," if near is None else str(near)
    raise CheckpointError(
        f"{folder.name} has no config.json, which says what model its weights are",
        expected="a folder as save_pretrained writes it",
        next_step=f"copy {source} to {folder}/config.json (and its tokenizer, where there is none)",
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
        return _ordinary(sorted(folder.glob("model*.safetensors")))
    mapping = read_json_or_empty(index).get("weight_map")
    found = list(mapping.values()) if isinstance(mapping, dict) else []
    if not found or not all(isinstance(name, str) and Path(name).name == name for name in found):
        raise CheckpointError(
            f"{short(index)} is not a shard index",
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


def read_object(file: Path) -> dict[str, Any]:
    """The object in a JSON file of a checkpoint, such as its configuration.

    Raises:
        CheckpointError: it is missing, or cannot be read as an object.
    """
    try:
        return read_json_object(file)
    except (OSError, ParseError) as error:
        raise CheckpointError(
            f"{short(file)} is damaged",
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
    settings = _ADAPTER_SETTINGS
    if config.get("peft_type") == "LORA":
        config, settings = {**_LORA_DEFAULTS, **config}, (*_LORA_SETTINGS, *settings)
    for name, holds, expected in settings:
        if name in config and not holds(config[name]):
            raise CheckpointError(
                f"{folder.name}/{ADAPTER_CONFIG}: `{name}` cannot be read",
                got=f"{config[name]!r:.80}",
                expected=expected,
                next_step="copy the checkpoint again",
            )
    return config


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
    return _ordinary(sorted({file for pattern in PICKLED for file in folder.glob(pattern)}))


def _ordinary(files: list[Path]) -> list[Path]:
    """The same files; a pipe or a device in place of one is refused, since reading it may never end."""
    for file in files:
        if file.exists() and not file.is_file():
            raise CheckpointError(
                f"{short(file)} is a folder, a pipe or a device, not a file of weights",
                next_step="copy the checkpoint again",
            )
    return files
