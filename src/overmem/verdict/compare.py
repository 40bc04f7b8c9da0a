"""Two runs: which is better at the checkpoints to ship, and what differs where both solve as many problems?

An over-memorized run often has the same accuracy as a gentler one. Comparing the checkpoints at
which accuracy is equal, on every other axis, shows what accuracy hides (docs/comparing.md).

Shape suffixes: D draws, A and B checkpoints of either run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from overmem.artifacts.evidence import Evidence, MeasuredCheckpoint, align_evidence
from overmem.artifacts.jobs import VAL_ANSWERS
from overmem.artifacts.manifest import Manifest
from overmem.artifacts.store import Store
from overmem.errors import ArtifactError, OvermemError, RunError
from overmem.formatting import shell_word
from overmem.keywords import names_its_keywords
from overmem.records import Comparison, Cost
from overmem.rule import DEFAULT_RULE, Rule
from overmem.stats.arrays import FloatArray
from overmem.stats.measures import Measure
from overmem.stats.paired import bootstrap
from overmem.verdict.audited.judged import judge_core
from overmem.verdict.costs import compare_measured, measure_axes
from overmem.verdict.diagnose import open_audit
from overmem.verdict.warnings.unlike import measured_otherwise, refuse_unlike, shared_problems
from overmem.verdict.words.comparison import better_side, comparison_words

LEAST_PROBABILITY = 0.8
"""Probability that accuracies are within the margin at which two checkpoints count as matched."""


Runs = str | Path | Sequence[str | Path]
Side = list[tuple[Store, Manifest]]


@names_its_keywords
def compare(a: Runs, b: Runs, *, rule: Rule = DEFAULT_RULE) -> Comparison:
    """Say which of two audited runs is better: at their recommended checkpoints and at matched accuracy.

    An `overmem.yaml` in the folder is read by the command line alone; `rule` is what counts here.

    Args:
        a: folder of run A, or the folders of several seeds of one recipe, which count as one run.
        b: the same for B, measured on the same problems.
        rule: decides which checkpoints are recommended; its margin is the accuracy difference that still
            counts as equal, its resamples and seed are those of the bootstrap.

    Returns:
        Paired differences, A minus B, at both pairs of checkpoints, on every axis that both sides measured
        there; and the answer in words. Matched is the pair of highest accuracy among those whose accuracies
        are within the margin with probability 0.8.

    Raises:
        ArtifactError: the runs cannot be compared: other problems, another template, tokenizer, grader or
            precision, or other reference answers, which are named.
        OvermemError: a run that was not audited, or a setting out of its range.
    """
    runs_a, runs_b = _paths(a), _paths(b)
    sides = [[open_audit(path) for path in runs] for runs in (runs_a, runs_b)]
    for path, (_, manifest) in zip((*runs_a, *runs_b), (*sides[0], *sides[1]), strict=True):
        if not manifest.checkpoints:
            raise ArtifactError(
                f"the audit of {path} has no checkpoint", next_step="run `overmem audit` again"
            )
    refuse_unlike(*sides)
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
    recommended, not_recommended = _recommended(sides, (runs_a, runs_b), rule)
    shipped = [
        [MeasuredCheckpoint(*audit, name) for audit, name in zip(side, chosen, strict=False)]
        for side, chosen in zip(sides, recommended, strict=True)
    ]
    at_recommended = _differences(shipped, rule) if all(recommended) else []
    found = Comparison(
        a=tuple(map(str, runs_a)),
        b=tuple(map(str, runs_b)),
        better=better_side(at_recommended, rule.accuracy_margin),
        recommended=recommended,
        not_recommended=not_recommended,
        at_recommended=tuple(at_recommended),
        matched=pair if matched else None,
        accuracy=(float(means[0][i]), float(means[1][j])),
        probability=float(probability_A_B[i, j]),
        differences=tuple(differences),
        not_compared=_not_compared(places, runs_a, runs_b, pair) if matched else {},
        measured_in=(_measured_in(sides[0]), _measured_in(sides[1])),
        measured_otherwise=measured_otherwise(*sides),
        problems=shared_problems(*sides),
        thresholds={
            "accuracy_margin": rule.accuracy_margin,
            "resamples": rule.resamples,
            "seed": rule.seed,
        },
        reason=None if matched else f"no two checkpoints have the same accuracy: {closest}",
    )
    return replace(found, words=comparison_words(found))


def _paths(runs: Runs) -> list[Path]:
    paths = [Path(runs)] if isinstance(runs, str | Path) else [Path(run) for run in runs]
    if not paths:
        raise RunError(
            "one of the two sides names no run", expected="a folder, or the folders of several seeds"
        )
    return paths


def _recommended(
    sides: Sequence[Side], runs: Sequence[Sequence[Path]], rule: Rule
) -> tuple[tuple[tuple[str, ...], tuple[str, ...]], str | None]:
    """The recommended checkpoint of each seed, none of a side where one has none; and why it has none."""
    found: list[tuple[str, ...]] = []
    reasons = []
    for side, paths in zip(sides, runs, strict=True):
        names = []
        for (store, manifest), path in zip(side, paths, strict=True):
            try:
                verdict = judge_core(store, manifest, rule).verdict
            except OvermemError as error:
                reasons.append(f"{path}: {error.what}")
                continue
            if verdict.recommended is None:
                reasons.append(f"{path}: {verdict.reason}")
            else:
                names.append(verdict.recommended.name)
        found.append(tuple(names) if len(names) == len(side) else ())
    return (found[0], found[1]), "; ".join(reasons) or None


def _measured_in(side: Side) -> str:
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


def _accuracies(sides: Sequence[Side]) -> list[list[dict[str, Measure]]]:
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
    drawn = (place.manifest for side in places for place in side if place.manifest.imported is None)
    heats = {manifest.sample_temperature for manifest in drawn}
    if len(heats) > 1 and "sample val" not in missing:
        said = ", ".join(f"{heat:g}" for heat in sorted(heats))
        missing["sample val"] = f"drawn at temperatures {said}: audit both with one --temperature"
    return dict(sorted(missing.items()))
