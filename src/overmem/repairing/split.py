"""Models measured side by side on one of the two splits of a repair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from overmem.artifacts.evidence import MeasuredCheckpoint, align_evidence
from overmem.artifacts.store import Store
from overmem.auditing.options import AuditOptions
from overmem.auditing.run import measure
from overmem.auditing.session import Progress
from overmem.records import Checkpoint
from overmem.repairing.setup import RepairSetup
from overmem.verdict.costs import Measured, measure_axes

LEAST_PROOF_MINUTES = 0.1
"""Of a budget that the search has used up."""


@dataclass(frozen=True)
class OnSplit:
    """Models on the problems that all of them share; the checkpoint to beat is the first."""

    measures: Sequence[Measured]
    places: Sequence[MeasuredCheckpoint]

    @property
    def n(self) -> int:
        """Problems that were answered."""
        return self.measures[0]["accuracy"]["accuracy"].problems


def measure_on(
    checkpoints: Sequence[Checkpoint],
    setup: RepairSetup,
    options: AuditOptions,
    split: str,
    axes: Sequence[str],
    progress: Progress | None,
) -> OnSplit:
    """Audit models on a split.

    Args:
        checkpoints: the one to beat first.
        setup: of the repair.
        options: what is measured, on which problems.
        split: `search` or `confirm`, the folder that rows are kept in.
        axes: whose measures are taken.
        progress: told after every batch.
    """
    run = replace(setup.run, checkpoints=tuple(checkpoints), skipped={})
    done = measure(run, options, out=setup.work / split, progress=progress)
    manifest = done.manifest
    if options.val == setup.manifest.val.source:
        # The training data are named in the run's audit, and not in those of a repair.
        manifest = replace(manifest, left_out=setup.manifest.left_out)
    places = [MeasuredCheckpoint(done.store, manifest, checkpoint.name) for checkpoint in checkpoints]
    return OnSplit([measure_axes(item, axes) for item in align_evidence(places)], places)


def measure_proof(
    setup: RepairSetup, model: Checkpoint | None, minutes: float | None, progress: Progress | None
) -> OnSplit:
    """The checkpoint to beat, the last one and the winner on every axis, on the confirm split.

    Args:
        setup: of the repair.
        model: the winner, if there is one.
        minutes: what is left of a budget.
        progress: told after every batch.
    """
    store = Store(setup.work / "confirm")
    for checkpoint in setup.compared:
        store.copy_missing_rows(setup.store, checkpoint.name)
    # What the search took longer than planned is not taken from the proof altogether.
    budget = None if minutes is None else max(minutes, LEAST_PROOF_MINUTES)
    options = setup.confirm.replace(budget_minutes=budget)
    checkpoints = setup.compared if model is None else (*setup.compared, model)
    return measure_on(checkpoints, setup, options, "confirm", options.axes, progress)
