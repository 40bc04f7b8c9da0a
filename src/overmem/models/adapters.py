"""Adapters that were trained over a changed base model, made plain: LoRA over the base as it is on disk.

PiSSA (arXiv 2404.02948) and OLoRA (arXiv 2406.01775) start their factors at a part of the weights, which is
taken out of them: `W_res = W - s B0 A0`. The trained A and B are right over `W_res` only; over W the same
model is a plain LoRA adapter of twice the rank, `W_res + s B A = W + s [B, -B0] [A; A0]`.

Both parts are unique where the factors are not (singular vectors and QR are unique up to signs): the
truncated SVD, and the projection on the first r columns. So `s B0 A0` can be taken again from W, to rounding,
on any machine. What was drawn at random or computed from data cannot, and is refused.

Shapes: r rank, I inputs, O outputs; A is (r, I), B is (O, r).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from overmem.artifacts.files import write_text_atomic
from overmem.boundary import library_call
from overmem.checkpoints import ADAPTER_CONFIG, read_adapter_config
from overmem.errors import CheckpointError
from overmem.models.quantization import is_quantized

WEIGHTS = "adapter_model.safetensors"
PREFIX = "base_model.model."
REPEATABLE = ("pissa", "olora")
NOT_REPEATABLE = {
    "pissa_niter": "its SVD started from random numbers",
    "corda": "it started from activations on data",
    "lora_ga": "it started from gradients on data",
    "loftq": "its base model was quantized",
}
"""Beginnings of `init_lora_weights` that change the base model in a way that cannot be taken again."""

Pair = tuple[torch.Tensor, torch.Tensor]
"""(A, B) of one module."""


def changed_base(config: Mapping[str, Any]) -> str | None:
    """The `init_lora_weights` of an adapter whose base model is not the one on disk, else None."""
    start = str(config.get("init_lora_weights", True)).lower()
    return start if start.startswith((*REPEATABLE, *NOT_REPEATABLE)) else None


def scaling(config: Mapping[str, Any], module: str) -> tuple[int, float]:
    """Rank and scale of one module: `alpha / r`, or `alpha / sqrt(r)` for rsLoRA (arXiv 2312.03732).

    Args:
        config: adapter_config.json.
        module: its name in the base model, which `rank_pattern` and `alpha_pattern` are matched with.
    """
    rank = int(_by_pattern(config.get("rank_pattern"), module, config["r"]))
    alpha = float(_by_pattern(config.get("alpha_pattern"), module, config["lora_alpha"]))
    return rank, alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)


def initial_factors(weight: torch.Tensor, rank: int, scale: float, start: str) -> Pair:
    """The factors A0 and B0 that PEFT starts from, by PEFT itself, in fp32.

    Args:
        weight: (O, I), of the base model on disk; not changed.
        rank: at most the smaller side of the weight.
        scale: s.
        start: PEFT's `init_lora_weights`: `pissa`, `pissa_niter_4`, `olora`.
    """
    from peft import LoraConfig, inject_adapter_in_model

    outputs, inputs = weight.shape
    layer = torch.nn.Linear(inputs, outputs, bias=False, device="meta")
    layer.weight = torch.nn.Parameter(weight.detach().float().clone(), requires_grad=False)
    config = LoraConfig(r=rank, lora_alpha=scale * rank, init_lora_weights=start, target_modules=["layer"])
    held: Any = inject_adapter_in_model(config, torch.nn.ModuleDict({"layer": layer}))
    tuned = held["layer"]
    return tuned.lora_A["default"].weight.detach(), tuned.lora_B["default"].weight.detach()


def plain_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """adapter_config.json of the plain adapter: twice the rank, the same scale."""
    more = math.sqrt(2) if config.get("use_rslora") else 2
    return {
        **config,
        "init_lora_weights": True,
        "r": 2 * config["r"],
        "lora_alpha": more * config["lora_alpha"],
        "rank_pattern": {name: 2 * rank for name, rank in (config.get("rank_pattern") or {}).items()},
        "alpha_pattern": {name: more * a for name, a in (config.get("alpha_pattern") or {}).items()},
    }


def plain_tensors(trained: Mapping[str, torch.Tensor], start: Mapping[str, Pair]) -> dict[str, torch.Tensor]:
    """Factors stacked with those they started from: `[A; A0]` and `[B, -B0]`.

    Args:
        trained: tensors of an adapter file, by their names there.
        start: A0 and B0 by the module's name there; a module without is padded with zeros.
    """
    plain = {}
    for name, tensor in trained.items():
        module, is_a, is_b = _factor(name)
        if not (is_a or is_b):
            plain[name] = tensor
            continue
        zeros = torch.zeros_like(tensor)
        a, b = start.get(module, (zeros, zeros))
        parts = [tensor, (a if is_a else -b).to(tensor)]
        plain[name] = torch.cat(parts, dim=0 if is_a else 1).contiguous()
    return plain


def split_plain(
    plain: Mapping[str, torch.Tensor],
) -> tuple[dict[str, torch.Tensor], dict[str, Pair]]:
    """What `plain_tensors` has stacked: the trained tensors, and A0 and B0 by module."""
    trained, first, second = {}, {}, {}
    for name, tensor in plain.items():
        module, is_a, is_b = _factor(name)
        if is_a:
            trained[name], first[module] = (half.contiguous() for half in tensor.chunk(2, dim=0))
        elif is_b:
            trained[name], half = (half.contiguous() for half in tensor.chunk(2, dim=1))
            second[module] = -half
        else:
            trained[name] = tensor
    return trained, {module: (first[module], second[module]) for module in first}


def make_plain(folder: Path, out: Path, start: Mapping[str, Pair]) -> None:
    """Write the adapter in `folder` as a plain one into `out`, which may be the same folder."""
    config = plain_config(read_adapter_config(folder))
    _write_adapter(out, plain_tensors(_read_tensors(folder), start), config)


def rename_tensors(folder: Path, out: Path, names: Mapping[str, str], config: Mapping[str, Any]) -> None:
    """Write the adapter in `folder` into `out` with other names of tensors.

    Args:
        folder: of the adapter.
        out: where it goes.
        names: new names of the tensors that are called otherwise, by their names in the file.
        config: its adapter_config.json there.
    """
    saved = _read_tensors(folder)
    _write_adapter(out, {names.get(name, name): tensor for name, tensor in saved.items()}, config)


def _read_tensors(folder: Path) -> dict[str, torch.Tensor]:
    with library_call(f"{folder.name}/{WEIGHTS} cannot be read"):
        return load_file(folder / WEIGHTS)


def _write_adapter(out: Path, tensors: dict[str, torch.Tensor], config: Mapping[str, Any]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    temporary = out / f".{WEIGHTS}.tmp"
    save_file(tensors, temporary, metadata={"format": "pt"})
    temporary.replace(out / WEIGHTS)
    write_text_atomic(out / ADAPTER_CONFIG, json.dumps(config, indent=2) + "\n")


class InitialFactors:
    """The factors that adapters over one base model started from; each weight is decomposed once."""

    def __init__(self, base: torch.nn.Module) -> None:
        """Take them from this model, whose weights are as on disk; it may hold plain adapters."""
        self.base = base
        self._known: dict[tuple[str, int, float, str], Pair] = {}

    def of(self, folder: Path) -> dict[str, Pair]:
        """A0 and B0 of the adapter in `folder`, by module.

        Raises:
            CheckpointError: they cannot be taken again, or the adapter does not fit the base model.
        """
        config = read_adapter_config(folder)
        start = changed_base(config)
        why = next((why for name, why in NOT_REPEATABLE.items() if (start or "").startswith(name)), None)
        if is_quantized(self.base):
            why = "the base model here is quantized, and what was taken out of its weights is rounded away"
        if start is None or why is not None:
            raise CheckpointError(
                f"{folder.name} was trained over a changed base model that cannot be made again: {why}",
                got=f"init_lora_weights={start!r}",
                expected="pissa or olora, or an adapter over the base model as it is on disk",
                next_step="save it from the training that made it, with PEFT's "
                "save_pretrained(path_initial_model_for_weight_conversion=...)",
            )
        if not (folder / WEIGHTS).is_file():
            raise CheckpointError(f"{folder.name} holds no {WEIGHTS}", next_step="save it as safetensors")
        return {name: self._start(folder, config, name, start) for name in self._modules(folder)}

    def _modules(self, folder: Path) -> Iterable[str]:
        from safetensors import safe_open

        with (
            library_call(f"{folder.name}/{WEIGHTS} cannot be read"),
            safe_open(folder / WEIGHTS, "pt") as file,
        ):
            # Embeddings are left as they are by every such start.
            return sorted({_factor(name)[0] for name in file.keys() if "lora_A.weight" in name})  # noqa: SIM118

    def _start(self, folder: Path, config: Mapping[str, Any], name: str, start: str) -> Pair:
        module = name.removeprefix(PREFIX)
        rank, scale = scaling(config, module)
        key = (module, rank, scale, start)
        if key not in self._known:
            try:
                layer = self.base.get_submodule(module)
            except AttributeError:
                raise CheckpointError(
                    f"{folder.name} does not fit its base model",
                    got=f"no module {module}",
                    next_step="pass the right --base-model",
                ) from None
            self._known[key] = initial_factors(outputs_first(layer), rank, scale, start)
        return self._known[key]


def outputs_first(layer: Any) -> torch.Tensor:
    """The weight of a Linear or of GPT-2's Conv1D, adapted or not, as (O, I)."""
    from transformers.pytorch_utils import Conv1D

    layer = getattr(layer, "base_layer", layer)
    weight: torch.Tensor = layer.weight.T if isinstance(layer, Conv1D) else layer.weight
    return weight


def _factor(name: str) -> tuple[str, bool, bool]:
    """Of a tensor's name: its module, whether it is an A, and whether it is a B."""
    for mark in (".lora_A.weight", ".lora_embedding_A"):
        if name.endswith(mark):
            return name.removesuffix(mark), True, False
    for mark in (".lora_B.weight", ".lora_embedding_B"):
        if name.endswith(mark):
            return name.removesuffix(mark), False, True
    return name, False, False


def _by_pattern(patterns: Mapping[str, Any] | None, module: str, default: Any) -> Any:
    if not patterns:
        return default
    from peft.utils.other import get_pattern_key

    return patterns.get(get_pattern_key(patterns.keys(), module), default)
