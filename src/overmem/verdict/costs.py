"""What memorization costs: every axis at the last checkpoint, against the ones a reader would rather ship."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from overmem.artifacts.evidence import Evidence, MeasuredCheckpoint, align_evidence, settings_differ
from overmem.artifacts.manifest import Manifest
from overmem.artifacts.store import Store
from overmem.axes import CORE, all_axes
from overmem.axes.grouped import with_groups
from overmem.records import Cost, Verdict
from overmem.stats.measures import Measure
from overmem.stats.paired import difference, holm

DRAWS = 2000
Measured = Mapping[str, Mapping[str, Measure]]
"""The measures of one checkpoint, by axis and name; the first of an axis is its headline."""


def measure_costs(
    store: Store, manifest: Manifest, verdict: Verdict, *, seed: int = 0
) -> tuple[tuple[Cost, ...], tuple[str, ...]]:
    """Paired differences of the last checkpoint against the recommended and the lowest-perplexity one.

    Args:
        store: the run's artifacts.
        manifest: of an audit that may hold more axes than the core.
        verdict: with its recommendation.
        seed: of the bootstrap draws.

    Returns:
        The costs, best-known reference first, and warnings a reader must see.
    """
    last = verdict.checkpoints[-1].name
    references = [verdict.recommended.name] if verdict.recommended else []
    lowest = verdict.alternatives.get("lowest_perplexity")
    references = [name for name in dict.fromkeys([*references, lowest]) if name and name != last]
    if not references:
        return (), ()
    axes = [name for name in manifest.axes if name not in CORE]
    if not axes:
        return (), ()
    places = {name: MeasuredCheckpoint(store, manifest, name) for name in (last, *references)}
    jobs = {name: place.jobs() for name, place in places.items()}
    every = set.union(*jobs.values())
    lacking = [name for name in places if jobs[name] != every]
    warnings = [
        f"the other axes were not all measured at {name}, so it is not compared; run `overmem audit RUN "
        f"--axes {','.join(axes)} --checkpoints {name}`"
        for name in lacking
    ]
    references = [name for name in references if name not in lacking]
    if last in lacking or not references:
        return (), tuple(warnings)
    compared = [places[name] for name in (last, *references)]
    if mixed := sorted(str(job) for job in every if settings_differ(compared, job)):
        warnings.append(
            f"{', '.join(mixed)}: measured at {' or '.join(references)} under other settings (dtype, longest "
            f"answer, temperature, seed, engine) than at {last}, and not compared; run `overmem audit` again "
            "with one set of options"
        )
    evidence = align_evidence(compared)
    measured = [measure_axes(item, axes) for item in evidence]
    costs: list[Cost] = []
    for name, found in zip(references, measured[1:], strict=True):
        costs += compare_measured([measured[0]], [found], against=name, seed=seed)
    warnings += axis_warnings(evidence[0], axes)
    silent = set(axes) - {cost.axis for cost in costs} - set(manifest.cut)
    if silent and not mixed:
        warnings.append(
            f"{', '.join(sorted(silent))}: asked for in some audit, and not measured on these problems by "
            "this grader, with the options of the last audit; "
            f"run `overmem audit RUN --axes {','.join(sorted(silent))}`"
        )
    return tuple(costs), tuple(warnings)


def compare_places(
    left: MeasuredCheckpoint, right: MeasuredCheckpoint, *, against: str, axes: Sequence[str], seed: int = 0
) -> tuple[Cost, ...]:
    """Every measure that two models share, left minus right, on the problems that both have.

    Args:
        left: one model.
        right: the other.
        against: what the right side is called.
        axes: measured on them.
        seed: of the bootstrap draws.
    """
    mine, theirs = (measure_axes(item, axes) for item in align_evidence([left, right]))
    return tuple(compare_measured([mine], [theirs], against=against, seed=seed))


def axis_warnings(evidence: Evidence, axes: Iterable[str]) -> tuple[str, ...]:
    """What a reader of these axes' figures must be warned of."""
    known = all_axes()
    return tuple(text for name in known if name in axes for text in known[name].warnings(evidence))


def measure_axes(evidence: Evidence, axes: Sequence[str]) -> Measured:
    """Every measure of these axes that the evidence allows; problems of one group are drawn together."""
    known = all_axes()
    return {
        name: {m.name: with_groups(m, evidence) for m in known[name].measures(evidence)}
        for name in known
        if name in axes
    }


def compare_measured(
    left: Sequence[Measured], right: Sequence[Measured], *, against: str, draws: int = DRAWS, seed: int = 0
) -> list[Cost]:
    """Every measure that both sides have, left minus right; Holm over the axes' headlines.

    Args:
        left: one side, one entry a seed.
        right: the other side, of the same problems.
        against: name of the right side.
        draws: bootstrap draws.
        seed: of the draws.
    """
    found: list[Cost] = []
    for axis in left[0]:
        sides = [[measured[axis] for measured in side] for side in (left, right)]
        shared = [name for name in sides[0][0] if all(name in item for side in sides for item in side)]
        for name in shared:
            a, b = ([item[name] for item in side] for side in sides)
            found.append(_cost(axis, a, b, against, name == shared[0], draws, seed))
    adjusted = iter(holm([cost.p for cost in found if cost.headline]))
    return [dataclasses.replace(cost, p_holm=next(adjusted)) if cost.headline else cost for cost in found]


def _cost(
    axis: str,
    left: Sequence[Measure],
    right: Sequence[Measure],
    against: str,
    headline: bool,
    draws: int,
    seed: int,
) -> Cost:
    found = difference(left, right, draws=draws, seed=seed)
    return Cost(
        axis=axis,
        measure=left[0].name,
        against=against,
        value=_mean(left),
        reference_value=_mean(right),
        difference=found.estimate,
        direction=left[0].direction,
        headline=headline,
        p=found.p,
        seeds=min(len(left), len(right)) if max(len(left), len(right)) > 1 else None,
    )


def _mean(measures: Sequence[Measure]) -> float:
    return sum(measure.value() for measure in measures) / len(measures)
