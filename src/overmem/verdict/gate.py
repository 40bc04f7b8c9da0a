"""A verdict as a gate for CI: does a checkpoint have a stage that must not be shipped?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from overmem.artifacts.store import Store
from overmem.errors import RunError
from overmem.formatting import certainty_text
from overmem.records import STAGES, CheckpointSummary, Verdict
from overmem.verdict.warnings.staleness import staleness_notes

UNDETERMINED = "undetermined"


@dataclass(frozen=True, kw_only=True)
class Gate:
    """Whether a checkpoint passes, and why."""

    passed: bool
    reason: str


def refuse_stale(run_path: Path) -> None:
    """Refuse to judge a run whose folder is not what was audited.

    Raises:
        RunError: checkpoints were added, or written anew.
    """
    store = Store.of_run(run_path)
    changed = staleness_notes(run_path, store) if store.has_record("manifest") else ()
    if changed:
        raise RunError("the run's folder changed since it was audited", got="; ".join(changed))


def check_verdict(verdict: Verdict, fail_on: Sequence[str], checkpoint: str = "last") -> Gate:
    """Pass a checkpoint unless its stage is among those that fail.

    A stage is given from a confidence of 0.8 on; below, it is `undetermined`, which fails only when listed.

    Args:
        verdict: of the run.
        fail_on: stages that fail, of `overmem.records.STAGES` and `undetermined`.
        checkpoint: `last`, `recommended`, or a name.

    Raises:
        RunError: an unknown stage or checkpoint, none is recommended, or the verdict was refused because too
            much of val was trained on.
    """
    known = (*STAGES, UNDETERMINED)
    unknown = [stage for stage in fail_on if stage not in known]
    if unknown or not fail_on:
        raise RunError(
            "unknown stage to fail on" if unknown else "no stage to fail on",
            got=", ".join(unknown) or "none",
            expected=f"some of {', '.join(known)}",
        )
    clean = verdict.clean_val
    if clean is not None and clean.refused and UNDETERMINED not in fail_on:
        raise RunError("no stage can be told: val is not clean", got=clean.refused)
    found = _find(verdict, checkpoint)
    what = f"{found.name} is {found.stage} ({certainty_text(found.leaning, found.confidence)})"
    if clean is not None and clean.left_out:
        what += f", on {clean.measured - clean.left_out} clean problems ({clean.left_out} left out)"
    failed = found.stage in fail_on
    return Gate(
        passed=not failed, reason=f"{what}; {'fails' if failed else 'passes'} on {', '.join(fail_on)}"
    )


def _find(verdict: Verdict, checkpoint: str) -> CheckpointSummary:
    names = [summary.name for summary in verdict.checkpoints]
    wanted: str | None = checkpoint
    if checkpoint == "recommended":
        wanted = verdict.recommended.name if verdict.recommended is not None else None
    elif checkpoint == "last":
        wanted = names[-1] if names else None
    if wanted not in names:
        raise RunError(
            "no such checkpoint" if wanted is not None else "the verdict names no such checkpoint",
            got=checkpoint,
            expected=f"last, recommended, or one of {', '.join(names)}"
            if names
            else "a run with checkpoints",
            next_step=verdict.reason or "",
        )
    return verdict.checkpoints[names.index(wanted)]
