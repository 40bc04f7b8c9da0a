"""Merge checkpoints of a fine-tune into one model: `overmem.merge`.

Read in this order: `methods` (the arithmetic), `plan` (what is checked), `lora` and `adapter_merge`
(averages of adapters), `into_base` (adapters as full weights), `apply` and `storage` (writing it).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from overmem.keywords import names_its_keywords
from overmem.merging.apply import MergeProgress, apply_plan
from overmem.merging.plan import MergePlan, plan_merge
from overmem.records import Checkpoint

__all__ = ["MergePlan", "apply_plan", "merge", "plan_merge"]

MAX_SHARD_BYTES = 5 * 10**9


@names_its_keywords
def merge(
    checkpoints: Sequence[str | Path | Checkpoint],
    out: str | Path,
    *,
    method: str = "pair",
    weights: Sequence[float] | None = None,
    alpha: float | None = None,
    decay: float | None = None,
    rank: int | None = None,
    into_full: bool = False,
    base_model: str | None = None,
    allow_different_tokenizers: bool = False,
    max_shard_bytes: int = MAX_SHARD_BYTES,
    progress: MergeProgress | None = None,
) -> Path:
    """Average checkpoints of one fine-tune into a model folder that transformers or PEFT loads.

    Full weights are averaged tensor by tensor; LoRA adapters by their updates `s B A`, never A and B
    apart. Sums are taken in fp64 and rounded once, to the inputs' dtype.

    Args:
        checkpoints: folders, at least two; order matters: early first, oldest first.
        out: folder to make; it must not exist.
        method: `pair` (1/2, 1/2), `wise` (1 - alpha, alpha), `soup` (uniform), `linear` (`weights`),
            `ema` (`decay`), `slerp` (`alpha`), or `ties` and `dare`, which need mergekit.
        weights: one a checkpoint, at least 0, summing to 1; in place of those of pair or soup.
        alpha: share of the second checkpoint, in [0, 1].
        decay: share that the moving average keeps at every checkpoint, in (0, 1).
        rank: largest rank in a merged adapter; the sum of the inputs' ranks, and exact, when None.
            `merge.json` gives the share of the squared Frobenius norm that a smaller one loses.
        into_full: add adapters to their base model and average full weights.
        base_model: folder or hub id, when it is not where the adapters say; for ties and dare, the
            model from before the fine-tune.
        allow_different_tokenizers: merge all the same, and keep the last checkpoint's.
        max_shard_bytes: data bytes in one file of full weights.
        progress: told bytes written and bytes in all.

    Returns:
        `out`.

    Raises:
        MergeError: they cannot be merged, or not so, with the reason.
        CheckpointError: one is damaged.
    """
    plan = plan_merge(
        checkpoints,
        method=method,
        weights=weights,
        alpha=alpha,
        decay=decay,
        rank=rank,
        into_full=into_full,
        base_model=base_model,
        allow_different_tokenizers=allow_different_tokenizers,
    )
    return apply_plan(plan, Path(out), max_shard_bytes=max_shard_bytes, progress=progress)
