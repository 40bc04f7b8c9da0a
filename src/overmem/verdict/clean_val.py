"""Is val clean? What training had of it, what is left out, and how the parts differ at the last checkpoint.

Shape suffixes: C checkpoints, N problems.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np
import polars as pl

from overmem.artifacts.jobs import TRAIN_SCORES, VAL_SCORES
from overmem.artifacts.manifest import Manifest
from overmem.artifacts.rows import Core, read_core, read_job
from overmem.artifacts.store import Store
from overmem.contamination.followers import find_followers, nll_change
from overmem.contamination.policy import counts_text, leaked_ids, problems_left_out, refusal
from overmem.contamination.record import Contamination, Follower, read_contamination
from overmem.formatting import estimate_text
from overmem.records import CleanVal, LeftOut, PartFigures
from overmem.stats.arrays import FloatArray
from overmem.stats.checks import check_groups
from overmem.stats.intervals import accuracy_estimate, nll_estimate
from overmem.stats.moments import measure_curves

LIKELY, CERTAIN = 0.5, 0.7
"""Probability from which on a follower is named, and from which on it is left out."""
NAMED = 5
"""Ids that a sentence names."""
AGAIN = "run `overmem audit` again: it compares them, and measures only what is missing"


def add_followers(store: Store, manifest: Manifest, record: Contamination) -> Contamination:
    """Ask the rows which val problems moved with train: the second witness, for leaks in other words.

    From the checkpoint with the lowest val NLL to the last, what was trained on falls and the rest does not.

    Args:
        store: the run's artifacts.
        manifest: of an audit whose core is done.
        record: of the texts.

    Returns:
        The record with its followers; as it was where train was not scored; without any where the last
        checkpoint has the lowest NLL, or the two sets did not part.
    """
    if not all(manifest.all_have(job) for job in (TRAIN_SCORES, VAL_SCORES)):
        return record
    record = dataclasses.replace(record, followers=(), certain_from=None)
    # Those of an earlier sitting are asked again: what they say must not hang on their being left out.
    every, strict = manifest.with_all_problems(), bool(manifest.config.get("strict_overlap"))
    measured = read_job(store, every, manifest.checkpoints[-1], VAL_SCORES, ("n_tokens",))["example_id"]
    manifest = dataclasses.replace(manifest, left_out=problems_left_out(record, measured, strict=strict))
    columns = ("n_tokens", "nll_nats")
    tables = [read_job(store, manifest, c, VAL_SCORES, columns) for c in manifest.checkpoints]
    shared = set.intersection(*(set(table["example_id"]) for table in tables))
    val = [table.filter(pl.col("example_id").is_in(list(shared))) for table in tables]
    lowest = int(np.argmin([table["nll_nats"].to_numpy().sum() for table in val]))
    if not shared or lowest == len(val) - 1:
        return record
    train = [read_job(store, manifest, manifest.checkpoints[c], TRAIN_SCORES, columns) for c in (lowest, -1)]
    both = train[0].join(train[1], on="example_id", suffix="_last")
    found = find_followers(
        nll_change(_per_token(val[lowest]), _per_token(val[-1])),
        nll_change(_per_token(both), _per_token(both, "_last")),
    )
    if found is None:
        return record
    likely = np.flatnonzero(found.probability_N >= LIKELY)
    order = likely[np.argsort(-found.probability_N[likely], kind="stable")]
    ids = val[-1]["example_id"].to_list()
    followers = tuple(Follower(id=ids[i], probability=float(found.probability_N[i])) for i in order)
    return dataclasses.replace(record, followers=followers, certain_from=CERTAIN)


def _per_token(table: pl.DataFrame, suffix: str = "") -> FloatArray:
    found: FloatArray = (table[f"nll_nats{suffix}"] / table[f"n_tokens{suffix}"]).to_numpy()
    return found


def examine_val(store: Store, manifest: Manifest) -> CleanVal:
    """What the audit's record says of its val problems.

    Args:
        store: the run's artifacts.
        manifest: of a finished audit.

    Returns:
        Counts, figures of the parts, and whether a verdict is refused.
    """
    core = read_core(store, manifest.with_all_problems())
    record = read_contamination(store)
    if record is None or record.val != manifest.val.fingerprint:
        premise = f"val was not compared with training data by this audit; {AGAIN}"
        return CleanVal(checked=False, measured=len(core.ids), left_out=0, premise=premise, to_be_said=True)
    leaked = leaked_ids(record, "val", bool(manifest.config.get("strict_overlap")))
    every = {**_renumbered(record), **leaked_ids(record, "val", strict=False)}
    measured = set(core.ids)
    kinds = [kind for name, kind in every.items() if name in measured]
    left_out = measured & set(manifest.left_out_of("val"))
    groups = [len(measured & set(group)) for group in record.groups]
    refused = refusal(len(measured & set(leaked)), len(measured))
    return CleanVal(
        checked=record.not_checked is None,
        measured=len(measured),
        left_out=len(left_out),
        counts={kind: kinds.count(kind) for kind in dict.fromkeys(kinds)},
        templates=sum(n > 1 for n in groups),
        in_templates=sum(n for n in groups if n > 1),
        followers=tuple(item.id for item in record.followers if item.id in measured),
        parts=_parts(core, left_out, set(_renumbered(record)) - left_out),
        elsewhere=tuple(
            LeftOut(set=name, left_out=len(ids), n=manifest.splits[name].n)
            for name, ids in manifest.left_out.items()
            if name != "val" and name in manifest.splits
        ),
        premise=_premise(record, len(left_out), len(measured), kinds),
        to_be_said=record.not_checked is not None or bool(left_out) or any(k != "renumbered" for k in kinds),
        refused=None if manifest.config.get("allow_overlap") else refused,
    )


def overlap_notes(found: CleanVal, last: str) -> list[str]:
    """What a reader must know of val, in sentences.

    Args:
        found: of the audit.
        last: name of the last checkpoint.
    """
    notes = [found.premise] if found.to_be_said else []
    notes += [
        f"all {item.n} problems of {item.set} are in the training data and left out: it is not compared"
        if item.left_out == item.n
        else f"{item.left_out} of {item.n} problems of {item.set} are in the training data and left out"
        for item in found.elsewhere
    ]
    if found.followers:
        names = ", ".join(found.followers[:NAMED]) + (", ..." if len(found.followers) > NAMED else "")
        notes.append(
            f"{len(found.followers)} val problems became more likely, as training problems did, while the "
            f"rest of val did not; no training problem has their text: {names}. Check whether training had "
            "them in other words"
        )
    parts = {part.part: part for part in found.parts}
    for name, rest, what in (
        ("left out", "judged", "the problems that were left out"),
        ("renumbered", "other", "problems of a template that training had with other numbers"),
    ):
        if name in parts and rest in parts:
            notes.append(f"{what}, at {last}: {_figures(parts[name])}; the others: {_figures(parts[rest])}")
    return notes


def _figures(part: PartFigures) -> str:
    accuracy, nll = estimate_text(part.accuracy, ".1%"), estimate_text(part.nll_nats)
    return f"{part.accuracy.n} problems, accuracy {accuracy}, NLL {nll}"


def _renumbered(record: Contamination) -> dict[str, str]:
    found = record.of("val", "train")
    return {item.id: item.kind for item in (found.found if found else ()) if item.kind == "renumbered"}


def _premise(record: Contamination, n_left_out: int, n_measured: int, kinds: Sequence[str]) -> str:
    counts = {kind: kinds.count(kind) for kind in kinds}
    if record.not_checked is not None:
        return (
            f"val was not compared with training data: {record.not_checked}; the verdict holds only if no "
            "val problem was trained on. Name the data with --train and audit again"
        )
    trained = {kind: n for kind, n in counts.items() if kind != "renumbered"}
    if not n_left_out and not trained:
        return f"none of {n_measured} val problems is a training problem, copied or reworded"
    if not n_left_out:
        return f"val problems are in the training data ({counts_text(trained)} of {n_measured}), and count"
    return (
        f"{n_left_out} of {n_measured} val problems are left out of the verdict and of every axis: they are "
        f"in the training data ({counts_text(trained if n_left_out == sum(trained.values()) else counts)})"
    )


def _parts(core: Core, left_out: set[str], renumbered: set[str]) -> tuple[PartFigures, ...]:
    """Figures of what was left out and of what was judged, and of the renumbered among these."""
    judged = set(core.ids) - left_out
    wanted: list[tuple[str, Iterable[str]]] = []
    if left_out:
        wanted += [("left out", left_out), ("judged", judged)]
    if (same := judged & renumbered) and judged - same:
        wanted += [("renumbered", same), ("other", judged - same)]
    return tuple(_part(core, name, set(ids)) for name, ids in wanted if ids)


def _part(core: Core, name: str, ids: set[str]) -> PartFigures:
    at_N = np.array([i in ids for i in core.ids])
    groups = check_groups(core.group_N, at_N.size).at(np.flatnonzero(at_N))
    moments = measure_curves(
        core.correct_C_N[-1:, at_N], core.nll_nats_C_N[-1:, at_N], core.n_tokens_N[at_N], groups
    )
    return PartFigures(part=name, accuracy=accuracy_estimate(moments, 0), nll_nats=nll_estimate(moments, 0))
