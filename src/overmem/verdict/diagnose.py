"""From a finished audit to a verdict: read the rows, judge them, split the excess, put it into words.

It imports neither torch nor transformers, so a verdict on a finished audit needs no accelerator and takes
about a second.

Shape suffixes: C checkpoints, N problems.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Protocol

import numpy as np
import polars as pl

from overmem.artifacts.jobs import TRAIN_SCORES, VAL_ANSWERS, VAL_SCORES
from overmem.artifacts.manifest import CheckpointRows, Manifest, read_manifest
from overmem.artifacts.rows import Core, read_core, read_job
from overmem.artifacts.run_records import is_unaudited
from overmem.artifacts.store import Store
from overmem.axes import CORE
from overmem.axes.privacy.at_checkpoints import measure_privacy
from overmem.errors import ArtifactError, RunError
from overmem.formatting import base_left_out_text, percent, until_decided_text
from overmem.keywords import names_its_keywords
from overmem.logs.reading import is_run_folder
from overmem.records import CheckpointSummary, CleanVal, Estimate, JudgedReferences, Verdict
from overmem.rule import DEFAULT_RULE, Rule
from overmem.stats.intervals import nll_estimate
from overmem.stats.moments import measure_curves
from overmem.stats.style.shift import detect_style_shift, untested
from overmem.verdict.base_model import compare_with_base
from overmem.verdict.clean_val import examine_val, overlap_notes
from overmem.verdict.costs import measure_costs
from overmem.verdict.judge import judge_by
from overmem.verdict.logged import read_logged
from overmem.verdict.partial.imported import is_partial, judge_partial
from overmem.verdict.severity import explain_severity
from overmem.verdict.trade import measure_trade
from overmem.verdict.warnings.majority_baseline import baseline_note, majority_baseline_accuracy
from overmem.verdict.warnings.staleness import staleness_notes
from overmem.verdict.warnings.truncation import truncation_notes
from overmem.verdict.words.narrative import plain_words


class HasStore(Protocol):
    """An `overmem.auditing.run.Audit`, named by what is needed of it."""

    @property
    def store(self) -> Store: ...  # noqa: D102


@names_its_keywords
def diagnose(audit: HasStore | str | Path, rule: Rule = DEFAULT_RULE, *, save: bool = True) -> Verdict:
    """Name the stage of every checkpoint of an audited run and recommend one.

    A run that was never audited is read from its `trainer_state.json` alone; its verdict says so
    (`evidence` is `logged`) and never gives a stage.

    An `overmem.yaml` in the folder is read by the command line alone; `rule` is what counts here.

    Args:
        audit: an audit, the run's folder, the artifact folder that an audit wrote elsewhere, or a training
            log; see `overmem.logs.reading`.
        rule: thresholds of the verdict.
        save: write the verdict to `verdict.json`; that of a log alone is written nowhere.

    Returns:
        The verdict.

    Raises:
        OvermemError: no audit and no log, damaged artifacts, or fewer than two checkpoints measured.
    """
    if isinstance(audit, str | Path) and is_unaudited(Path(audit)):
        verdict, save = read_logged(Path(audit), rule), save and is_run_folder(Path(audit))
        store = Store.of_run(Path(audit))
    else:
        store = find_store(Path(audit)) if isinstance(audit, str | Path) else audit.store
        verdict = judge_store(store, rule)
        if isinstance(audit, str | Path):
            verdict = note_changes(verdict, Path(audit), store)
    if save and (why := save_verdict(verdict, store)) is not None:
        raise ArtifactError("the verdict cannot be saved", got=why, next_step="pass save=False to do without")
    return verdict


def save_verdict(verdict: Verdict, store: Store) -> str | None:
    """Write `verdict.json`; returns why not where the folder may only be read."""
    return store.save_record("verdict", verdict.to_dict())


def note_changes(verdict: Verdict, run_path: Path, store: Store) -> Verdict:
    """A verdict that says what of the run's folder changed since its audit."""
    changed = [note for note in staleness_notes(run_path, store) if note not in verdict.notes]
    if not changed:
        return verdict
    verdict = dataclasses.replace(verdict, notes=(*verdict.notes, *changed))
    return dataclasses.replace(verdict, words=plain_words(verdict))


