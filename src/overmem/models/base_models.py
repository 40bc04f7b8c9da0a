"""The models under an adapter: which one it names, at which revision, and what that one stands on in turn.

A base model is named by a folder or a hub id, and by `id@revision` where an adapter was trained on one. It
may be an adapter itself (preferences trained after instructions): then the model is the one below it with
that adapter merged in.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from overmem.boundary import library_call
from overmem.checkpoints import ADAPTER_CONFIG, has_weights, read_adapter_config
from overmem.errors import RunError

MOST_DEEP = 8
"""Adapters on each other; more are a circle."""


def split_revision(name: str) -> tuple[str, str | None]:
    """A model's folder or hub id, and the revision after `@` of a hub id."""
    if Path(name).is_dir() or "@" not in name:
        return name, None
    where, _, revision = name.rpartition("@")
    return where, revision


def named_base(config: Mapping[str, Any], who: str) -> str:
    """The base model that an adapter names.

    Args:
        config: adapter_config.json.
        who: the adapter, for errors.

    Raises:
        RunError: it names none.
    """
    name, revision = config.get("base_model_name_or_path"), config.get("revision")
    if not name:
        raise RunError(
            f"{who} does not say which base model it adapts",
            expected="base_model_name_or_path in adapter_config.json",
            next_step="pass --base-model",
        )
    return str(name) if not revision or Path(name).is_dir() else f"{name}@{revision}"


def adapter_folder(name: str) -> Path | None:
    """The folder of a base model that is itself an adapter; None of one that is not.

    Raises:
        RunError: it holds whole weights beside the adapter, and either could be meant.
    """
    folder = Path(name)
    if not folder.is_dir():
        return _downloaded(name)
    if not (folder / ADAPTER_CONFIG).is_file():
        return None
    if (folder / "config.json").is_file() and _whole_weights(folder):
        raise RunError(
            f"{folder.name} holds a whole model and an adapter, and either could be the base model",
            got=folder,
            next_step="move one of them to a folder of its own, and name that with --base-model",
        )
    return folder


def chain_of(name: str) -> list[str]:
    """A base model, and what it stands on: the last one is no adapter.

    Raises:
        RunError: adapters that name each other.
    """
    found = [name]
    while (folder := adapter_folder(found[-1])) is not None:
        if len(found) == MOST_DEEP:
            raise RunError(
                "the base models of an adapter name each other",
                got=" on ".join(found[:3]),
                expected="a whole model below them",
                next_step="pass --base-model PATH to say which it is",
            )
        found.append(named_base(read_adapter_config(folder), folder.name))
    return found


def _whole_weights(folder: Path) -> bool:
    return has_weights(folder) and any(
        not file.name.startswith("adapter_") for file in folder.glob("*.safetensors")
    )


@lru_cache(maxsize=64)
def _downloaded(name: str) -> Path | None:
    """Where an adapter of the hub lies on this machine."""
    from huggingface_hub import snapshot_download
    from transformers.utils.peft_utils import find_adapter_config_file

    where, revision = split_revision(name)
    try:
        found = find_adapter_config_file(where, revision=revision)
    except (OSError, ValueError):
        return None  # The model itself is looked for next, and its error says what is wrong.
    if found is None:
        return None
    with library_call(f"the adapter {name}, a base model, cannot be fetched", RunError):
        patterns = ["adapter_*", "*.json", "*.jinja", "*.model"]
        return Path(snapshot_download(where, revision=revision, allow_patterns=patterns))
