"""A base model with a LoRA adapter added to its weights, a few rows at a time.

The sum is kept in fp32 until the average over checkpoints is taken, so it is rounded once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import torch

from overmem.boundary import library_call
from overmem.errors import MergeError
from overmem.merging.adapters import Adapter, LoraModule
from overmem.merging.lora import Factors, delta_rows
from overmem.merging.sources import FullSource
from overmem.merging.storage import StoredTensor
from overmem.models.base_models import adapter_folder, split_revision

BASE_FILES = ("*.safetensors", "*.json", "*.model", "*.txt", "*.jinja", "*.py")


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A module of the base model that an adapter changes."""

    module: LoraModule
    weight: str
    """Name of its weight in the base model's files."""
    bias: str | None
    """Name of its bias, where it has one."""
    transposed: bool
    """Stored as (I, O): GPT-2's Conv1D, and embeddings."""


class BaseSource(FullSource):
    """A base model's folder, and what only its code knows."""

    instead = (
        "name the base model from before quantization: base_model=... (on the command line --base-model); "
        "or merge the adapters as adapters, without into_full"
    )

    @cached_property
    def skeleton(self) -> Any:
        """The model without weights: it says which modules are Conv1D, and which weights are tied.

        Raises:
            MergeError: transformers does not know the model.
        """
        from overmem.models.pretrained import empty_model, read_config

        what = f"transformers does not know the base model {self.folder.name}"
        as_adapters = "merge the adapters as adapters, without into_full"
        with library_call(what, MergeError, next_step=as_adapters):
            return empty_model(
                read_config(self.folder, MergeError, trust_remote_code=False, next_step=as_adapters),
                trust_remote_code=False,
            )


class IntoBaseSource:
    """Reads like a folder with full weights."""

    def __init__(self, adapter: Adapter, base: BaseSource) -> None:
        """Find each of the adapter's modules among the base model's tensors.

        Raises:
            MergeError: the adapter does not fit the base, or their sum is no such model.
        """
        self.path, self.folder, self.config = adapter.folder, base.folder, base.config
        self.tensors: Mapping[str, StoredTensor] = base.tensors
        self._base = base
        _check_ties(adapter, base.skeleton)
        layers = [_layer(adapter, name, base) for name in adapter.modules]
        self._by_weight = {layer.weight: layer for layer in layers}
        self._by_bias = {layer.bias: layer for layer in layers if layer.module.bias is not None}
        self._replaced = _replaced(adapter, base)
        self._factors = lru_cache(maxsize=1)(lambda name: self._by_weight[name].module.factors())
        self._norms = lru_cache(maxsize=1)(self._column_norms)

    def rows(self, name: str, start: int, stop: int) -> torch.Tensor:
        """Rows of a tensor, in fp32 where the adapter changes it."""
        if name in self._by_weight:
            return self._adapted_rows(name, start, stop)
        rows = self._plain_rows(name, start, stop)
        layer = self._by_bias.get(name)
        if layer is None or layer.module.bias is None:
            return rows
        return rows.float() + layer.module.scale * layer.module.bias.rows(start, stop).float()

    def _plain_rows(self, name: str, start: int, stop: int) -> torch.Tensor:
        stored = self._replaced.get(name)
        return self._base.rows(name, start, stop) if stored is None else stored.rows(start, stop)

    def _adapted_rows(self, name: str, start: int, stop: int) -> torch.Tensor:
        layer = self._by_weight[name]
        weight = self._summed(layer, start, stop)
        if layer.module.magnitude is None:
            return weight
        # DoRA (arXiv 2402.09353): every output's weights are scaled to the norm it learned.
        magnitude = layer.module.magnitude.rows().float()
        if layer.transposed:
            return weight.mul_(magnitude / self._norms(name))
        norms = torch.linalg.vector_norm(weight, dim=1)
        return weight.mul_((magnitude[start:stop] / norms)[:, None])

    def _summed(self, layer: Layer, start: int, stop: int) -> torch.Tensor:
        factors: Factors = self._factors(layer.weight)
        delta = delta_rows(factors, layer.module.scale, start, stop, transposed=layer.transposed)
        return delta.add_(self._plain_rows(layer.weight, start, stop))

    def _column_norms(self, name: str) -> torch.Tensor:
        """Norm of every output's weights where outputs are columns, (O,)."""
        layer = self._by_weight[name]
        squares = torch.zeros(self.tensors[name].shape[1], dtype=torch.float64)
        for start, stop in self.tensors[name].segments():
            squares += self._summed(layer, start, stop).double().square().sum(dim=0)
        return squares.sqrt().float()


def base_name(adapter: Adapter, base_model: str | None) -> str:
    """Folder or hub id of the base model under an adapter.

    Args:
        adapter: names its base in adapter_config.json.
        base_model: what to use instead; the one it names is often gone.

    Raises:
        MergeError: neither says.
    """
    name = base_model or adapter.config.get("base_model_name_or_path")
    if not name:
        raise MergeError(
            f"{adapter.folder.name} does not say which base model it adapts",
            expected="base_model_name_or_path in adapter_config.json",
            next_step="say so: base_model=... (on the command line --base-model)",
        )
    return str(name)


