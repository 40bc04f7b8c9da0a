"""What the cells of a sweep say together: every configuration at every checkpoint, and which to train with.

Pure functions of arrays; no torch. Each configuration is judged on its own curve, its seeds as one run.
Across configurations the recommendation (docs/definitions.md) is applied to all points at once; whether a
point is inflated or unstable is said of its own configuration's curve.

Shape suffixes: S seeds, C checkpoints of a configuration, N problems, P points (configuration x checkpoint)
of a family, B = 2P (accuracies first, then log NLLs).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from overmem.artifacts.evidence import joined_labels
from overmem.records import STAGES, Verdict
from overmem.reporting.downloads import Cell, Table
from overmem.rule import Rule
from overmem.stats.arrays import FloatArray
from overmem.stats.curves.posterior import Curves, measured_vector
from overmem.stats.groups import Groups
from overmem.stats.moments import Moments, measure_curves, measure_seeds
from overmem.stats.perplexity import perplexity
from overmem.stats.selection import choose
from overmem.sweeping.edges import find_edges
from overmem.sweeping.record import Choice, Family, Group, Point, epoch_of
from overmem.verdict.judge import missing_evidence
from overmem.verdict.recommendation import advise
from overmem.verdict.seeds import Seeds
from overmem.verdict.warnings.majority_baseline import baseline_text, is_near_baseline


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One configuration with what was measured of it."""

    name: str
    settings: Mapping[str, Any]
    """The keys that vary over the sweep."""
    model: str
    scheduler: str
    val: str
    """Fingerprint of the val problems as tokens; perplexities on others are not comparable."""
    cells: tuple[str, ...]
    """One a seed."""
    seeds: Seeds
    verdict: Verdict
    """Of all seeds as one run."""


def baseline_notes(measured: Sequence[Measured]) -> list[str]:
    """Warn, in one sentence, of the configurations whose accuracy is hardly more than one without skill."""
    near = [item for item in measured if is_near_baseline(item.verdict, item.seeds.baseline)]
    if not near:
        return []
    baseline = baseline_text(max(item.seeds.baseline for item in near))
    margin = 100 * near[0].verdict.thresholds["accuracy_margin"]
    return [
        f"the highest accuracy may be within the margin of {margin:g} points of {baseline}, where stages say "
        f"little: {', '.join(item.name for item in near)}"
    ]


def make_family(
    measured: Sequence[Measured],
    rule: Rule,
    absent: Mapping[str, Mapping[str, Any]] | None = None,
) -> Family:
    """Put configurations side by side and choose among all their points.

    Args:
        measured: configurations of one model and one val.
        rule: thresholds.
        absent: settings of configurations that were asked for and have no result, by name.

    Returns:
        The family; nothing is recommended where the rows are too few, with the reason.
    """
    moments = pool_points(measured)
    points = [_point(item, c) for item in measured for c in range(len(item.seeds.steps))]
    lowest = float(moments.nll_C.min()) if points else math.nan
    points = [
        replace(point, perplexity_ratio=perplexity(nll - lowest))
        for point, nll in zip(points, moments.nll_C.tolist(), strict=True)
    ]
    labels = [point.label for point in points]
    missing = missing_evidence(moments)
    shares_P_S = np.array(
        [[c.stage_probabilities[s] for s in STAGES] for item in measured for c in item.verdict.checkpoints]
    )
    choice = choose(pooled_curves(moments, rule), shares_P_S, rule)
    advice = None if missing else advise(moments, choice, [p.step for p in points], labels)
    chosen = None if advice is None else points[labels.index(advice.recommended.name)]
    groups = tuple(_group(item) for item in measured)
    return Family(
        model=measured[0].model,
        n=moments.n,
        groups=groups,
        points=tuple(points),
        recommended=None
        if advice is None or chosen is None
        else Choice(
            label=chosen.label,
            group=chosen.group,
            checkpoint=chosen.checkpoint,
            why=advice.recommended.why.replace("checkpoints that", "points that"),
            edges=find_edges(chosen, points, groups, absent),
        ),
        alternatives={} if advice is None else {k: str(v) for k, v in advice.alternatives.items()},
        alternative_costs={} if advice is None else advice.alternative_costs,
        reason=missing,
    )


