"""What a merge would do, settled and checked before anything is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from overmem.checkpoints import ADAPTER_CONFIG
from overmem.errors import MergeError
from overmem.merging.adapter_merge import AdapterMerge
from overmem.merging.adapters import read_adapter
from overmem.merging.checks import (
    check_bases,
    check_models,
    check_tokenizers,
    label,
    tokenizer_folder,
)
from overmem.merging.into_base import BaseSource, IntoBaseSource, base_name, open_base
from overmem.merging.sources import FullSource, Source, read_input
from overmem.merging.storage import TensorSpec
from overmem.merging.weights import WITH_MERGEKIT, mergekit_modules, resolve_weights
from overmem.records import Checkpoint


@dataclass(frozen=True, kw_only=True)
class MergePlan:
    """A merge that passed every check that needs no reading of weights."""

    kind: Literal["full", "adapter"]
    """What is written."""
    method: str
    """One of weights.METHODS."""
    inputs: tuple[Path, ...]
    """Checkpoint folders, in the order given."""
    weights: tuple[float, ...]
    """One an input; for slerp, the shares of the two ends."""
    tensors: Mapping[str, TensorSpec]
    """Names, shapes and dtypes of what is written, in order."""
    dtype: str
    """Of what is written: the inputs' own, `mixed` when they hold several."""
    n_bytes: int
    """Of all tensors."""
    base_model: str | None = None
    """Overrides the base model that adapters name; for ties and dare, the model before the fine-tune."""
    into_full: bool = False
    """Adapters are added to their base model's weights first."""
    rank: int | None = None
    """Largest rank of a merged adapter's modules; exact when None."""
    tokenizer: Path | None = None
    """Folder whose tokenizer files are copied; None when no input has one."""


def plan_merge(
    checkpoints: Sequence[str | Path | Checkpoint],
    *,
    method: str = "pair",
    weights: Sequence[float] | None = None,
    alpha: float | None = None,
    decay: float | None = None,
    rank: int | None = None,
    into_full: bool = False,
    base_model: str | None = None,
    allow_different_tokenizers: bool = False,
) -> MergePlan:
    """Check that checkpoints can be merged and settle how; reads headers only, writes nothing.

    The arguments are those of `overmem.merge`.

    Raises:
        MergeError: they cannot, with the reason.
        CheckpointError: one is damaged.
    """
    inputs = tuple(Path(item.path if isinstance(item, Checkpoint) else item) for item in checkpoints)
    method, shares = resolve_weights(method, len(inputs), weights=weights, alpha=alpha, decay=decay)
    if method in WITH_MERGEKIT:
        mergekit_modules()
    kinds = [read_input(path).kind for path in inputs]
    kind: Literal["full", "adapter"] = "full" if into_full or "full" in kinds else "adapter"
    _check_kinds(inputs, kinds, method=method, into_full=into_full, rank=rank)
    if kind == "adapter":
        tensors = open_adapters(inputs, shares, base_model=base_model, rank=rank).tensors
        bases: list[Path | None] = [None] * len(inputs)
    else:
        sources = open_sources(inputs, base_model=base_model)
        if method in WITH_MERGEKIT:
            check_models([open_base(_needed_base(method, base_model)), sources[-1]])
        check_models(sources)
        tensors = dict(sources[-1].tensors)
        bases = [source.folder for source in sources]
    tokenizers = [tokenizer_folder(path, base) for path, base in zip(inputs, bases, strict=True)]
    check_tokenizers(tokenizers, allow_different=allow_different_tokenizers)
    dtypes = {spec.dtype for spec in tensors.values()}
    return MergePlan(
        kind=kind,
        method=method,
        inputs=inputs,
        weights=shares,
        tensors=tensors,
        dtype=dtypes.pop() if len(dtypes) == 1 else "mixed",
        n_bytes=sum(spec.n_bytes for spec in tensors.values()),
        base_model=base_model,
        into_full=into_full,
        rank=rank,
        tokenizer=next((folder for folder in reversed(tokenizers) if folder is not None), None),
    )


def open_sources(inputs: Sequence[Path], *, base_model: str | None) -> list[Source]:
    """The inputs as full weights, adapters added to their base model."""
    adapters = {path: read_adapter(path, base_model) for path in inputs if (path / ADAPTER_CONFIG).is_file()}
    base: BaseSource | None = None
    if adapters:
        check_bases(list(adapters.values()), base_model)
        last = adapters[list(adapters)[-1]]
        base = open_base(
            base_name(last, base_model), revision=None if base_model else last.config.get("revision")
        )
    return [
        FullSource(path) if base is None or path not in adapters else IntoBaseSource(adapters[path], base)
        for path in inputs
    ]


def open_adapters(
    inputs: Sequence[Path], weights: Sequence[float], *, base_model: str | None, rank: int | None
) -> AdapterMerge:
    """The inputs as adapters over one base model."""
    adapters = [read_adapter(path, base_model) for path in inputs]
    check_bases(adapters, base_model)
    return AdapterMerge(adapters, weights, rank)


def _needed_base(method: str, base_model: str | None) -> str:
    if base_model is None:
        raise MergeError(
            f"method {method} needs the model from before the fine-tune",
            next_step="name it: base_model=... (on the command line --base-model)",
        )
    return base_model


def _check_kinds(
    inputs: Sequence[Path], kinds: Sequence[str], *, method: str, into_full: bool, rank: int | None
) -> None:
    if len(set(kinds)) > 1 and not into_full:
        full, adapter = (label(inputs[kinds.index(kind)]) for kind in ("full", "adapter"))
        raise MergeError(
            "full weights and an adapter cannot be averaged as they are",
            got=f"{full} is full, {adapter} is an adapter",
            next_step="add the adapter to its base first: into_full=True, and base_model=... if it moved",
        )
    only_adapters = "adapter" in kinds and not into_full
    if "adapter" in kinds and method in WITH_MERGEKIT:
        raise MergeError(
            f"method {method} runs in mergekit, which is given full weights only",
            got=f"{label(inputs[kinds.index('adapter')])}, an adapter",
            next_step="write each adapter into full weights first: merge it with itself, into_full=True",
        )
    if only_adapters and method == "slerp":
        raise MergeError(
            f"method {method} is not a weighted sum, so its result over adapters is no adapter",
            next_step="merge into full weights: into_full=True",
        )
    if rank is not None and not only_adapters:
        raise MergeError("rank only applies to a merge that is written as an adapter", got=f"rank={rank}")
    if rank is not None and rank < 1:
        raise MergeError("rank must be at least 1", got=rank)