def find_store(run_path: Path) -> Store:
    """The artifacts of a run folder, which may hold none yet.

    Raises:
        RunError: there is no such folder.
    """
    if not run_path.is_dir():
        raise RunError("the run folder does not exist", got=run_path, next_step="check the path")
    return Store.of_run(run_path)


def open_audit(run_path: Path) -> tuple[Store, Manifest]:
    """The artifacts of an audited run and its manifest.

    Raises:
        OvermemError: no such folder, or it was never audited.
    """
    store = find_store(run_path)
    return store, read_manifest(store)


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
        references=references,
        clean_val=clean_val,
        notes=(
            *verdict.notes,
            *(manifest.imported.notes if manifest.imported else ()),
            *overlap_notes(clean_val, checkpoints[-1].name),
            *_notes(manifest, clean_val.measured),
            *baseline_note(verdict, majority_baseline_accuracy(store, manifest, core.ids)),
            *truncation_notes(store, manifest, core.ids),
            *_style_shift_note(references),
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


def judged_references(store: Store, manifest: Manifest) -> JudgedReferences:
    """The references that the rule reads perplexity on, and whether they are in the training data's style.

    Args:
        store: the run's artifacts.
        manifest: the record that describes them.
    """
    source = manifest.val.source
    if "train" not in manifest.splits:
        found = untested("no training data was given to compare their wording with")
    elif not store.has_texts():
        found = untested("the texts of the problems were not kept")
    else:
        texts = store.read_texts().filter(~_left_out(manifest))
        found = detect_style_shift(
            *(texts.filter(set=name)["completion"].to_list() for name in ("train", "val"))
        )
    return JudgedReferences(
        source=source, unlike=found.unlike, other_style=found.other_style, telling=found.telling
    )


def _left_out(manifest: Manifest) -> pl.Expr:
    """Texts of val problems that training had, whose style is training's."""
    return (pl.col("set") == "val") & pl.col("example_id").is_in(list(manifest.left_out_of("val")))


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
    return nll_estimate(measure_curves(np.zeros_like(nll_C_N), nll_C_N, rows["n_tokens"].to_numpy()), 0)


def _style_shift_note(references: JudgedReferences) -> list[str]:
    """Warn when perplexity may have risen because val is in another style than the training data."""
    if not references.other_style:
        return []
    found = references.unlike
    return [
        f"{percent(found.value, 0)} of val's references ({references.source}) look as if written in another "
        f"style than the training data ({percent(found.low, 0)} to {percent(found.high, 0)}; "
        f"{'; '.join(references.telling)}). Perplexity may rise for that reason and not for memorization; "
        "give references in the training style as --val, and these as --references NAME=SOURCE"
    ]


def _notes(manifest: Manifest, n_shared: int) -> list[str]:
    notes = [f"{name} was skipped: {reason.splitlines()[0]}" for name, reason in manifest.skipped.items()]
    if gone := manifest.gone:
        notes.append(
            f"{', '.join(gone)}: measured before and no longer in the run's folder, so not judged; where "
            "perplexity was lowest there, what is left looks the better for it"
        )
    pending = manifest.pending
    if pending:
        notes.append(
            f"the audit was stopped before {pending[0]}: {len(pending)} checkpoint(s) are not measured yet; "
            "run `overmem audit` again to finish"
        )
    notes += [
        f"{axis} was measured on {cut['measured']} of {cut['asked']} problems, for the budget"
        if cut["measured"]
        else f"{axis} was not measured: {cut['why']}"
        for axis, cut in manifest.cut.items()
    ]
    if why := manifest.base_left_out:
        notes.append(base_left_out_text(why))
    stopping = manifest.until_decided
    if stopping is not None and stopping["decided"]:
        return notes if n_shared > stopping["problems"] else [*notes, until_decided_text(stopping)]
    n_val = manifest.asked_val
    if n_shared < n_val and not set(CORE) & set(manifest.cut):
        notes.append(
            f"only {n_shared} of {n_val} problems were measured at every checkpoint; "
            "run `overmem audit` again to finish"
        )
    return notes


def _shipped_names(verdict: Verdict) -> tuple[str, ...]:
    """The checkpoints that a reader may ship: recommended, the other picks, and the last."""
    recommended = verdict.recommended.name if verdict.recommended else None
    last = verdict.checkpoints[-1].name if verdict.checkpoints else None
    return tuple(name for name in dict.fromkeys([recommended, *verdict.alternatives.values(), last]) if name)
