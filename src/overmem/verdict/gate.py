"""A verdict as a gate for CI: has a checkpoint a stage, or gives it away more, than may be shipped?

As in `overmem.verdict.diagnose`, what reads the rows of an audit is imported when there are some.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from overmem.artifacts.run_records import RunRecords
from overmem.errors import RunError
from overmem.formatting import certainty_text, estimate_text, joined, shell_word
from overmem.keywords import names_its_keywords
from overmem.records import STAGES, CheckpointSummary, Estimate, Privacy, Verdict
from overmem.rule import DEFAULT_RULE, Rule
from overmem.verdict.diagnose import diagnose, find_store, open_audit

UNDETERMINED = "undetermined"


@dataclass(frozen=True, kw_only=True)
class Gate:
    """Whether a checkpoint passes, and why."""

    passed: bool
    reason: str


@names_its_keywords
def check(
    run: str | Path,
    *,
    rule: Rule = DEFAULT_RULE,
    fail_on: Sequence[str] | None = None,
    checkpoint: str = "last",
    max_auroc: float | None = None,
    max_recall: float | None = None,
    full: bool = False,
) -> Gate:
    """A gate for CI: does a checkpoint of an audited run pass?

    Args:
        run: the run's folder.
        rule: thresholds of the verdict.
        fail_on: see `check_verdict`.
        checkpoint: `last`, `recommended`, or a name.
        max_auroc: see `check_privacy`; None leaves it out.
        max_recall: likewise.
        full: compare every byte of the weights with the audit, not sampled blocks.

    Raises:
        RunError: it cannot be told: no such checkpoint, nothing judged, or a folder that changed.
    """
    path = Path(run)
    refuse_stale(path, full=full)
    verdict = diagnose(path, rule, save=False)
    gate = check_verdict(verdict, fail_on, checkpoint)
    if max_auroc is not None or max_recall is not None:
        privacy = check_privacy(path, verdict, checkpoint, max_auroc=max_auroc, max_recall=max_recall)
        gate = all_of([gate, privacy])
    return gate


def refuse_stale(run_path: Path, *, full: bool = False) -> None:
    """Refuse to judge a run whose folder is not what was audited.

    Args:
        run_path: the run's folder.
        full: read every byte of the weights; see `overmem.fingerprints` for what sampled blocks can miss.

    Raises:
        RunError: checkpoints were added, or hold other weights.
    """
    if not _is_audited(run_path):
        return
    from overmem.verdict.warnings.staleness import staleness_notes

    if changed := staleness_notes(run_path, find_store(run_path), full=full):
        raise RunError("the run's folder changed since it was audited", got="; ".join(changed))


_NO_LIKELIHOOD = {
    "accuracy": "accuracy alone",
    "scores": "shares right alone, no problem by itself",
    "accuracy and eval_loss": "accuracy, and eval_loss of the training log in the place of likelihoods",
}
"""What a verdict rests on that may not pass."""
FAIL_ON = ("over-memorized", "overfit")
"""Stages that fail by default; of the recommended checkpoint `unstable` as well."""


def check_verdict(verdict: Verdict, fail_on: Sequence[str] | None = None, checkpoint: str = "last") -> Gate:
    """Pass a checkpoint unless its stage is among those that fail.

    A stage is given from a confidence of 0.8 on; below, it is `undetermined`, which fails only when listed.

    Args:
        verdict: of the run.
        fail_on: stages that fail, of `overmem.records.STAGES` and `undetermined`; by default those that
            memorize, and `unstable` too where the recommended checkpoint is checked.
        checkpoint: `last`, `recommended`, or a name.

    Raises:
        RunError: an unknown stage or checkpoint, none is recommended, or nothing was judged: a verdict from
            logs alone; or one whose evidence is insufficient or whose val is not clean, unless `undetermined`
            fails, which is then the answer.
    """
    if fail_on is None:
        fail_on = (*FAIL_ON, "unstable") if checkpoint == "recommended" else FAIL_ON
    known = (*STAGES, UNDETERMINED)
    unknown = [stage for stage in fail_on if stage not in known]
    if unknown or not fail_on:
        raise RunError(
            "unknown stage to fail on" if unknown else "no stage to fail on",
            got=", ".join(unknown) or "none",
            expected=f"some of {', '.join(known)}",
        )
    if verdict.evidence in _NO_LIKELIHOOD:
        raise RunError(
            "no stage can be told: the results hold no likelihood of the references",
            got=_NO_LIKELIHOOD[verdict.evidence],
            expected="an audited run, or imported rows of answers and likelihoods",
            next_step="import likelihoods too (docs/results.md), or overmem audit RUN --val FILE",
        )
    if verdict.evidence == "logged":
        raise RunError(
            "no stage can be told: there are no rows, only the log of the training",
            expected="an audited run",
            next_step="overmem audit RUN --val FILE",
        )
    clean = verdict.clean_val
    if clean is not None and clean.refused and UNDETERMINED not in fail_on:
        raise RunError("no stage can be told: val is not clean", got=clean.refused)
    if verdict.reason is not None and UNDETERMINED not in fail_on:
        raise RunError("no stage can be told", got=verdict.reason)
    found = _find(verdict, checkpoint)
    what = f"{found.name} is {found.stage} ({certainty_text(found.leaning, found.confidence)})"
    if clean is not None and clean.left_out:
        what += f", on {clean.measured - clean.left_out} clean problems ({clean.left_out} left out)"
    elif clean is not None and (had := sum(n for kind, n in clean.counts.items() if kind != "renumbered")):
        what += f", on {clean.measured} problems, {had} of which training had"
    failed = found.stage in fail_on
    fails = f"{joined(fail_on)} {'fails' if len(fail_on) == 1 else 'fail'}"
    return Gate(passed=not failed, reason=f"{what}; {fails if failed else f'passes: only {fails}'}")


def check_privacy(
    run_path: Path,
    verdict: Verdict,
    checkpoint: str = "last",
    *,
    max_auroc: float | None = None,
    max_recall: float | None = None,
) -> Gate:
    """Pass a checkpoint unless the worst attack tells more of its training data than a limit allows.

    What is compared with the limit is the figure itself; its 95% interval is said beside it.

    Args:
        run_path: the run's folder.
        verdict: of the run.
        checkpoint: `last`, `recommended`, or a name.
        max_auroc: highest AUROC that passes, in [0, 1]; None passes any.
        max_recall: highest share of training problems found at 1% false alarms, in [0, 1]; likewise.

    Raises:
        RunError: a limit out of range, an unknown checkpoint, or a figure that was not measured there.
    """
    limits = {"AUROC": max_auroc, "recall": max_recall}
    for name, limit in limits.items():
        if limit is not None and not 0 <= limit <= 1:
            option = f"--max-{name.lower()}"
            raise RunError(f"{option} is a share", got=f"{option} {limit}", expected="0 to 1")
    wanted = _find(verdict, checkpoint).name
    found = _privacy_of(run_path, wanted)
    figures = {"AUROC": (found.auroc, found.auroc_attacks), "recall": (found.recall, found.recall_attacks)}
    checked = [
        _within(name, *figures[name], limit, wanted) for name, limit in limits.items() if limit is not None
    ]
    return all_of(checked)


def all_of(gates: Sequence[Gate]) -> Gate:
    """A gate that passes where all do, with the reasons of those that fail, or of all.

    Args:
        gates: at least one.
    """
    failed = [gate for gate in gates if not gate.passed]
    return Gate(passed=not failed, reason="; ".join(gate.reason for gate in failed or gates))


def _is_audited(run_path: Path) -> bool:
    return RunRecords.of_run(run_path).has_record("manifest")


def _privacy_of(run_path: Path, name: str) -> Privacy:
    found: tuple[Privacy, ...] = ()
    if _is_audited(run_path):
        from overmem.axes.privacy.at_checkpoints import measure_privacy

        found = measure_privacy(*open_audit(run_path), [name])
    if not found:
        raise RunError(
            f"privacy was not measured at {name}",
            expected="likelihoods of val and of the training data",
            next_step=f"run `overmem audit {shell_word(run_path)} --axes privacy --train TRAIN.jsonl`",
        )
    return found[0]


def _within(name: str, figure: Estimate, attacks: tuple[str, ...], limit: float, checkpoint: str) -> Gate:
    if figure.reason is not None:
        raise RunError(
            f"the worst attack has no {name} at {checkpoint}",
            got=figure.reason,
            next_step="audit with more val problems, and training data of the same number",
        )
    passed = figure.value <= limit
    named = f"{name} of the worst attack ({joined(attacks)}) on {checkpoint}"
    return Gate(
        passed=passed,
        reason=f"{named} is {estimate_text(figure, '.3f')}, {'at most' if passed else 'above'} {limit:g}",
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
