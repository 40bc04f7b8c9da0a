"""The record of a repair: what was tried, what was proved, and what to do where nothing was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from overmem.artifacts.evidence import MeasuredCheckpoint
from overmem.artifacts.jobs import VAL_SCORES
from overmem.records import Attempt, Cost, Proof, Repair, Retraining, Temperature
from overmem.repairing.candidates import Candidate
from overmem.repairing.choice import headline
from overmem.repairing.narrative import repair_words
from overmem.repairing.output import RETRAIN
from overmem.repairing.plan import RepairPlan
from overmem.repairing.proof import prove
from overmem.repairing.retrain import reasons_to_retrain, write_recipe
from overmem.repairing.search import SearchResult
from overmem.repairing.setup import RepairSetup
from overmem.repairing.split import OnSplit
from overmem.repairing.temperature import fit_temperature, read_temperature
from overmem.repairing.trials import Trials
from overmem.repairing.tries import count_try
from overmem.verdict.costs import Measured, compare_measured


def make_record(
    setup: RepairSetup, plan: RepairPlan, found: SearchResult, confirmed: OnSplit, target: Path
) -> Repair:
    """Put the proof to the test of the margins, and say what came of the repair.

    Where nothing was proved and there is reason to train again, this writes the recipe, `retrain.yaml`.

    Args:
        setup: what the repair started from.
        plan: what was to be tried.
        found: what was.
        confirmed: the checkpoint to beat, the last one and the winner on the confirm split.
        target: where the model goes if it is accepted.
    """
    proof, against_last = _compare(setup, found, confirmed)
    accepted = proof is not None and proof.accepted
    repair = Repair(
        run=setup.run.path,
        before=setup.before.name,
        last=setup.last.name,
        n_search=found.measured.n,
        n_confirm=confirmed.n,
        attempts=_attempts(found.trials, found.best, found.measured.measures[1:]),
        winner=None if found.winner is None else found.winner.name,
        proof=proof,
        against_last=against_last,
        temperature=_scale(found.measured.places[0], confirmed.places[0]),
        retraining=_retraining(setup, accepted),
        model=target if accepted else None,
        thresholds={"accuracy_margin": setup.rule.accuracy_margin},
        notes=(
            *setup.notes,
            *plan.left_out_words,
            *_cut(confirmed.places[0]),
            *_failed(found.trials),
        ),
        audited=setup.audited,
    )
    return replace(repair, words=repair_words(repair))


def _compare(
    setup: RepairSetup, found: SearchResult, confirmed: OnSplit
) -> tuple[Proof | None, tuple[Cost, ...]]:
    """The winner against the checkpoint to beat, and against the last where that is another one."""
    if found.winner is None:
        return None, ()
    before, after = confirmed.measures[0], confirmed.measures[-1]
    names = [checkpoint.name for checkpoint in setup.run.checkpoints]
    proof = prove(
        before,
        after,
        against=setup.before.name,
        accuracy_margin=setup.rule.accuracy_margin,
        number=count_try(setup.store, confirmed.places[-1], confirmed.places[0], names),
    )
    if setup.before == setup.last:
        return proof, ()
    return proof, tuple(compare_measured([after], [confirmed.measures[1]], against=setup.last.name))


def _scale(searched: MeasuredCheckpoint, confirmed: MeasuredCheckpoint) -> Temperature:
    """Temperature scaling of the checkpoint to beat, from rows that are there already."""
    grid = searched.manifest.temperatures
    return read_temperature(
        confirmed.rows(VAL_SCORES), grid, fit_temperature(searched.rows(VAL_SCORES), grid)
    )


def _attempts(trials: Trials, best: Sequence[Candidate], measured: Sequence[Measured]) -> tuple[Attempt, ...]:
    closely = dict(zip(best, measured, strict=True))
    found = []
    for candidate, nll in sorted(trials.nll.items(), key=lambda item: item[1]):
        attempt = Attempt(
            name=candidate.name,
            method=candidate.family,
            checkpoints=candidate.checkpoints,
            weights=candidate.weights,
            nll_nats=nll,
        )
        if candidate in closely:
            heads = [headline(closely[candidate], axis) for axis in ("accuracy", "diversity")]
            values = [float("nan") if head is None else head.value() for head in heads]
            attempt = replace(attempt, accuracy=values[0], pass_at_k=values[1])
        found.append(attempt)
    return tuple(found)


def _retraining(setup: RepairSetup, accepted: bool) -> Retraining | None:
    path = setup.store.root / RETRAIN
    reasons = () if accepted else reasons_to_retrain(setup.verdict)
    return write_recipe(setup.run, setup.manifest, setup.verdict, reasons, path) if reasons else None


def _cut(place: MeasuredCheckpoint) -> list[str]:
    """Axes of the proof that the budget left fewer problems, or none."""
    return [
        f"{axis} was proved on {item['measured']} of {item['asked']} problems, for the budget"
        for axis, item in place.manifest.cut.items()
    ]


def _failed(trials: Trials) -> list[str]:
    return [f"{name} could not be measured: {why}" for name, why in trials.failed.items()]
