"""What is averaged in a merge of full weights: a checkpoint's tensors, or a base model's with an adapter."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Protocol

import torch

from overmem.checkpoints import (
    check_safetensors,
    has_weights,
    read_checkpoint,
    read_object,
    require_config,
    weight_files,
)
from overmem.errors import MergeError
from overmem.merging.storage import StoredTensor, read_headers
from overmem.records import Checkpoint


class Source(Protocol):
    """One model's weights, readable by rows."""

    path: Path
    """The checkpoint as it was named."""
    folder: Path
    """Holds config.json: the checkpoint, or the base model of an adapter."""
    config: Mapping[str, Any]
    """The model's config.json."""
    tensors: Mapping[str, StoredTensor]

    def rows(self, name: str, start: int, stop: int) -> torch.Tensor:
        """Rows of a tensor; fp32 where an adapter was added."""
        ...


class FullSource:
    """A folder with all weights of a model."""

    instead: ClassVar[str] = "merge the weights from before quantization"
    """What to do where the weights are quantized."""

    def __init__(self, folder: Path) -> None:
        """Read the headers.

        Raises:
            MergeError: no configuration, quantized or pickled weights.
            CheckpointError: a damaged file.
        """
        check_weights(folder)
        self.path = self.folder = folder
        self.config: Mapping[str, Any] = read_config(folder, self.instead)
        files = weight_files(folder)
        for file in files:
            check_safetensors(file)
        self.tensors: Mapping[str, StoredTensor] = read_headers(files)

    def rows(self, name: str, start: int, stop: int) -> torch.Tensor:
        """Rows of a tensor, as stored."""
        return self.tensors[name].rows(start, stop)


def read_input(path: Path) -> Checkpoint:
    """Describe a checkpoint that is to be merged.

    Raises:
        MergeError: it does not exist, or its weights are pickled.
        CheckpointError: a damaged or missing file.
    """
    if not path.is_dir():
        raise MergeError("the checkpoint folder does not exist", got=path, next_step="check the path")
    check_weights(path)
    checkpoint = read_checkpoint(path)
    if checkpoint.kind == "full":
        read_config(path, FullSource.instead)
    return checkpoint


def check_weights(folder: Path) -> None:
    """Refuse pickled weights, which can run code when they are read."""
    if has_weights(folder) and not weight_files(folder):
        raise MergeError(
            f"{folder.name} holds pickled weights, which can run code when they are read",
            expected="safetensors",
            next_step="load and save it once with transformers, if you trust its source",
        )


def read_config(folder: Path, instead: str) -> dict[str, Any]:
    """config.json of a folder with full weights.

    Args:
        folder: of the model.
        instead: what to do where its weights are quantized.

    Raises:
        MergeError: the weights are quantized.
        CheckpointError: there is none, or it is damaged.
    """
    require_config(folder)
    config = read_object(folder / "config.json")
    if config.get("quantization_config"):
        raise MergeError(
            f"{folder.name} holds quantized weights, which have no average",
            got=config["quantization_config"].get("quant_method", "quantization_config"),
            expected="weights in floats",
            next_step=instead,
        )
    return config
