"""Measure what a sweep recommends again, on problems that chose nothing, beside the two naive picks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from overmem.artifacts.evidence import MeasuredCheckpoint, align_evidence
from overmem.axes import CORE
from overmem.records import Cost, Estimate
from overmem.stats.checks import check_groups
from overmem.stats.intervals import accuracy_estimate, nll_estimate, perplexity_estimate
from overmem.stats.moments import measure_seeds
from overmem.sweeping.cells import Cell
from overmem.sweeping.config import Sweep
from overmem.sweeping.record import Family, Point
from overmem.sweeping.work import Task, confirm_store
from overmem.verdict.costs import Measured, compare_measured, measure_axes
from overmem.verdict.seeds import read_seeds


def confirm_tasks(sweep: Sweep, families: Sequence[Family], cells: Mapping[str, Cell]) -> list[Task]:
    """What is to be measured again: the picks of every family, in all cells of their configurations.

    Args:
        sweep: with its `confirm`.
        families: with their picks.
        cells: by name.
    """
    wanted: dict[str, list[str]] = {}
    for family in families:
        for point in _picks(family):
            for name in _cells_of(family, point):
                wanted.setdefault(name, []).append(point.checkpoint)
    return [Task(cell=cells[name], sweep=sweep, confirm=tuple(found)) for name, found in wanted.items()]


def confirmed(family: Family, cells: Mapping[str, Cell], seed: int = 0) -> Family:
    """A family with the recommended point minus each naive pick, in pairs, with 95% intervals.

    Args:
        family: whose picks were measured.
        cells: by name.
        seed: of the bootstrap draws.

    Raises:
        ArtifactError: a pick was not measured.
    """
    picks = _picks(family)
    if not picks:
        return family
    places = [[_place(cells[name], point) for name in _cells_of(family, point)] for point in picks]
    evidence = iter(align_evidence([place for side in places for place in side]))
    sides = [[measure_axes(next(evidence), CORE) for _ in side] for side in places]
    costs: list[Cost] = []
    for point, side in zip(picks[1:], sides[1:], strict=True):
        costs += compare_measured(_headlines(sides[0]), _headlines(side), against=point.label, seed=seed)
    figures = {
        point.label: _figures([cells[name] for name in _cells_of(family, point)], point) for point in picks
    }
    return replace(family, confirmed=tuple(costs), confirmed_figures=figures)


def _picks(family: Family) -> list[Point]:
    """The recommended point first, then the naive ones that are others."""
    if family.recommended is None:
        return []
    labels = dict.fromkeys([family.recommended.label, *family.alternatives.values()])
    return [family.point(label) for label in labels]


def _cells_of(family: Family, point: Point) -> tuple[str, ...]:
    return next(group.cells for group in family.groups if group.name == point.group)


def _place(cell: Cell, point: Point) -> MeasuredCheckpoint:
    store, manifest = confirm_store(cell)
    return MeasuredCheckpoint(store, manifest, point.checkpoint)


def _figures(cells: Sequence[Cell], point: Point) -> dict[str, Estimate]:
    """Accuracy and perplexity of a pick, over its seeds."""
    seeds = read_seeds([confirm_store(cell) for cell in cells])
    groups = check_groups(seeds.group_N, len(seeds.ids))
    moments = measure_seeds(seeds.correct_S_C_N, seeds.nll_nats_S_C_N, seeds.n_tokens_N, groups)
    c = seeds.names.index(point.checkpoint)
    perplexity = perplexity_estimate(nll_estimate(moments, c))
    return {"accuracy": accuracy_estimate(moments, c), "perplexity": perplexity}


def _headlines(side: Sequence[Measured]) -> list[Measured]:
    """Accuracy and NLL alone."""
    return [
        {axis: dict([next(iter(measures.items()))]) for axis, measures in measured.items()}
        for measured in side
    ]
