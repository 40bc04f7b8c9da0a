"""Two runs at matched accuracy: what else differs where both solve as many problems?

An over-memorized run often has the same accuracy as a gentler one. Comparing the checkpoints at
which accuracy is equal, on every other axis, shows what accuracy hides (docs/comparing.md).

Shape suffixes: D draws, A and B checkpoints of either run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from overmem.artifacts.evidence import Evidence, MeasuredCheckpoint, align_evidence
from overmem.artifacts.jobs import VAL_ANSWERS
from overmem.artifacts.manifest import Manifest
from overmem.artifacts.store import Store
from overmem.errors import ArtifactError, RunError
from overmem.formatting import shell_word
from overmem.records import Cost, to_plain
from overmem.rule import DEFAULT_RULE, Rule
from overmem.stats.arrays import FloatArray
from overmem.stats.measures import Measure
from overmem.stats.paired import bootstrap
from overmem.verdict.costs import compare_measured, measure_axes
from overmem.verdict.diagnose import open_audit

COMPARISON_SCHEMA = "overmem.comparison/1"
LEAST_PROBABILITY = 0.8
"""Probability that accuracies are within the margin at which two checkpoints count as matched."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two conditions at matched accuracy; differences are A minus B."""

    a: tuple[str, ...]
    """Run folders of condition A, one a seed."""
    b: tuple[str, ...]
    matched: tuple[str, str] | None
    """The checkpoints compared; None when no pair is matched, and `reason` says so."""
    accuracy: tuple[float, float]
    """Mean accuracy of A and of B at the matched (else the closest) checkpoints."""
    probability: float
    """That the accuracies are within the margin, at that pair."""
    differences: tuple[Cost, ...]
    not_compared: Mapping[str, str]
    """Axes that only one side measured there, with what to run."""
    thresholds: Mapping[str, float | int]
    measured_in: tuple[str, str]
    """Precision and engine of A and of B, those of several seeds one after another."""
    reason: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {"schema": COMPARISON_SCHEMA, **to_plain(self)}


def compare_runs(runs_a: Sequence[Path], runs_b: Sequence[Path], rule: Rule = DEFAULT_RULE) -> Comparison:
    """Compare two audited runs, or two recipes over several seeds, where their accuracy is equal.

    Args:
        runs_a: folders of condition A; several seeds of one recipe count as one run.
        runs_b: the same for B, measured on the same problems.
        rule: its margin is the accuracy difference that still counts as equal, its resamples and seed are
            those of the bootstrap.

    Returns:
        The pair of highest accuracy among those matched with probability 0.8, and every axis that
        both sides measured there.

    Raises:
        OvermemError: a run that was not audited, runs measured on different problems, or a setting out of
            its range.
    """
    sides = [[open_audit(path) for path in runs] for runs in (runs_a, runs_b)]
    accuracies = _accuracies(sides)
    names = [list(side[0]) for side in accuracies]
    draws = [
        np.stack(
            [
                bootstrap([seed_of[name] for seed_of in side], rule.resamples, rule.seed, stream)
                for name in order
            ]
        )
        for stream, (side, order) in enumerate(zip(accuracies, names, strict=True), start=1)
    ]
    means = [
        np.array([np.mean([seed_of[name].value() for seed_of in side]) for name in order])
        for side, order in zip(accuracies, names, strict=True)
    ]
    near_A_B = np.abs(draws[0][:, None, :] - draws[1][None, :, :]) <= rule.accuracy_margin + 1e-12
    probability_A_B = near_A_B.mean(axis=-1)
    i, j = _best_pair(probability_A_B, means[0][:, None] + means[1][None, :])
    matched = bool(probability_A_B[i, j] >= LEAST_PROBABILITY)
    pair = names[0][i], names[1][j]
    places = [
        [MeasuredCheckpoint(store, manifest, name) for store, manifest in side]
        for side, name in zip(sides, pair, strict=True)
    ]
    differences = _differences(places, rule) if matched else []
    closest = f"the closest are {pair[0]} and {pair[1]}"
    return Comparison(
        a=tuple(map(str, runs_a)),
        b=tuple(map(str, runs_b)),
        matched=pair if matched else None,
        accuracy=(float(means[0][i]), float(means[1][j])),
        probability=float(probability_A_B[i, j]),
        differences=tuple(differences),
        not_compared=_not_compared(places, runs_a, runs_b, pair) if matched else {},
        measured_in=(_measured_in(sides[0]), _measured_in(sides[1])),
        thresholds={
            "accuracy_margin": rule.accuracy_margin,
            "resamples": rule.resamples,
            "seed": rule.seed,
        },
        reason=None if matched else f"no two checkpoints have the same accuracy: {closest}",
    )