def open_base(name: str, revision: str | None = None) -> BaseSource:
    """A base model from a folder or the hub.

    Raises:
        MergeError: it cannot be found, or is an adapter.
    """
    where = name if revision is None or Path(name).is_dir() else f"{name}@{revision}"
    if adapter_folder(where) is not None:
        raise MergeError(
            f"the base model {name} is itself an adapter, on another model",
            expected="whole weights",
            next_step="merge it into its own base model with PEFT's merge_and_unload, and name that: "
            "base_model=... (on the command line --base-model); or merge the adapters as adapters",
        )
    name, revision = split_revision(where)
    if Path(name).is_dir():
        return BaseSource(Path(name))
    from huggingface_hub import snapshot_download

    with library_call(
        f"the base model {name} cannot be found",
        MergeError,
        expected="a local folder, or a hub id that can be reached",
        next_step="say where it is now: base_model=... (on the command line --base-model)",
    ):
        folder = snapshot_download(name, revision=revision, allow_patterns=list(BASE_FILES))
    return BaseSource(Path(folder))


def _layer(adapter: Adapter, name: str, base: BaseSource) -> Layer:
    from transformers.pytorch_utils import Conv1D

    module = adapter.modules[name]
    if module.parameter is not None:
        raise MergeError(
            f"{adapter.folder.name} changes bare parameters, such as fused experts, which files hold apart",
            got=module.parameter,
            next_step="merge the adapters as adapters, without into_full; PEFT's merge_and_unload then puts "
            "the result into its base model",
        )
    try:
        target = base.skeleton.get_submodule(name)
    except AttributeError:
        raise _misfit_error(adapter, base, f"no module {name}") from None
    if not isinstance(target, torch.nn.Linear | torch.nn.Embedding | Conv1D):
        raise MergeError(
            f"{adapter.folder.name} adapts a kind of module that is not supported",
            got=f"{name} is a {type(target).__name__}",
            expected="Linear, Conv1D or Embedding",
        )
    if isinstance(target, torch.nn.Embedding) and module.magnitude is not None:
        raise MergeError(
            f"{adapter.folder.name} adapts an embedding with DoRA, which is not supported", got=name
        )
    transposed = not isinstance(target, torch.nn.Linear)
    weight = _stored_name(adapter, f"{name}.weight", base)
    update = (module.b.shape[0], module.a.shape[1])
    shape = base.tensors[weight].shape
    if shape != (update[::-1] if transposed else update):
        raise _misfit_error(adapter, base, f"{name} has shape {shape}, its update {update}")
    bias = None if module.bias is None else _stored_name(adapter, f"{name}.bias", base)
    return Layer(module=module, weight=weight, bias=bias, transposed=transposed)


def _replaced(adapter: Adapter, base: BaseSource) -> dict[str, StoredTensor]:
    """Whole tensors that the adapter holds, under their names in the base model's files."""
    found = {}
    for key, tensor in adapter.replaced.items():
        if ".modules_to_save." in key or ".original_module." in key:
            continue  # An embedding that PEFT finds resized it writes three times; the plain name is trained.
        name = _stored_name(adapter, key.replace(".base_layer.", "."), base)
        shape = base.tensors[name].shape
        if tensor.shape[1:] == shape[1:] and tensor.shape > shape:
            raise MergeError(
                f"{adapter.folder.name} was trained with tokens that its base model lacks",
                got=f"{name} has {tensor.shape[0]} rows, the base model's {shape[0]}",
                next_step="merge the adapters as adapters, without into_full, or name a base model that was "
                "saved after resize_token_embeddings: base_model=... (on the command line --base-model)",
            )
        if tensor.shape != shape:
            raise _misfit_error(adapter, base, f"{name} has shape {shape}, not {tensor.shape}")
        found[name] = tensor
    return found


def _stored_name(adapter: Adapter, name: str, base: BaseSource) -> str:
    """A parameter's name in the files, which may lack the model's own prefix (`transformer.`)."""
    for candidate in (name, name.partition(".")[2]):
        if candidate in base.tensors:
            return candidate
    raise _misfit_error(adapter, base, f"no tensor {name}")


def _check_ties(adapter: Adapter, skeleton: Any) -> None:
    """Refuse a change to one of two tied weights: the file holds only one tensor for both."""
    inputs, outputs = skeleton.get_input_embeddings(), skeleton.get_output_embeddings()
    if outputs is None or inputs.weight is not outputs.weight:
        return
    tied = {name for name, module in skeleton.named_modules() if module is inputs or module is outputs}
    changed = tied & set(adapter.modules)
    changed |= {name for name in tied for key in adapter.replaced if key == f"{name}.weight"}
    if changed:
        raise MergeError(
            f"{adapter.folder.name} changes one of two tied weights, which full weights would change both",
            got=min(changed),
            next_step="merge the adapters as adapters, without into_full",
        )


def _misfit_error(adapter: Adapter, base: BaseSource, got: str) -> MergeError:
    return MergeError(
        f"{adapter.folder.name} does not fit its base model {base.folder.name}",
        got=got,
        next_step="name the right one: base_model=... (on the command line --base-model)",
    )
