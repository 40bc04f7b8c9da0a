"""Signs that members and non-members do not come from one distribution, so that attacks find that instead."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from overmem.artifacts.evidence import Evidence
from overmem.artifacts.jobs import TRAIN_SCORES, VAL_SCORES
from overmem.axes.grouped import groups_in
from overmem.axes.privacy.attacks import loss_score
from overmem.axes.privacy.figures import BASE_TRAIN, BASE_VAL, why_undefined
from overmem.errors import DataError
from overmem.stats.arrays import FloatArray
from overmem.stats.groups import Groups
from overmem.stats.roc import auroc_estimate
from overmem.tasks.files import is_local
from overmem.tasks.known_datasets import KNOWN
from overmem.tasks.sources import PROCEDURAL, Source, parse_source

MIN_COMPARED = 20
"""Fewest problems of a set for `distribution_warnings`: below, bootstrap intervals are too narrow."""
CLEAR_DIFFERENCE = 0.05
"""Least distance of AUROC from 0.5 that is worth a warning."""


def distribution_warnings(evidence: Evidence, *, seed: int = 0, draws: int = 2000) -> tuple[str, ...]:
    """Signs that members and non-members do not come from one distribution.

    If they differ by more than having been trained on, the attacks find that difference, and their
    AUROC says little of memorization. Looked at: where the sets come from; an attack that knows
    nothing but the completions' length; the loss of the base model, which has seen neither set. An
    attack that should know nothing is reported when the 95% bootstrap interval of its AUROC excludes
    0.5 and the AUROC is more than 0.05 away from it, so same distributions give each of the two
    reports at most about one time in twenty.

    Args:
        evidence: of any one checkpoint; lengths, sources and base rows are the same at all of them.
        seed: of the bootstrap.
        draws: of the bootstrap.

    Returns:
        One sentence each, with its figures; empty when nothing speaks against the comparison, or
        when there are fewer than 20 examples of a set to tell by.
    """
    found = source_warnings(evidence.sources)
    rng = np.random.default_rng(seed)
    if TRAIN_SCORES in evidence.rows and VAL_SCORES in evidence.rows:
        groups = groups_in(evidence.rows[TRAIN_SCORES]), groups_in(evidence.rows[VAL_SCORES])
        member_M, nonmember_K = (
            evidence.rows[job]["n_tokens"].to_numpy().astype(float) for job in (TRAIN_SCORES, VAL_SCORES)
        )
        found += _warning("the length of a completion alone", member_M, nonmember_K, rng, draws, groups)
    if BASE_TRAIN in evidence.rows and BASE_VAL in evidence.rows:
        member_M, nonmember_K = (
            loss_score(rows["nll_nats"].to_numpy(), rows["n_tokens"].to_numpy())
            for rows in (evidence.rows[BASE_TRAIN], evidence.rows[BASE_VAL])
        )
        groups = groups_in(evidence.rows[BASE_TRAIN]), groups_in(evidence.rows[BASE_VAL])
        found += _warning("the base model's loss", member_M, nonmember_K, rng, draws, groups)
    return found


def source_warnings(sources: Mapping[str, str]) -> tuple[str, ...]:
    """A warning if train and val, as named in the configuration, are different data sets.

    Splits of one data set, files in one folder, and data sources read as the same task are one data set.
    """
    if "train" not in sources or "val" not in sources or _same_data_set(sources["train"], sources["val"]):
        return ()
    return (
        f"train ({sources['train']}) and val ({sources['val']}) name different data sets, so the "
        "privacy figures may measure how the sets differ, not what was memorized.",
    )


def _warning(
    clue: str,
    member_M: FloatArray,
    nonmember_K: FloatArray,
    rng: np.random.Generator,
    draws: int,
    groups: tuple[Groups | None, Groups | None],
) -> tuple[str, ...]:
    """The warning that an attack which should know nothing tells members from non-members, if it does."""
    if min(len(member_M), len(nonmember_K)) < MIN_COMPARED or why_undefined(member_M, nonmember_K):
        return ()
    found = auroc_estimate(member_M, nonmember_K, rng, draws, groups)
    if found.low <= 0.5 <= found.high or abs(found.value - 0.5) <= CLEAR_DIFFERENCE:
        return ()
    return (
        f"{clue[0].upper()}{clue[1:]} tells train from val: AUROC {found.value:.2f} "
        f"({found.low:.2f} to {found.high:.2f}, n = {len(member_M)} and {len(nonmember_K)}), so the privacy "
        "figures measure in part how the sets differ, not what was memorized.",
    )


def _same_data_set(first: str, second: str) -> bool:
    one, other = _parsed(first), _parsed(second)
    if one is None or other is None:
        return True  # nothing can be said of a name that no longer reads as a source
    if one.task is not None and other.task is not None:
        return one.task == other.task
    return _place(one) == _place(other)


def _parsed(source: str) -> Source | None:
    try:
        return parse_source(source)
    except DataError:
        return None


def _place(source: Source) -> str:
    """The folder of files, the hub id of a data set, or the name of a task made by rule."""
    if source.task in PROCEDURAL:
        return f"task {source.task}"
    if is_local(source.location):
        path = Path(source.location)
        return f"folder {os.path.abspath(path if path.is_dir() else path.parent)}"
    if not source.location and source.task in KNOWN:
        return f"hub {KNOWN[source.task].hub_id}"
    return f"hub {source.location}"
