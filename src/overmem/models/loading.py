"""Hold one model in memory and turn it into each checkpoint of a run in turn.

Adapters share their base model, which is loaded once. Weights are checked for NaN before anything
is measured with them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from overmem.boundary import library_call
from overmem.checkpoints import read_adapter_config, read_checkpoint
from overmem.errors import CheckpointError, RunError
from overmem.models.adapted_base import AdaptedBase
from overmem.models.adapter_loading import check_adapted, check_placed, embedding_rows_of, put_on, suits
from overmem.models.adapters import InitialFactors, changed_base, make_plain
from overmem.models.base_models import adapter_folder, chain_of, named_base
from overmem.models.model_class import check_head
from overmem.models.placement import (
    check_adapter_goes_on,
    devices_for,
    load_shared_out,
    named_weights,
)
from overmem.models.pretrained import (
    check_adapter_config,
    check_ends,
    embedding_rows,
    read_config,
    read_generation_config,
    read_model,
    read_tokenizer,
)
from overmem.models.quantization import (
    IN_FLOATS,
    Quantize,
    is_quantized,
    measured_as,
    named_quantization,
)
from overmem.records import Checkpoint, Run

SMALLER = "--dtype bfloat16, --quantize 4bit, or --device-map auto (docs/devices.md)"
BEFORE_QUANTIZATION = "; the model from before quantization will do, with --quantize "


def choose_device(name: str = "auto") -> torch.device:
    """`auto` takes the accelerator that this torch build sees (CUDA, MPS, XPU, ...), else the CPU."""
    if name != "auto":
        try:
            torch.zeros(1, device=name)
        except (RuntimeError, AssertionError) as error:
            raise RunError(
                "the device cannot be used",
                got=f"{name} ({str(error).partition(chr(10))[0]})",
                expected="auto, cpu, or an accelerator that this torch build sees",
            ) from None
        return torch.device(name)
    return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    """`auto` is bf16 on CUDA, where it is fast, and fp32 elsewhere, where batch shape changes nothing."""
    if name == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    dtypes = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if name not in dtypes:
        raise RunError("unknown dtype", got=name, expected="auto, " + ", ".join(dtypes))
    return dtypes[name]


@dataclass(frozen=True)
class ModelConfigs:
    """What a model's folder says of it, without its weights."""

    config: Any
    generation_config: Any


