"""The search: score merges by NLL, look closely at the few best, choose the one to prove.

All of it on the search split; what is proved is proved on other problems.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from overmem.artifacts.store import Store
from overmem.auditing.opening import open_session
from overmem.auditing.session import Progress, Session
from overmem.errors import MergeError, RunError
from overmem.records import Checkpoint
from overmem.repairing.candidates import Candidate
from overmem.repairing.choice import choose
from overmem.repairing.plan import RepairPlan
from overmem.repairing.setup import SEARCH_AXES, RepairSetup
from overmem.repairing.split import OnSplit, measure_on
from overmem.repairing.trials import Trials


@dataclass(frozen=True, kw_only=True)
class SearchResult:
    """What a search found."""

    trials: Trials
    best: Sequence[Candidate]
    """Those whose answers were measured, lowest NLL first; none where there was nothing to merge."""
    measured: OnSplit
    """The checkpoint to beat, then `best`."""
    winner: Candidate | None
    model: Checkpoint | None
    """The winner's."""


def search(setup: RepairSetup, plan: RepairPlan, progress: Progress | None = None) -> SearchResult:
    """Try the candidates and choose one.

    Raises:
        RunError: checkpoints have changed since the audit.
        MergeError: no candidate can be made.
    """
    trials = score_all(setup, plan, progress)
    best = trials.best()
    if not best and trials.failed:
        raise MergeError("no merge of this run can be made", got=next(iter(trials.failed.values())))
    checkpoints = (setup.before, *(trials.make(candidate) for candidate in best))
    measured = measure_on(checkpoints, setup, setup.search, "search", SEARCH_AXES, progress)
    winner = best[choose(measured.measures[1:], measured.measures[0])] if best else None
    model = None if winner is None else trials.make(winner)
    return SearchResult(trials=trials, best=best, measured=measured, winner=winner, model=model)


def score_all(setup: RepairSetup, plan: RepairPlan, progress: Progress | None = None) -> Trials:
    """Score the candidates on the search half, refine the best pair, grow a greedy soup."""
    store = Store(setup.work / "search")
    for checkpoint in setup.trained:
        store.copy_missing_rows(setup.store, checkpoint.name)
    locked = replace(setup.run, checkpoints=(setup.before,), skipped={})
    session = open_session(locked, setup.search, store.root, progress)
    _check_unchanged(setup, session)
    whole = replace(setup.run, checkpoints=setup.trained, skipped={})
    folder = setup.work / "models"
    trials = Trials(
        whole,
        session,
        folder,
        few=plan.few,
        base_model=setup.search.base_model,
        left_out=setup.manifest.left_out_of("val"),
    )
    trials.try_all(plan.candidates)
    if plan.more:
        trials.refine()
        trials.grow(setup.by_nll)
    session.loaded.release()
    return trials


def _check_unchanged(setup: RepairSetup, session: Session) -> None:
    """Refuse checkpoints that are no longer the ones that were audited."""
    audited = {found.name: found.weights for found in setup.manifest.checkpoints}
    changed = [c.name for c in setup.trained if session.weights.fingerprint(c) != audited[c.name]]
    if changed:
        raise RunError(
            "checkpoints have other weights than when they were audited",
            got=", ".join(changed),
            next_step="run `overmem audit` again; what has not changed is kept",
        )
