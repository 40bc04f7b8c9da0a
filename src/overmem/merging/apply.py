"""Carry a plan out: tensor by tensor, into a folder that appears whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from overmem.artifacts.temporary import clear_leftovers, held, temporary_beside
from overmem.boundary import disk_full, writing
from overmem.checkpoints import ADAPTER_CONFIG
from overmem.errors import MergeError
from overmem.merging.card import copy_config_and_tokenizer, write_record
from overmem.merging.checks import diverged_error, finite, label
from overmem.merging.methods import inner_products, slerp_weights, weighted_sum
from overmem.merging.plan import MergePlan, open_adapters, open_sources
from overmem.merging.sources import Source
from overmem.merging.storage import TensorSpec, write_shards
from overmem.merging.weights import WITH_MERGEKIT
from overmem.records import to_plain

MergeProgress = Callable[[int, int], None]
"""Told bytes written and bytes in all."""
SPARE_BYTES = 32 * 2**20
"""Room for tokenizer and headers beside the weights."""


def apply_plan(
    plan: MergePlan, out: Path, *, max_shard_bytes: int, progress: MergeProgress | None = None
) -> Path:
    """Write the merged model.

    It is made in a hidden folder beside `out` and renamed at the end, so `out` never holds half a
    model, whatever stops the merge. Only a kill that Python cannot see leaves the hidden one behind, and the
    next merge to the same place removes it.

    Args:
        plan: from `plan_merge`.
        out: a folder that does not exist yet.
        max_shard_bytes: data bytes in one file.
        progress: told after every segment.

    Returns:
        `out`.

    Raises:
        MergeError: `out` exists, the disk is too small, or an input holds NaN or infinity.
    """
    if max_shard_bytes < 1:
        raise MergeError("max_shard_bytes must be positive", got=max_shard_bytes)
    with atomic_folder(out, plan.n_bytes + SPARE_BYTES) as folder:
        report = progress or (lambda *_: None)
        if plan.method in WITH_MERGEKIT:
            from overmem.merging.with_mergekit import run_mergekit

            details = run_mergekit(plan, folder, max_shard_bytes=max_shard_bytes)
            copy_config_and_tokenizer(plan, folder, plan.inputs[-1])
        elif plan.kind == "adapter":
            details = _write_adapter(plan, folder, report)
        else:
            details = _write_full(plan, folder, max_shard_bytes, report)
        write_record(plan, folder, details)
    return out


@contextmanager
def atomic_folder(out: Path, n_bytes: int) -> Iterator[Path]:
    """A temporary folder that becomes `out` when the block ends well, and vanishes when it does not.

    Args:
        out: where it goes.
        n_bytes: what it will hold, at most.

    Raises:
        MergeError: `out` exists.
        StorageError: there is no room for it.
    """
    if out.exists() or out.is_symlink():
        raise MergeError("the output folder exists", got=out, next_step="name another one, or remove it")
    out = Path(os.path.abspath(out))
    out.parent.mkdir(parents=True, exist_ok=True)
    clear_leftovers(out)
    free = shutil.disk_usage(out.parent).free
    if free < n_bytes:
        raise disk_full(out, f"{free / 1e9:.1f} GB free, {n_bytes / 1e9:.1f} GB needed")
    temporary = temporary_beside(out)
    try:
        with writing(out):
            temporary.mkdir()
            with held(temporary):
                yield temporary
            os.replace(temporary, out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write_full(plan: MergePlan, folder: Path, max_shard_bytes: int, report: MergeProgress) -> dict[str, Any]:
    sources = open_sources(plan.inputs, base_model=plan.base_model)
    linear: list[str] = []
    done = 0

    def segments(name: str) -> Iterator[torch.Tensor]:
        nonlocal done
        spec = plan.tensors[name]
        weights = plan.weights
        if plan.method == "slerp" and spec.torch_dtype.is_floating_point:
            weights = slerp_weights(_inner_products(sources, name, spec), plan.weights[1])
            linear.extend([name] if weights == plan.weights else [])
        for start, stop in spec.segments():
            merged = _merge_rows(sources, weights, name, spec, start, stop)
            done += merged.nbytes
            yield merged
            report(done, plan.n_bytes)

    write_shards(folder, "model", plan.tensors, segments, max_shard_bytes)
    copy_config_and_tokenizer(plan, folder, sources[-1].folder)
    return {"slerp_linear_tensors": len(linear)} if plan.method == "slerp" else {}


def _merge_rows(
    sources: Sequence[Source], weights: Sequence[float], name: str, spec: TensorSpec, start: int, stop: int
) -> torch.Tensor:
    """Rows of the merged tensor, checked for NaN and infinity."""
    rows = [source.rows(name, start, stop) for source in sources]
    if not spec.torch_dtype.is_floating_point:
        if any(not torch.equal(rows[-1], other) for other in rows):
            raise MergeError(
                f"a tensor of whole numbers differs between {label(sources[0].path)} and the others",
                got=f"{name} of dtype {spec.dtype}",
                expected="equal values, since whole numbers have no average",
            )
        return rows[-1]
    merged = weighted_sum(rows, weights, dtype=spec.torch_dtype)
    if not finite(merged):
        guilty = [source for source, values in zip(sources, rows, strict=True) if not finite(values)]
        raise diverged_error(", ".join(label(source.path) for source in guilty) or "the merged model", name)
    return merged


def _inner_products(sources: Sequence[Source], name: str, spec: TensorSpec) -> tuple[float, float, float]:
    parts = [inner_products(*(s.rows(name, start, stop) for s in sources)) for start, stop in spec.segments()]
    dot, square_a, square_b = (sum(column) for column in zip(*parts, strict=True))
    return dot, square_a, square_b


def _write_adapter(plan: MergePlan, folder: Path, report: MergeProgress) -> dict[str, Any]:
    merge = open_adapters(plan.inputs, plan.weights, base_model=plan.base_model, rank=plan.rank)
    done = 0

    def segments(key: str) -> Iterator[torch.Tensor]:
        nonlocal done
        for values in merge.segments(key):
            if not finite(values):
                raise diverged_error("the merged adapter", key)
            done += values.nbytes
            yield values
            report(done, plan.n_bytes)

    # An adapter is one file; PEFT reads no shards.
    write_shards(folder, "adapter_model", plan.tensors, segments, plan.n_bytes)
    config = merge.config(plan.base_model)
    (folder / ADAPTER_CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    copy_config_and_tokenizer(plan, folder, None)
    if plan.rank is None:
        return {}
    shares = {name: loss.share for name, loss in merge.losses.items()}
    return {"lost_share": to_plain(merge.loss().share), "lost_share_by_module": to_plain(shares)}
