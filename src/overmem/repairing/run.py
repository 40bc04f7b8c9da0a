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
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from overmem.auditing.run import measure, open_session
from overmem.auditing.session import Progress, Session
from overmem.axes.kinds import VAL_SCORES
from overmem.diagnosis.costs import Measured, compare_measured, measure_axes
from overmem.diagnosis.evidence import Place, gather
from overmem.errors import MergeError, RunError
from overmem.records import Attempt, Checkpoint, Cost, Proof, Repair, Retraining, Run, Temperature
from overmem.repairing.candidates import Candidate
from overmem.repairing.card import add_proof
from overmem.repairing.choice import choose, headline
from overmem.repairing.merge.apply import whole_folder
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
LEAST_PROOF_MINUTES = 0.1
"""Of a budget that the search has used up."""


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
    start = time.monotonic()
    trials = search(setup, plan, progress)
    best = trials.best()
    if not best and trials.failed:
        raise MergeError("no merge of this run can be made", got=next(iter(trials.failed.values())))
    measured, searched = _close_look(setup, trials, best, progress)
    winner = best[choose(measured[1:], measured[0])] if best else None
    made = [] if winner is None else [trials.make(winner)]
    left = None if plan.budget_minutes is None else plan.budget_minutes - (time.monotonic() - start) / 60
    proved, confirmed = _prove_on(setup, made, left, progress)
    proof, against_last = (None, ()) if winner is None else _compare(setup, proved, accuracy_margin)
    accepted = proof is not None and proof.accepted
    target = out or setup.store.root / "repaired"
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
        temperature=_scale(searched[0], confirmed[0]),
        retraining=_retraining(setup, accepted),
        model=target if accepted else None,
        thresholds={"accuracy_margin": accuracy_margin},
        notes=(*setup.notes, *plan.left_out_words, *_cut(confirmed[0]), *_failed(trials)),
        audited=setup.audited,
    )
    found = dataclasses.replace(found, words=repair_words(found))
    if accepted:
        add_proof(made[0].path, found)
        put_model(made[0].path, target, replace=out is None)
    elif out is None:
        # What an earlier repair proved is not what this one says.
        shutil.rmtree(target, ignore_errors=True)
    shutil.rmtree(trials.folder, ignore_errors=True)
    setup.store.write_record("repair", found.to_dict())
    return found


def refuse_existing(out: Path | None) -> None:
    """Find out before the work that there would be no place for its result.

    Raises:
        MergeError: `out` exists, or cannot be a folder.
    """
    if out is None:
        return
    if out.exists() or out.is_symlink():
        raise MergeError("the output folder exists", got=out, next_step="name another one, or remove it")
    above = next(parent for parent in Path(os.path.abspath(out)).parents if parent.exists())
    if not above.is_dir():
        raise MergeError("the output cannot be a folder", got=out, expected=f"{above} to be a folder")


def search(setup: Setup, plan: RepairPlan, progress: Progress | None = None) -> Trials:
    """Score the candidates on the search half, refine the best pair, grow a greedy soup."""
    store = Store(setup.work / "search")
    for checkpoint in setup.trained:
        store.borrow(setup.store, checkpoint.name)
    alone = Run(path=setup.run.path, checkpoints=(setup.before,))
    session = open_session(alone, setup.search, store.root, progress)
    _check_unchanged(setup, session)
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


def _check_unchanged(setup: Setup, session: Session) -> None:
    """Refuse checkpoints that are no longer the ones that were audited."""
    audited = {record["name"]: record["weights"] for record in setup.manifest["checkpoints"]}
    changed = [c.name for c in setup.trained if session.fingerprint(c) != audited[c.name]]
    if changed:
        raise RunError(
            "checkpoints have other weights than when they were audited",
            got=", ".join(changed),
            next_step="run `overmem audit` again; what has not changed is kept",
        )


def _prove_on(
    setup: Setup, made: Sequence[Checkpoint], minutes: float | None, progress: Progress | None
) -> tuple[list[Measured], list[Place]]:
    """Measures of what is compared and of the winner, on the confirm split."""
    store = Store(setup.work / "confirm")
    for checkpoint in setup.compared:
        store.borrow(setup.store, checkpoint.name)
    checkpoints = (*setup.compared, *made)
    # What the search took longer than planned is not taken from the proof altogether.
    budget = None if minutes is None else max(minutes, LEAST_PROOF_MINUTES)
    config = dataclasses.replace(setup.confirm, budget_minutes=budget)
    run = Run(path=setup.run.path, checkpoints=checkpoints)
    done = measure(run, config, out=store.root, progress=progress)
    places = [Place(done.store, done.manifest, checkpoint.name) for checkpoint in checkpoints]
    return [measure_axes(item, setup.confirm.axes) for item in gather(places)], places


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
            attempt = dataclasses.replace(attempt, accuracy=values[0], pass_at_k=values[1])
        found.append(attempt)
    return tuple(found)


def _retraining(setup: Setup, accepted: bool) -> Retraining | None:
    path = setup.store.root / "retrain.yaml"
    path.unlink(missing_ok=True)
    reasons = () if accepted else reasons_to_retrain(setup.verdict)
    return write_recipe(setup.run, setup.manifest, setup.verdict, reasons, path) if reasons else None


def _cut(place: Place) -> list[str]:
    """Axes of the proof that the budget left fewer problems, or none."""
    cut = place.manifest["cut"] or {}
    return [
        f"{axis} was proved on {item['measured']} of {item['asked']} problems, for the budget"
        for axis, item in cut.items()
    ]


def _failed(trials: Trials) -> list[str]:
    return [f"{name} could not be measured: {why}" for name, why in trials.failed.items()]


def put_model(model: Path, out: Path, *, replace: bool) -> None:
    """Copy a model to where it belongs, whole or not at all.

    Args:
        model: its folder, which stays.
        out: where it goes.
        replace: whether an earlier one is replaced; it is removed only when the new one is there.
    """
    n_bytes = sum(file.stat().st_size for file in model.rglob("*") if file.is_file())
    old = out.with_name(f".{out.name}.old")
    if replace and out.exists():
        shutil.rmtree(old, ignore_errors=True)
        os.replace(out, old)
    try:
        with whole_folder(out, n_bytes) as folder:
            shutil.copytree(model, folder, dirs_exist_ok=True)
    except BaseException:
        if old.exists():
            os.replace(old, out)
        raise
    shutil.rmtree(old, ignore_errors=True)
