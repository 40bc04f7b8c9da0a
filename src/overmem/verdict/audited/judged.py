"""From the rows of an audit to its verdict: read them, judge them, split the excess, put it into words.

It imports neither torch nor transformers, so a verdict on a finished audit needs no accelerator and takes
about a second.

Shape suffixes: C checkpoints, N problems.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from overmem.artifacts.jobs import TRAIN_SCORES, VAL_ANSWERS, VAL_SCORES
from overmem.artifacts.manifest import Manifest, read_manifest
from overmem.artifacts.manifest_parts.model_rows import CheckpointRows
from overmem.artifacts.rows import Core, read_core, read_job
from overmem.artifacts.store import Store
from overmem.axes import CORE
from overmem.axes.grouped import groups_in
from overmem.axes.privacy.at_checkpoints import measure_privacy
from overmem.errors import ArtifactError, RunError
from overmem.records import CheckpointSummary, CleanVal, Estimate, ProblemGroups, Verdict
from overmem.rule import Rule
from overmem.stats.intervals import nll_estimate
from overmem.stats.moments import measure_curves
from overmem.verdict.audited.notes import audit_notes
from overmem.verdict.audited.references import judged_references, style_shift_note
from overmem.verdict.base_model import compare_with_base
from overmem.verdict.clean_val import examine_val, overlap_notes
from overmem.verdict.costs import measure_costs
from overmem.verdict.judge import describe_groups, judge_by
from overmem.verdict.partial.imported import is_partial, judge_partial
from overmem.verdict.severity import explain_severity
from overmem.verdict.trade import measure_trade
from overmem.verdict.warnings.majority_baseline import baseline_note, majority_baseline_accuracy
from overmem.verdict.warnings.truncation import truncation_notes
from overmem.verdict.words.narrative import plain_words


@dataclasses.dataclass(frozen=True, kw_only=True)
class Judged:
    """A verdict on the core alone, and what it was judged on."""

    verdict: Verdict
    core: Core
    clean_val: CleanVal


def judge_core(store: Store, manifest: Manifest, rule: Rule) -> Judged:
    """Judge the likelihoods and answers that a manifest describes: stages and the recommended checkpoint.

    Args:
        store: the artifacts.
        manifest: what they hold.
        rule: thresholds of the verdict.

    Raises:
        ArtifactError: too little was measured.
    """
    checkpoints = manifest.checkpoints
    _require(manifest, store)
    core = read_core(store, manifest)
    clean_val = examine_val(store, manifest)
    verdict = judge_by(
        rule,
        [checkpoint.step for checkpoint in checkpoints],
        core.correct_C_N,
        core.nll_nats_C_N,
        core.n_tokens_N,
        names=[checkpoint.name for checkpoint in checkpoints],
        epochs=[checkpoint.epoch for checkpoint in checkpoints],
        refused=clean_val.refused,
        group=core.group_N,
        grouped_by=manifest.val.grouped_by or "",
        ids=core.ids,
    )
    return Judged(verdict=verdict, core=core, clean_val=clean_val)


def judge_store(store: Store, rule: Rule) -> Verdict:
    """Judge the rows that a manifest describes by a rule."""
    manifest = read_manifest(store)
    if is_partial(manifest):
        partial = judge_partial(store, manifest, rule)
        return dataclasses.replace(partial, words=plain_words(partial))
    judged = judge_core(store, manifest, rule)
    verdict, core, clean_val = judged.verdict, judged.core, judged.clean_val
    checkpoints = manifest.checkpoints
    references = judged_references(store, manifest)
    verdict = dataclasses.replace(
        verdict,
        severity=explain_severity(store, manifest, verdict, core.ids),
        checkpoints=_with_train_nll(store, manifest, verdict),
        train_groups=_train_groups(store, manifest),
        references=references,
        clean_val=clean_val,
        notes=(
            *verdict.notes,
            *(manifest.imported.notes if manifest.imported else ()),
            *overlap_notes(clean_val, checkpoints[-1].name),
            *audit_notes(manifest, clean_val.measured),
            *baseline_note(verdict, majority_baseline_accuracy(store, manifest, core.ids)),
            *truncation_notes(store, manifest, core.ids),
            *style_shift_note(references),
        ),
    )
    costs, warnings = measure_costs(store, manifest, verdict, seed=rule.seed)
    verdict = dataclasses.replace(
        verdict,
        costs=costs,
        privacy=measure_privacy(store, manifest, _shipped_names(verdict)),
        trade=measure_trade(store, manifest, verdict, seed=rule.seed),
        base=compare_with_base(store, manifest, verdict, seed=rule.seed),
        notes=(*verdict.notes, *warnings),
    )
    return dataclasses.replace(verdict, words=plain_words(verdict))


def _require(manifest: Manifest, store: Store) -> None:
    checkpoints = manifest.checkpoints
    if len(checkpoints) < 2:
        skipped = manifest.skipped
        raise RunError(
            "a verdict compares checkpoints, and fewer than two were measured",
            got=f"{len(checkpoints)} in {store.root}" + (f" ({len(skipped)} skipped)" if skipped else ""),
            expected="at least 2, better 5 or more",
            next_step="keep more of them (save_strategy, save_total_limit) and audit again",
        )
    for checkpoint in checkpoints:
        missing = [
            axis for axis, job in zip(CORE, (VAL_SCORES, VAL_ANSWERS), strict=True) if not checkpoint.has(job)
        ]
        if missing:
            raise ArtifactError(
                f"the audit of {checkpoint.name} has no {' and no '.join(missing)}",
                expected="likelihood and accuracy on the same problems",
                next_step="run `overmem audit` with both axes and a grader other than none",
            )


def _with_train_nll(store: Store, manifest: Manifest, verdict: Verdict) -> tuple[CheckpointSummary, ...]:
    """Add the NLL on the train subset, whose distance from val's is the generalization gap."""
    if not manifest.all_have(TRAIN_SCORES):
        return verdict.checkpoints
    return tuple(
        dataclasses.replace(
            summary, train_nll_nats=_train_nll(store, manifest, manifest.checkpoint(summary.name))
        )
        for summary in verdict.checkpoints
    )


def _train_nll(store: Store, manifest: Manifest, checkpoint: CheckpointRows) -> Estimate:
    rows = read_job(store, manifest, checkpoint, TRAIN_SCORES, ("n_tokens", "nll_nats"))
    nll_C_N = rows["nll_nats"].to_numpy()[None]
    tokens_N = rows["n_tokens"].to_numpy()
    return nll_estimate(measure_curves(np.zeros_like(nll_C_N), nll_C_N, tokens_N, groups_in(rows)), 0)


def _train_groups(store: Store, manifest: Manifest) -> ProblemGroups | None:
    """The groups of the training rows; None where each stands alone, or none was scored everywhere."""
    if not manifest.all_have(TRAIN_SCORES):
        return None
    groups = groups_in(read_job(store, manifest, manifest.checkpoints[-1], TRAIN_SCORES, ()))
    if groups is None or groups.is_trivial:
        return None
    return describe_groups(groups, manifest.splits["train"].grouped_by or "")


def _shipped_names(verdict: Verdict) -> tuple[str, ...]:
    """The checkpoints that a reader may ship: recommended, the other picks, and the last."""
    recommended = verdict.recommended.name if verdict.recommended else None
    last = verdict.checkpoints[-1].name if verdict.checkpoints else None
    return tuple(name for name in dict.fromkeys([recommended, *verdict.alternatives.values(), last]) if name)
