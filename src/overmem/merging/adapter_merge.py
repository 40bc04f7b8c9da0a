"""The average of LoRA adapters as a LoRA adapter: which can be averaged, and each tensor of the result."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import torch

from overmem.errors import MergeError
from overmem.merging.adapters import SUFFIXES, Adapter, LoraModule
from overmem.merging.checks import diverged_error, finite, label
from overmem.merging.lora import Factors, Loss, reduce_rank, stack
from overmem.merging.methods import weighted_sum
from overmem.merging.parameters import join_experts, split_experts
from overmem.merging.storage import TensorSpec
from overmem.models.adapters import PREFIX

CHOOSES_MODULES = ("target_modules", "exclude_modules", "layers_to_transform", "layers_pattern")


class AdapterMerge:
    """The average of some adapters, as an adapter: what it holds, and how each tensor is made."""

    def __init__(
        self, adapters: Sequence[Adapter], weights: Sequence[float], rank: int | None = None
    ) -> None:
        """Lay out the average; nothing is read yet.

        Args:
            adapters: over one base model.
            weights: one an adapter; those with weight 0 are left out.
            rank: largest rank of a module in the result; exact when None.

        Raises:
            MergeError: the adapters do not fit together, or their average is no LoRA adapter.
        """
        self.rank = rank
        self._parts = [(a, w) for a, w in zip(adapters, weights, strict=True) if w != 0]
        self._last = self._parts[-1][0]
        _check_together([adapter for adapter, _ in self._parts])
        self._with_bias = any(m.bias for adapter, _ in self._parts for m in adapter.modules.values())
        # In the order of the adapters; dict.fromkeys keeps the first of each name.
        self._names = list(dict.fromkeys(name for a, _ in self._parts for name in a.modules))
        self.losses: dict[str, Loss] = {}
        self._tensors = {name: self._layout(name) for name in self._names}
        self._merged = lru_cache(maxsize=1)(self._merge_module)

    @property
    def tensors(self) -> dict[str, TensorSpec]:
        """Names, shapes and dtypes of the result, as PEFT saves them."""
        specs = {key: spec for module in self._tensors.values() for key, spec in module.items()}
        return specs | {
            PREFIX + name: TensorSpec(shape=t.shape, dtype=t.dtype) for name, t in self._last.replaced.items()
        }

    def segments(self, key: str) -> Iterator[torch.Tensor]:
        """The values of one tensor of the result, in its dtype."""
        name = key.removeprefix(PREFIX)
        if name in self._last.replaced:
            stored = [adapter.replaced[name] for adapter, _ in self._parts]
            for start, stop in stored[0].segments():
                rows = [tensor.rows(start, stop) for tensor in stored]
                for (adapter, _), values in zip(self._parts, rows, strict=True):
                    _check_finite(adapter, name, values)
                yield weighted_sum(rows, [weight for _, weight in self._parts])
            return
        suffix = next(suffix for suffix in SUFFIXES if name.endswith(suffix))
        factors = self._merged(name.removesuffix(suffix))
        yield getattr(factors, SUFFIXES[suffix]).to(self.tensors[key].torch_dtype)

    def config(self, base_model: str | None) -> dict[str, Any]:
        """adapter_config.json of the result: plain LoRA with a scale of 1 everywhere."""
        ranks = {self._holders(name)[0].parameter or name: self._rank_of(name) for name in self._names}
        common = Counter(ranks.values()).most_common(1)[0][0]
        # "^" so that a name never matches as the end of a longer one.
        other = {f"^{name}": rank for name, rank in ranks.items() if rank != common}
        config = dict(self._last.config) | {
            "r": common,
            "lora_alpha": common,
            "rank_pattern": other,
            "alpha_pattern": dict(other),
            "use_rslora": False,
            "lora_bias": self._with_bias,
            "init_lora_weights": True,
            "inference_mode": True,
            "eva_config": None,
            "velora_config": None,
        }
        chosen = [[adapter.config.get(key) for key in CHOOSES_MODULES] for adapter, _ in self._parts]
        if any(_as_sets(other) != _as_sets(chosen[0]) for other in chosen):
            plain = [name for name in self._names if self._holders(name)[0].parameter is None]
            config |= dict.fromkeys(CHOOSES_MODULES) | {"target_modules": plain}
        if base_model is not None:
            config["base_model_name_or_path"] = base_model
        return config

    def loss(self) -> Loss:
        """Over all modules written so far."""
        return Loss(
            lost=sum(loss.lost for loss in self.losses.values()),
            total=sum(loss.total for loss in self.losses.values()),
        )

    def _holders(self, name: str) -> list[LoraModule]:
        return [adapter.modules[name] for adapter, _ in self._parts if name in adapter.modules]

    def _rank_of(self, name: str) -> int:
        full = sum(module.rank for module in self._holders(name))
        return full if self.rank is None else min(self.rank, full)

    def _layout(self, name: str) -> dict[str, TensorSpec]:
        first = self._holders(name)[0]
        rank = self._rank_of(name) * first.experts
        a, b = (
            (".lora_embedding_A", ".lora_embedding_B")
            if first.embedding
            else (".lora_A.weight", ".lora_B.weight")
        )
        layout = {
            PREFIX + name + a: TensorSpec(shape=(rank, first.a.shape[1]), dtype=first.a.dtype),
            PREFIX + name + b: TensorSpec(shape=(first.b.shape[0], rank), dtype=first.b.dtype),
        }
        if self._with_bias and first.parameter is None:
            layout[PREFIX + name + ".lora_B.bias"] = TensorSpec(shape=first.b.shape[:1], dtype=first.b.dtype)
        return layout

    def _merge_module(self, name: str) -> Factors:
        parts = []
        for adapter, weight in self._parts:
            if name in adapter.modules:
                module = adapter.modules[name]
                part = module.factors()
                for values in (part.a, part.b, *([] if part.bias is None else [part.bias])):
                    _check_finite(adapter, name, values)
                parts.append((part, weight * module.scale))
        experts = self._holders(name)[0].experts
        split = [split_experts(part, experts) for part, _ in parts]
        shares = [share for _, share in parts]
        merged = [
            self._average(name, list(zip(of_expert, shares, strict=True)))
            for of_expert in zip(*split, strict=True)
        ]
        return join_experts(merged)

    def _average(self, name: str, parts: Sequence[tuple[Factors, float]]) -> Factors:
        """Of one module or expert, of a smaller rank where that was asked for."""
        factors = stack(parts)
        if self._with_bias and factors.bias is None and self._holders(name)[0].parameter is None:
            factors = Factors(a=factors.a, b=factors.b, bias=torch.zeros(factors.b.shape[0]))
        if self.rank is not None:
            factors, loss = reduce_rank(factors, self.rank)
            before = self.losses.get(name, Loss(lost=0.0, total=0.0))
            self.losses[name] = Loss(lost=before.lost + loss.lost, total=before.total + loss.total)
        return factors


def _check_finite(adapter: Adapter, name: str, values: torch.Tensor) -> None:
    if not finite(values):
        raise diverged_error(label(adapter.folder), name)


def _as_sets(settings: list[Any]) -> list[Any]:
    return [set(value) if isinstance(value, list) else value for value in settings]


def _check_together(adapters: Sequence[Adapter]) -> None:
    last = adapters[-1]
    for adapter in adapters:
        if adapter.config.get("use_dora"):
            raise MergeError(
                f"{adapter.folder.name} is a DoRA adapter; an average of two is none, as their norms differ",
                got="use_dora=True",
                next_step="merge into full weights: into_full=True",
            )
        if set(adapter.config.get("target_parameters") or ()) != set(
            last.config.get("target_parameters") or ()
        ):
            raise MergeError(
                f"{adapter.folder.name} and {last.folder.name} change different parameters",
                got=f"target_parameters {adapter.config.get('target_parameters')} and "
                f"{last.config.get('target_parameters')}",
                expected="adapters with the same target_parameters",
            )
        differ = sorted(set(adapter.replaced) ^ set(last.replaced))
        if differ:
            raise MergeError(
                f"{adapter.folder.name} and {last.folder.name} replace different tensors of the base model",
                got=f"{differ[0]} in one of them only",
                expected="the same modules_to_save and bias",
                next_step="merge into full weights: into_full=True",
            )
    first: dict[str, tuple[str, TensorSpec]] = {}
    for adapter in adapters:
        for name, spec in _comparable(adapter):
            _check_equal(name, first.setdefault(name, (adapter.folder.name, spec)), adapter.folder.name, spec)


def _comparable(adapter: Adapter) -> Iterator[tuple[str, TensorSpec]]:
    """What must be equal in all adapters: shapes of updates without their rank, and dtypes."""
    for name, module in adapter.modules.items():
        yield f"A of {name}", TensorSpec(shape=module.a.shape[1:], dtype=module.a.dtype)
        yield f"B of {name}", TensorSpec(shape=module.b.shape[:1], dtype=module.b.dtype)
    for name, tensor in adapter.replaced.items():
        yield name, TensorSpec(shape=tensor.shape, dtype=tensor.dtype)


def _check_equal(name: str, first: tuple[str, TensorSpec], folder: str, spec: TensorSpec) -> None:
    for field in ("shape", "dtype"):
        one, other = getattr(first[1], field), getattr(spec, field)
        if one != other:
            raise MergeError(
                f"{first[0]} and {folder} hold {field}s that differ",
                got=f"{name}: {one} and {other}",
                next_step="" if field == "shape" else "save both in one dtype",
            )
