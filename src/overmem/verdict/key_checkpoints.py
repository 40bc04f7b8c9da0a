"""The checkpoints that a verdict compares: lowest perplexity, highest accuracy, recommended, last.

Axes that cost much to measure are measured there, unless all checkpoints are asked for.
"""

from __future__ import annotations

import numpy as np

from overmem.artifacts.jobs import VAL_ANSWERS
from overmem.artifacts.manifest import Manifest
from overmem.artifacts.rows import read_core
from overmem.artifacts.store import Store
from overmem.rule import Rule
from overmem.stats.checks import check_groups
from overmem.stats.moments import Moments, measure_curves
from overmem.stats.selection import choose_checkpoint


def key_checkpoints(store: Store, manifest: Manifest, rule: Rule) -> tuple[str, ...]:
    """Names of the checkpoints to compare, in the order of the run; all when there is no accuracy.

    Args:
        store: the run's artifacts.
        manifest: of an audit whose core is done.
        rule: thresholds of the verdict to come.
    """
    names = [checkpoint.name for checkpoint in manifest.checkpoints]
    if not manifest.all_have(VAL_ANSWERS):
        return tuple(names)
    moments = _curves(store, manifest)
    steps_C = np.array([checkpoint.step for checkpoint in manifest.checkpoints])
    chosen = choose_checkpoint(moments, steps_C, rule).pick if len(names) > 1 else 0
    kept = {int(np.argmin(moments.nll_C)), int(np.argmax(moments.accuracy_C)), chosen, len(names) - 1}
    return tuple(names[i] for i in sorted(kept))


def lowest_perplexity(store: Store, manifest: Manifest) -> str:
    """Name of the checkpoint with the lowest NLL on val, the earliest of equals."""
    lowest = int(np.argmin(_curves(store, manifest).nll_C))
    return manifest.checkpoints[lowest].name


def _curves(store: Store, manifest: Manifest) -> Moments:
    core = read_core(store, manifest)
    groups = check_groups(core.group_N, len(core.ids))
    return measure_curves(core.correct_C_N, core.nll_nats_C_N, core.n_tokens_N, groups)
