"""Repair a run: try merges where it is cheap, look closely at the few best, prove the winner.

The flow: settle the halves of val and the checkpoint to beat; score merges by NLL on the search half;
measure answers and sampled diversity of the few best there; measure the winner on every axis on the
confirm half, and accept it or reject it. Rows and scores are saved as they come, so a repair that was
killed goes on where it stopped.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from overmem.auditing.run import measure, open_session
from overmem.auditing.session import Progress
from overmem.axes.kinds import Job
from overmem.diagnosis.costs import Measured, compare_measured, measure_axes
from overmem.diagnosis.evidence import Place, gather
from overmem.errors import MergeError
from overmem.records import Attempt, Checkpoint, Cost, Proof, Repair, Run, Temperature
from overmem.repairing.candidates import Candidate
from overmem.repairing.card import add_proof
from overmem.repairing.choice import choose, headline
from overmem.repairing.plan import FEW, RepairPlan, plan_repair
from overmem.repairing.proof import prove
from overmem.repairing.retrain import reasons_to_retrain, write_recipe
from overmem.repairing.setup import SEARCH_AXES, Setup, set_up
from overmem.repairing.temperature import fit_temperature, read_temperature
from overmem.repairing.trials import Trials
from overmem.repairing.words import repair_words
from overmem.store import Store

OnPlan = Callable[[RepairPlan], None]
"""Told the timed plan before the work starts."""
SCORES = Job("score", "val")


def repair(
    run: str | Path,
    *,
    audit: Path | None = None,
    out: Path | None = None,
    before: str | None = None,
    confirm: str | None = None,
    axes: str | tuple[str, ...] = ("all",),
    few: int = FEW,
    accuracy_margin: float = 0.03,
    perplexity_ratio: float = 1.10,
    budget_minutes: float | None = None,
    progress: Progress | None = None,
    on_plan: OnPlan | None = None,
) -> Repair:
    """Look for a merge of an audited run's checkpoints that beats the best of them, and prove it.

    Args:
        run: run folder, audited with likelihood and accuracy.
        audit: its artifact folder; `RUN/overmem` by default.
        out: folder for the repaired model, which must not exist; `RUN/overmem/repaired`, replaced, by
            default.
        before: checkpoint to beat; the recommended one by default.
        confirm: source of problems for the proof alone; by default half of val is kept for it.
        axes: what the proof measures.
        few: merges whose answers are measured on the search split.
        accuracy_margin: loss of accuracy that still counts as none.
        perplexity_ratio: of the decision rule.
        budget_minutes: time to share out.
        progress: told after every batch.
        on_plan: told the plan before the work starts.

    Returns:
        The record, also written to `repair.json` beside the audit.

    Raises:
        OvermemError: a run that was not audited, too few problems or checkpoints, or an `out` that exists.
    """
    refuse_existing(out)
    setup = set_up(
        run,
        audit=audit,
        before=before,
        confirm=confirm,
        axes=axes,
        accuracy_margin=accuracy_margin,
        perplexity_ratio=perplexity_ratio,
    )
    plan = plan_repair(setup, few=few, budget_minutes=budget_minutes)
    if on_plan is not None:
        on_plan(plan)
    return carry_out(setup, plan, out=out, accuracy_margin=accuracy_margin, progress=progress)


def carry_out(
    setup: Setup,
    plan: RepairPlan,
    *,
    out: Path | None = None,
    accuracy_margin: float = 0.03,
    progress: Progress | None = None,
) -> Repair:
    """Search, choose, prove; see `repair`."""
    trials = search(setup, plan, progress)
    best = trials.best()
    measured, search_places = _close_look(setup, trials, best, progress)
    winner = best[choose(measured[1:], measured[0])] if best else None
    made = [] if winner is None else [trials.make(winner)]
    proved, places = _prove_on(setup, plan, made, progress)
    proof, against_last = (None, ()) if winner is None else _compare(setup, proved, accuracy_margin)
    accepted = proof is not None and proof.accepted
    model = None
    reasons = () if accepted else reasons_to_retrain(setup.verdict)
    if accepted:
        model = out or setup.store.root / "repaired"
    found = Repair(
        run=setup.run.path,
        before=setup.before.name,
        last=setup.last.name,
        n_search=measured[0]["accuracy"]["accuracy"].problems,
        n_confirm=proved[0]["accuracy"]["accuracy"].problems,
        attempts=_attempts(trials, best, measured[1:]),
        winner=None if winner is None else winner.name,
        proof=proof,
        against_last=against_last,
        temperature=_scale(search_places[0], places[0]),
        retraining=write_recipe(
            setup.run, setup.manifest, setup.verdict, reasons, setup.store.root / "retrain.yaml"
        )
        if reasons
        else None,
        model=model,
        thresholds={"accuracy_margin": accuracy_margin},
        notes=(
            *_left_out(plan),
            *(f"{name} could not be measured: {why}" for name, why in trials.failed.items()),
        ),
    )
    found = dataclasses.replace(found, words=repair_words(found))
    if model is not None:
        add_proof(made[0].path, found)
        _move(made[0].path, model, replace=out is None)
    shutil.rmtree(trials.folder, ignore_errors=True)
    setup.store.write_record("repair", found.to_dict())
    return found


def refuse_existing(out: Path | None) -> None:
    """Find out before the work that there would be no place for its result.

    Raises:
        MergeError: `out` exists.
    """
    if out is not None and out.exists():
        raise MergeError("the output folder exists", got=out, next_step="name another one, or remove it")


def search(setup: Setup, plan: RepairPlan, progress: Progress | None = None) -> Trials:
    """Score the candidates on the search half, refine the best pair, grow a greedy soup."""
    store = Store(setup.work / "search")
    for checkpoint in setup.trained:
        store.borrow(setup.store, checkpoint.name)
    alone = Run(path=setup.run.path, checkpoints=(setup.before,))
    session = open_session(alone, setup.search, store.root, progress)
    whole = Run(path=setup.run.path, checkpoints=setup.trained)
    folder = setup.work / "models"
    trials = Trials(whole, session, folder, few=plan.few, base_model=setup.search.base_model)
    trials.try_all(plan.candidates)
    if plan.more:
        trials.refine()
        trials.grow(setup.by_nll)
    session.release()
    return trials


def _close_look(
    setup: Setup, trials: Trials, best: Sequence[Candidate], progress: Progress | None
) -> tuple[list[Measured], list[Place]]:
    """Measures of the checkpoint to beat and of the few best merges, on the search half."""
    checkpoints = (setup.before, *(trials.make(candidate) for candidate in best))
    run = Run(path=setup.run.path, checkpoints=checkpoints)
    done = measure(run, setup.search, out=setup.work / "search", progress=progress)
    places = [Place(done.store, done.manifest, checkpoint.name) for checkpoint in checkpoints]
    return [measure_axes(item, SEARCH_AXES) for item in gather(places)], places


def _prove_on(
    setup: Setup, plan: RepairPlan, made: Sequence[Checkpoint], progress: Progress | None
) -> tuple[list[Measured], list[Place]]:
    """Measures of what is compared and of the winner, on the confirm half."""
    store = Store(setup.work / "confirm")
    for checkpoint in setup.compared:
        store.borrow(setup.store, checkpoint.name)
    checkpoints = (*setup.compared, *made)
    config = setup.confirm
    if plan.budget_minutes is not None:
        config = dataclasses.replace(config, budget_minutes=plan.proof_seconds / 60)
    done = measure(
        Run(path=setup.run.path, checkpoints=checkpoints), config, out=store.root, progress=progress
    )
    places = [Place(done.store, done.manifest, checkpoint.name) for checkpoint in checkpoints]
    axes = done.manifest["axes"]
    return [measure_axes(item, axes) for item in gather(places)], places


def _compare(
    setup: Setup, proved: Sequence[Measured], accuracy_margin: float
) -> tuple[Proof, tuple[Cost, ...]]:
    before, after = proved[0], proved[-1]
    proof = prove(before, after, against=setup.before.name, accuracy_margin=accuracy_margin)
    if setup.before == setup.last:
        return proof, ()
    return proof, tuple(compare_measured([after], [proved[1]], against=setup.last.name))


def _scale(searched: Place, confirmed: Place) -> Temperature:
    """Temperature scaling of the checkpoint to beat, from rows that are there already."""
    grid = tuple(searched.manifest["temperatures"])
    return read_temperature(confirmed.rows(SCORES), grid, fit_temperature(searched.rows(SCORES), grid))


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
            attempt = dataclasses.replace(attempt, accuracy=values[0], pass_at_k=values[1])
        found.append(attempt)
    return tuple(found)


def _left_out(plan: RepairPlan) -> tuple[str, ...]:
    cut = [f"{plan.left_out} merges were not tried, for the budget"] if plan.left_out else []
    return tuple(cut)


def _move(model: Path, out: Path, *, replace: bool) -> None:
    """Put the model where it belongs, whole or not at all."""
    out.parent.mkdir(parents=True, exist_ok=True)
    hidden = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        # Across disks this copies, which a kill could leave half done.
        shutil.move(model, hidden)
        if replace and out.exists():
            shutil.rmtree(out)
        os.replace(hidden, out)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