def pool_points(measured: Sequence[Measured]) -> Moments:
    """Accuracy and NLL of every point, with the covariance of their errors.

    Errors come from which problems were drawn, shared by all points, and from which seeds, shared by the
    checkpoints of one configuration only; with a single seed the latter are not known and not allowed for.

    Args:
        measured: configurations measured on the same val.

    Returns:
        Moments over P points, in the order of the configurations and their checkpoints.
    """
    ids = sorted(set.intersection(*(set(item.seeds.ids) for item in measured)))
    curves = [_on(item.seeds, ids) for item in measured]
    n_tokens_N, groups = curves[0][2], _groups_of([item.seeds for item in measured], ids)
    pooled = measure_curves(
        np.concatenate([correct_S_C_N.mean(axis=0) for correct_S_C_N, _, _ in curves]),
        np.concatenate([nll_S_C_N.mean(axis=0) for _, nll_S_C_N, _ in curves]),
        n_tokens_N,
        groups,
    )
    between_B_B = np.zeros_like(pooled.sample_cov_B_B)
    points, start = pooled.nll_C.size, 0
    for correct_S_C_N, nll_S_C_N, _ in curves:
        size = correct_S_C_N.shape[1]
        at = np.r_[start : start + size, points + start : points + start + size]
        both = measure_seeds(correct_S_C_N, nll_S_C_N, n_tokens_N).sample_cov_B_B
        problems = measure_curves(correct_S_C_N.mean(axis=0), nll_S_C_N.mean(axis=0), n_tokens_N)
        between_B_B[np.ix_(at, at)] = both - problems.sample_cov_B_B
        start += size
    return replace(pooled, sample_cov_B_B=pooled.sample_cov_B_B + between_B_B)


def pooled_curves(moments: Moments, rule: Rule) -> Curves:
    """Draws of the true figures of all points: measured ones with their error, as no curve joins the points.

    Args:
        moments: of the points.
        rule: number of draws and their seed.
    """
    rng = np.random.default_rng(rule.seed)
    mean_B = measured_vector(moments.accuracy_C, moments.nll_C)
    return Curves.of(
        rng.multivariate_normal(mean_B, moments.sample_cov_B_B, size=rule.resamples, method="eigh")
    )


def points_table(families: Sequence[Family]) -> Table:
    """All points as a table: settings, step, epoch, each measure with its interval, stage and confidence."""
    rows = list[dict[str, Cell]]()
    for family in families:
        settings = {group.name: group.settings for group in family.groups}
        for point in family.points:
            row: dict[str, Cell] = {"model": family.model, "configuration": point.group}
            row |= {key: _plain(value) for key, value in settings[point.group].items()}
            row |= {"checkpoint": point.checkpoint, "step": point.step, "epoch": point.epoch}
            row |= {"stage": point.stage, "leaning": point.leaning, "confidence": point.confidence}
            for name in ("accuracy", "nll_nats", "perplexity"):
                found = getattr(point, name)
                row |= {name: found.value, f"{name}_low_95": found.low, f"{name}_high_95": found.high}
            rows.append(row | {"perplexity_ratio": point.perplexity_ratio, "problems": point.accuracy.n})
    columns = tuple(dict.fromkeys(key for row in rows for key in row))
    return Table(columns=columns, rows=tuple(tuple(row.get(key) for key in columns) for row in rows))


def _groups_of(every: Sequence[Seeds], ids: Sequence[str]) -> Groups:
    """The groups of the problems, those of one group in any configuration's audit being one."""
    known = [dict(zip(s.ids, s.group_N, strict=True)) for s in every if s.group_N is not None]
    return Groups.of(map(joined_labels(known).__getitem__, ids)) if known else Groups.of_one(len(ids))


def _on(seeds: Seeds, ids: Sequence[str]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The rows of a configuration on some of its problems."""
    place = {name: position for position, name in enumerate(seeds.ids)}
    at = [place[name] for name in ids]
    return seeds.correct_S_C_N[:, :, at], seeds.nll_nats_S_C_N[:, :, at], seeds.n_tokens_N[at]


def _point(item: Measured, c: int) -> Point:
    found = item.verdict.checkpoints[c]
    return Point(
        group=item.name,
        checkpoint=found.name,
        step=found.step,
        epoch=found.epoch,
        stage=found.stage,
        leaning=found.leaning,
        confidence=found.confidence,
        accuracy=found.accuracy,
        nll_nats=found.nll_nats,
        perplexity=found.perplexity,
        perplexity_ratio=math.nan,
    )


def _group(item: Measured) -> Group:
    onset, epochs = item.verdict.onset, dict(zip(item.seeds.steps, item.seeds.epochs, strict=True))
    return Group(
        name=item.name,
        settings=item.settings,
        cells=item.cells,
        onset=onset,
        onset_epoch=epoch_of(onset.step, epochs),
        onset_epoch_low=epoch_of(onset.low, epochs),
        onset_epoch_high=epoch_of(onset.high, epochs),
        scheduler=item.scheduler,
    )


def _plain(value: Any) -> str | int | float | bool | None:
    return value if isinstance(value, str | int | float | None) else json.dumps(value, default=str)