class ModelHost:
    """Loads checkpoints one after another; `load` returns a model in eval mode."""

    def __init__(
        self,
        run: Run,
        *,
        device: torch.device,
        dtype: torch.dtype,
        device_map: str | Mapping[str, Any] | None = None,
        base_model: str | None = None,
        trust_remote_code: bool = False,
        allow_pickle: bool = False,
        quantize: Quantize | None = None,
    ) -> None:
        """Prepare to load the checkpoints of `run`.

        Args:
            run: the run whose checkpoints are loaded.
            device: where the model lives.
            dtype: the weights' dtype while measuring.
            device_map: how it is shared out over the devices; see `overmem.models.placement`.
            base_model: overrides the base model that an adapter's configuration names.
            trust_remote_code: run model code that a checkpoint or its base model brings along.
            allow_pickle: accept pickled weights.
            quantize: another precision of the weights than their file's.
        """
        self.run, self.device, self.dtype, self.base_model = run, device, dtype, base_model
        self.device_map, self.devices = device_map, devices_for(device, device_map)
        # Measured: in bf16 on a CPU eager attention is faster than the default, sdpa.
        self.attention = "eager" if device.type == "cpu" and dtype == torch.bfloat16 else None
        self.trust_remote_code = trust_remote_code
        self._allow_pickle = allow_pickle
        self.quantize = quantize
        self.adapted = AdaptedBase(self._load_base, self.base_of, quantize)
        """Of the run's adapters."""
        self._configs: dict[str, ModelConfigs] = {}

    def load(self, checkpoint: Checkpoint) -> Any:
        """The model as it was at `checkpoint`.

        Raises:
            CheckpointError: the weights hold NaN or do not fit their configuration.
            RunError: the base model of an adapter cannot be found.
        """
        with library_call(f"{checkpoint.name} cannot be loaded"):
            if checkpoint.kind == "adapter":
                model = self.adapted.load(checkpoint)
            else:
                # Two models might not fit; the base model under the adapters is measured after them.
                self.adapted.release()
                model = self._from_pretrained(
                    str(checkpoint.path), what=f"{checkpoint.name} cannot be loaded"
                )
            _check_finite(model, checkpoint)
            return model.eval()

    def read_configs(self, checkpoint: Checkpoint) -> ModelConfigs:
        """The configurations that `load` would leave on the model, without loading it.

        Raises:
            RunError: the base model of an adapter is not known.
            CheckpointError: a configuration that cannot be read.
        """
        adapted = checkpoint.kind == "adapter"
        name = chain_of(self.base_of(checkpoint) if adapted else str(checkpoint.path))[-1]
        if name not in self._configs:
            config = read_config(name, trust_remote_code=self.trust_remote_code)
            self._configs[name] = ModelConfigs(config, read_generation_config(name, config))
        return self._configs[name]

    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The run's tokenizer: from a checkpoint, the last first, else the root, else the base model.

        A run's checkpoints share one: where that of the last cannot be read, another's will do.

        Raises:
            RunError: none of them has one, or none can be read.
        """
        failed: list[RunError] = []
        for folder in self._folders():
            if _has_tokenizer(folder):
                try:
                    return read_tokenizer(folder, RunError, trust_remote_code=self.trust_remote_code)
                except RunError as error:
                    failed.append(error)
        if failed:
            raise failed[0]
        names = [self.base_of(c) for c in self.run.checkpoints if c.kind == "adapter"]
        if self.base_model is not None:
            names.append(self.base_model)
        try:
            if names:
                below = [
                    name
                    for name in chain_of(names[0])
                    if not Path(name).is_dir() or _has_tokenizer(Path(name))
                ]
                return read_tokenizer((below or names)[0], RunError, trust_remote_code=self.trust_remote_code)
            why = ""
        except RunError as error:
            why = f" ({error.got})"
        raise RunError(
            "no tokenizer for this run",
            got=f"none in {self.run.checkpoints[-1].name}, at the root or with the base model{why}",
            expected="tokenizer.json beside the weights",
            next_step="save the tokenizer into the run folder, or pass --base-model",
        ) from None

    def _folders(self) -> dict[Path, None]:
        """Where the run's tokenizer may be: each checkpoint, the last first, and the folders above it."""
        found: dict[Path, None] = {}
        for checkpoint in reversed(self.run.checkpoints):
            above = [folder for folder in checkpoint.path.parents if folder.is_relative_to(self.run.path)]
            found |= dict.fromkeys(folder for folder in (checkpoint.path, *above) if folder != self.run.path)
        return found | {self.run.path: None}

    def _from_pretrained(self, name: str, **said: Any) -> PreTrainedModel:
        """A model on the device, with the adapter merged in where it is one on another model.

        Args:
            name: folder, or hub id with its revision.
            **said: how an error reads, and which class; see `overmem.models.pretrained.read_model`.
        """
        folder = adapter_folder(name)
        if folder is not None:
            chain_of(name)
            return self._merged(folder, **said)
        read = partial(
            read_model,
            name,
            **said,
            dtype=self.dtype,
            attention=self.attention,
            trust_remote_code=self.trust_remote_code,
            use_safetensors=None if self._allow_pickle else True,
            output_loading_info=True,
            quantize=self.quantize,
            device=self.device,
        )
        model, loading = read() if self.device_map is None else load_shared_out(read, self.device_map)
        check_head(loading["unexpected_keys"], Path(name).name)
        # transformers fills what is missing with random numbers and only warns.
        if loading["missing_keys"]:
            raise CheckpointError(
                f"{Path(name).name} lacks {len(loading['missing_keys'])} tensors of its model",
                got=f"no {min(loading['missing_keys'])}",
                next_step="copy the checkpoint again",
            )
        check_ends(model.generation_config, name)
        if self.device_map is None and not is_quantized(model):
            what = f"{Path(name).name} cannot be put on {self.device}"
            with library_call(what, next_step="if it does not fit: " + SMALLER):
                model.to(self.device)
        return model

    def base_of(self, checkpoint: Checkpoint) -> str:
        """Name or path of the base model under an adapter checkpoint; `id@revision` where it names one."""
        return self.base_model or named_base(read_adapter_config(checkpoint.path), checkpoint.name)

    def forget(self) -> None:
        """Keep nothing of what was loaded."""
        self.adapted.release()
        self._configs.clear()

    def quantization(self, checkpoint: Checkpoint) -> str:
        """How a checkpoint's weights are quantized, such as `bitsandbytes 4 bit`; empty for floats."""
        return measured_as(self.read_configs(checkpoint).config, self.quantize)

    @property
    def precision(self) -> dict[str, Any]:
        """Of a row's key: dtype, and the precision of the weights where another was asked for."""
        return {"dtype": str(self.dtype)} | ({} if self.quantize is None else {"quantize": self.quantize})

    def _merged(self, folder: Path, **said: Any) -> PreTrainedModel:
        """The model that an adapter stands on, with the adapter in its weights."""
        read_checkpoint(folder, allow_pickle=self._allow_pickle)
        config = read_adapter_config(folder)
        check_adapter_config(config, folder.name)
        check_adapted(folder, folder.name)
        base = self._from_pretrained(named_base(config, folder.name), **said)
        check_adapter_goes_on(base, folder, folder.name, merged=True)
        if is_quantized(base):
            raise CheckpointError(
                f"{folder.name}, an adapter below another one, cannot be merged into quantized weights: "
                "they would be rounded again",
                got=f"{named_base(config, folder.name)} in {measured_as(base.config, self.quantize)}",
                expected="a base model whose weights are floats",
                next_step=IN_FLOATS,
            )
        with tempfile.TemporaryDirectory(prefix="overmem-") as plain:
            if changed_base(config) is not None:
                make_plain(folder, Path(plain), InitialFactors(base).of(folder))
                folder = Path(plain)
            rows = embedding_rows_of(folder)
            if rows not in (None, embedding_rows(base)):
                base.resize_token_embeddings(rows, mean_resizing=False)
            with library_call(f"{folder.name}, an adapter below another one, cannot be merged"):
                adapted, misfits = put_on(base, folder, "below")
                check_placed(adapted, "below", folder.name, misfits)
                merged: PreTrainedModel = adapted.merge_and_unload()
                return merged

    def _load_base(self, name: str, checkpoint: Checkpoint) -> PreTrainedModel:
        bits = named_quantization(name)
        return self._from_pretrained(
            name,
            error=RunError,
            what=f"{name}, the base model of {checkpoint.name}, cannot be found or loaded",
            expected="a local folder or a hub id that can be reached",
            next_step="pass --base-model PATH to say where it is now"
            + ("" if bits is None else BEFORE_QUANTIZATION + bits),
            accepts=lambda skeleton: suits(skeleton, checkpoint.path),
        )


def _has_tokenizer(folder: Path) -> bool:
    return (folder / "tokenizer_config.json").is_file() or (folder / "tokenizer.json").is_file()


def _check_finite(model: torch.nn.Module, checkpoint: Checkpoint) -> None:
    for name, tensor in named_weights(model):
        # What is packed has no NaN, and torch does not look for it in 8-bit floats.
        if tensor.dtype.itemsize > 1 and not torch.isfinite(tensor).all():
            raise CheckpointError(
                f"{checkpoint.name} holds NaN or infinite weights",
                got=name,
                next_step="the run diverged before this step; the other checkpoints are audited",
            )
