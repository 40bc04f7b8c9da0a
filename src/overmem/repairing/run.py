"""Repair a run: try merges where it is cheap, look closely at the few best, prove the winner.

The flow: settle the halves of val and the checkpoint to beat; score merges by NLL on the search half;
measure answers and sampled diversity of the few best there; measure the winner on every axis on the
confirm half, and accept it or reject it. Rows and scores are saved as they come, so a repair that was
killed goes on where it stopped.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

from overmem.auditing.consent import Consent
from overmem.auditing.session import Progress
from overmem.keywords import names_its_keywords
from overmem.records import Repair
from overmem.repairing.output import clear_earlier, refuse_existing, settle
from overmem.repairing.plan import FEW, RepairPlan, plan_repair
from overmem.repairing.record import make_record
from overmem.repairing.search import search
from overmem.repairing.setup import RepairSetup, prepare_repair
from overmem.repairing.split import measure_proof
from overmem.rule import DEFAULT_RULE, Rule

OnPlan = Callable[[RepairPlan], None]
"""Told the timed plan before the work starts."""


@names_its_keywords
def repair(
    run: str | Path,
    *,
    audit: str | Path | None = None,
    out: str | Path | None = None,
    before: str | None = None,
    confirm: str | None = None,
    axes: str | tuple[str, ...] = ("all",),
    few: int = FEW,
    rule: Rule = DEFAULT_RULE,
    budget_minutes: float | None = None,
    trust_remote_code: bool = False,
    allow_pickle: bool = False,
    allow_code_execution: bool = False,
    grader: str | None = None,
    template: str | None = None,
    progress: Progress | None = None,
    on_plan: OnPlan | None = None,
) -> Repair:
    """Find an average of an audited run's checkpoints that is better than the best of them, and prove it.

    Args:
        run: run folder, audited with likelihood and accuracy.
        audit: its artifact folder; `RUN/overmem` by default.
        out: folder for the repaired model, which must not exist; `RUN/overmem/repaired`, replaced, by
            default.
        before: checkpoint to beat; the recommended one by default.
        confirm: source of problems for the proof only; by default half of val is kept for it.
        axes: what the proof measures.
        few: number of merges whose answers are measured on the search split.
        rule: thresholds; its margin is the loss of accuracy that still counts as none.
        budget_minutes: minutes for search and proof.
        trust_remote_code: run model code that the checkpoints or their base model bring along.
        allow_pickle: load .bin weights, which can run code.
        allow_code_execution: let the grader `code` run answers in its sandbox (docs/code.md).
        grader: the function that the audit graded by, `python:...`, as consent to run it.
        template: the other code that the audit rendered by, as consent to run it.
        progress: told after every batch.
        on_plan: told the plan before the work starts; what it raises stops the repair there.

    Returns:
        The record, also written to `repair.json` beside the audit.

    Raises:
        OvermemError: a run that was not audited, too few problems or checkpoints, an `out` that exists, or
            code that only the run's own files name.
    """
    audit, out = (None if folder is None else Path(folder) for folder in (audit, out))
    refuse_existing(out)
    setup = prepare_repair(
        run,
        audit=audit,
        before=before,
        confirm=confirm,
        axes=axes,
        rule=rule,
        consent=Consent(
            trust_remote_code=trust_remote_code,
            allow_pickle=allow_pickle,
            allow_code_execution=allow_code_execution,
            grader=grader,
            template=template,
        ),
    )
    plan = plan_repair(setup, few=few, budget_minutes=budget_minutes, timed=on_plan is not None)
    if on_plan is not None:
        on_plan(plan)
    return _carry_out(setup, plan, out, progress)


def _carry_out(setup: RepairSetup, plan: RepairPlan, out: Path | None, progress: Progress | None) -> Repair:
    """Search, prove, write down, and put the model where it belongs."""
    start = time.monotonic()
    found = search(setup, plan, progress)
    confirmed = measure_proof(setup, found.model, _minutes_left(plan, start), progress)
    target = out or setup.store.root / "repaired"
    repaired = make_record(setup, plan, found, confirmed, target)
    settle(repaired, found.model, target, replace=out is None)
    setup.store.write_record("repair", repaired.to_dict())
    clear_earlier(repaired, setup.store.root, target if out is None else None)
    shutil.rmtree(found.trials.folder, ignore_errors=True)
    return repaired


def _minutes_left(plan: RepairPlan, start: float) -> float | None:
    spent = (time.monotonic() - start) / 60
    return None if plan.budget_minutes is None else plan.budget_minutes - spent
