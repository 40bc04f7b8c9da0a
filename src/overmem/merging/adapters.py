"""Read PEFT LoRA adapters, and refuse those whose update is not `s B A`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from overmem.checkpoints import read_adapter_config, weight_files
from overmem.errors import MergeError
from overmem.merging.lora import Factors
from overmem.merging.parameters import find_parameters
from overmem.merging.storage import StoredTensor, read_headers
from overmem.models.adapters import PREFIX, REPEATABLE, changed_base, scaling
from overmem.models.base_models import named_base

SUFFIXES = {
    ".lora_A.weight": "a",
    ".lora_B.weight": "b",
    ".lora_B.bias": "bias",
    ".lora_embedding_A": "a",
    ".lora_embedding_B": "b",
    ".lora_magnitude_vector": "magnitude",
}
UNSUPPORTED_SETTINGS = {
    "alora_invocation_tokens": "it acts only after its invocation tokens",
    "arrow_config": "it routes between adapters",
    "ensure_weight_tying": "its factors are shared between two modules",
    "kasa_config": "its update is not B A alone",
    "layer_replication": "it repeats layers of the base model",
    "megatron_config": "its factors are split over processes",
    "monteclora_config": "its factors are drawn at random",
    "trainable_token_indices": "it trains single rows of the embedding",
    "use_bdlora": "its factors are block-diagonal",
    "use_qalora": "it pools its inputs",
}
"""Settings of PEFT under which an adapter is more than `s B A`, and why."""


@dataclass(frozen=True, kw_only=True)
class LoraModule:
    """The tensors an adapter holds for one module of the base model."""

    a: StoredTensor
    b: StoredTensor
    scale: float
    embedding: bool
    bias: StoredTensor | None = None
    magnitude: StoredTensor | None = None
    """DoRA's, (O,)."""
    parameter: str | None = None
    """The bare parameter that it changes, such as fused experts; None of a module's weight."""
    experts: int = 1
    """Of the parameter: A is (experts * r, I), B is (O, r * experts)."""

    @property
    def rank(self) -> int:
        """Of each expert."""
        return self.a.shape[0] // self.experts

    def factors(self) -> Factors:
        """A, B and the bias, read from disk."""
        return Factors(a=self.a.rows(), b=self.b.rows(), bias=None if self.bias is None else self.bias.rows())


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """A LoRA adapter on disk."""

    folder: Path
    config: Mapping[str, Any]
    modules: Mapping[str, LoraModule]
    """By the module's name in the base model."""
    replaced: Mapping[str, StoredTensor]
    """Whole tensors in place of the base model's: `modules_to_save`, trained biases, embeddings."""


def read_adapter(folder: Path, base_model: str | None = None) -> Adapter:
    """Read an adapter's configuration and headers.

    Args:
        folder: of the adapter.
        base_model: folder or hub id, in place of the one it names; read where it changes bare parameters.

    Raises:
        MergeError: it is no LoRA adapter, or one whose update cannot be read off its folder.
    """
    config = read_adapter_config(folder)
    _check_kind(folder, config)
    found: dict[str, dict[str, Any]] = {}
    replaced: dict[str, StoredTensor] = {}
    for key, tensor in read_headers(weight_files(folder)).items():
        name = key.removeprefix(PREFIX)
        suffix = next((suffix for suffix in SUFFIXES if name.endswith(suffix)), None)
        if suffix is not None:
            parts = found.setdefault(name.removesuffix(suffix), {"embedding": "embedding" in suffix})
            parts[SUFFIXES[suffix]] = tensor
        elif "lora_" in name:
            raise MergeError(f"{folder.name} holds a kind of LoRA tensor that is not known", got=key)
        else:
            replaced[name] = tensor
    if not found:
        raise MergeError(f"{folder.name} holds no LoRA tensors", expected="lora_A and lora_B")
    parameters = {}
    if config.get("target_parameters"):
        parameters = find_parameters(found, config, base_model or named_base(config, folder.name))
    modules = {
        name: _module(folder, config, name, parts, *parameters.get(name, (None, 1)))
        for name, parts in found.items()
    }
    return Adapter(folder=folder, config=config, modules=modules, replaced=replaced)


def _check_kind(folder: Path, config: Mapping[str, Any]) -> None:
    if config.get("peft_type") != "LORA":
        raise MergeError(
            f"{folder.name} is not a LoRA adapter",
            got=config.get("peft_type"),
            expected="peft_type LORA",
            next_step="merge it into its base with PEFT's merge_and_unload, then merge full weights",
        )
    for setting, why in UNSUPPORTED_SETTINGS.items():
        if config.get(setting):
            raise MergeError(f"{folder.name} cannot be averaged: {why}", got=f"{setting}={config[setting]!r}")
    start = changed_base(config)
    if start is not None:
        raise MergeError(
            f"{folder.name} was trained over a changed base model, which its folder does not hold",
            got=f"init_lora_weights={start!r}",
            expected="an adapter over the base model as it is on disk",
            next_step=f'make it one: overmem.plain_adapter("{folder}", OUT)'
            if start in REPEATABLE
            else "save it from the training that made it, with PEFT's "
            "save_pretrained(path_initial_model_for_weight_conversion=...)",
        )


def _module(
    folder: Path,
    config: Mapping[str, Any],
    name: str,
    parts: dict[str, Any],
    parameter: str | None,
    experts: int,
) -> LoraModule:
    lacking = {"a", "b"} - set(parts)
    if lacking:
        raise MergeError(
            f"{folder.name} is not whole",
            got=f"no {' or '.join(sorted(lacking)).upper()} for {name}",
            next_step="copy the checkpoint again",
        )
    if any(len(parts[key].shape) != 2 for key in "ab"):
        raise MergeError(
            f"{folder.name} adapts a convolution, which is not supported",
            got=f"shapes {' and '.join(str(list(parts[key].shape)) for key in 'ab')} for {name}",
            expected="two matrices",
        )
    rank, scale = scaling(config, parameter or name)
    held = parts["a"].shape[0]
    if held != rank * experts or parts["b"].shape[1] != held:
        raise MergeError(
            f"{folder.name} does not fit its adapter_config.json",
            got=f"rank {held} for {name}",
            expected=f"rank {rank}" if experts == 1 else f"rank {rank} of each of {experts} experts",
        )
    return LoraModule(scale=scale, parameter=parameter, experts=experts, **parts)
