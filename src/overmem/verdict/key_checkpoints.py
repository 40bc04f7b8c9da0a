"""The checkpoints that a verdict compares: lowest perplexity, recommended, last.

Axes that cost much to measure are measured there, unless all checkpoints are asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from overmem.artifacts.rows import read_core
from overmem.artifacts.store import Store
from overmem.stats.moments import Moments, measure_curves
from overmem.stats.stage_rule import recommended_index


def key_checkpoints(
    store: Store, manifest: Mapping[str, Any], perplexity_ratio: float = 1.10
) -> tuple[str, ...]:
    """Names of the checkpoints to compare, in the order of the run; all when there is no accuracy.

    Args:
        store: the run's artifacts.
        manifest: of an audit whose core is done.
        perplexity_ratio: bound of the recommendation (docs/definitions.md, Recommendation).
    """
    names = [checkpoint["name"] for checkpoint in manifest["checkpoints"]]
    if any("greedy val" not in checkpoint["row_keys"] for checkpoint in manifest["checkpoints"]):
        return tuple(names)
    moments = _curves(store, manifest)
    covariance = moments.sample_cov_B_B[: len(names), : len(names)]
    chosen = recommended_index(moments.accuracy_C, moments.nll_C, covariance, perplexity_ratio)
    kept = {int(np.argmin(moments.nll_C)), chosen, len(names) - 1}
    return tuple(names[i] for i in sorted(kept))


def lowest_perplexity(store: Store, manifest: Mapping[str, Any]) -> str:
    """Name of the checkpoint with the lowest NLL on val, the earliest of equals."""
    lowest = int(np.argmin(_curves(store, manifest).nll_C))
    return str(manifest["checkpoints"][lowest]["name"])


def _curves(store: Store, manifest: Mapping[str, Any]) -> Moments:
    core = read_core(store, manifest)
    return measure_curves(core.correct_C_N, core.nll_nats_C_N, core.n_tokens_N)