def _measured_in(side: Sequence[tuple[Store, Manifest]]) -> str:
    return "; ".join(dict.fromkeys(manifest.measured_in for _, manifest in side))


def _best_pair(probability_A_B: FloatArray, sum_A_B: FloatArray) -> tuple[int, int]:
    """The matched pair of highest accuracy, the likelier of equals; without one, the likeliest pair."""
    allowed = probability_A_B >= LEAST_PROBABILITY
    if not allowed.any():
        return _place(int(probability_A_B.argmax()), probability_A_B)
    score = np.where(allowed, sum_A_B + 1e-6 * probability_A_B, -np.inf)
    return _place(int(score.argmax()), score)


def _place(flat: int, table_A_B: FloatArray) -> tuple[int, int]:
    columns = table_A_B.shape[1]
    return flat // columns, flat % columns


def _accuracies(sides: Sequence[Sequence[tuple[Store, Manifest]]]) -> list[list[dict[str, Measure]]]:
    """For each side and seed, the accuracy of each checkpoint that all seeds of the side have."""
    places = [
        [MeasuredCheckpoint(store, manifest, c.name) for c in manifest.checkpoints if c.has(VAL_ANSWERS)]
        for side in sides
        for store, manifest in side
    ]
    evidence = align_evidence([place for group in places for place in group], {VAL_ANSWERS})
    if not evidence or any(VAL_ANSWERS not in item.rows for item in evidence):
        raise ArtifactError(
            "the runs share no answered val problem",
            expected="both audited on the same --val",
            next_step="run `overmem audit` on both with the same problems",
        )
    found, taken = [], iter(evidence)
    for group in places:
        found.append({place.name: _accuracy(next(taken)) for place in group})
    grouped = [found[: len(sides[0])], found[len(sides[0]) :]]
    for side in grouped:
        shared = set.intersection(*(set(names) for names in side))
        if not shared:
            raise RunError(
                "the seeds of one recipe have no checkpoint in common",
                got="; ".join(", ".join(names) for names in side),
                expected="checkpoints saved at the same steps",
            )
        for names in side:
            for name in set(names) - shared:
                del names[name]
    return grouped


def _accuracy(evidence: Evidence) -> Measure:
    return measure_axes(evidence, ["accuracy"])["accuracy"]["accuracy"]


def _differences(places: Sequence[Sequence[MeasuredCheckpoint]], rule: Rule) -> list[Cost]:
    every = [p for side in places for p in side]
    axes = set.intersection(*(set(place.manifest.axes) for place in every))
    measured = [measure_axes(item, sorted(axes)) for item in align_evidence(every)]
    left, right = measured[: len(places[0])], measured[len(places[0]) :]
    return compare_measured(left, right, against="B", draws=rule.resamples, seed=rule.seed)


def _not_compared(
    places: Sequence[Sequence[MeasuredCheckpoint]],
    runs_a: Sequence[Path],
    runs_b: Sequence[Path],
    pair: tuple[str, str],
) -> dict[str, str]:
    """Jobs that one side lacks or did otherwise, with what to run."""
    every = [place.jobs() for side in places for place in side]
    folders = [*((path, pair[0]) for path in runs_a), *((path, pair[1]) for path in runs_b)]
    missing: dict[str, str] = {}
    for jobs, (path, name) in zip(every, folders, strict=True):
        for job in set.union(*every) - jobs:
            missing[str(job)] = f"overmem audit {shell_word(path)} --axes all --checkpoints {name}"
    heats = {place.manifest.sample_temperature for side in places for place in side}
    if len(heats) > 1 and "sample val" not in missing:
        said = ", ".join(f"{heat:g}" for heat in sorted(heats))
        missing["sample val"] = f"drawn at temperatures {said}: audit both with one --temperature"
    return dict(sorted(missing.items()))
