"""What a repair starts from: an audited run, its two halves of val, and the checkpoint to beat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from overmem.artifacts.manifest import Manifest, read_audited
from overmem.artifacts.rows import Core, read_core
from overmem.artifacts.store import Store
from overmem.auditing.consent import Consent, options_to_go_on, sets_left_out
from overmem.auditing.options import AuditOptions, saved_options
from overmem.auditing.problem_sets.halves import half_of
from overmem.axes import CORE, all_axes, choose_axes
from overmem.checkpoints import open_run
from overmem.contamination.grouping import groups_by_column
from overmem.errors import RunError
from overmem.records import Checkpoint, Run, Verdict
from overmem.repairing.candidates import Candidate, propose
from overmem.repairing.proof import fewest_problems
from overmem.rule import DEFAULT_RULE, Rule
from overmem.stats.checks import check_groups
from overmem.stats.moments import Moments, measure_curves
from overmem.stats.selection import choose_checkpoint
from overmem.tasks.sources import load_disjoint
from overmem.verdict.audited.judged import judge_store

SEARCH_AXES = (*CORE, "diversity")
"""What the few best merges are chosen by."""
NO_CONSENT = Consent()
FEWEST = 10
"""Problems to choose on, at least."""


@dataclass(frozen=True, kw_only=True)
class RepairSetup:
    """Everything known before the first merge."""

    run: Run
    store: Store
    """Of the run's audit."""
    manifest: Manifest
    rule: Rule
    verdict: Verdict
    trained: tuple[Checkpoint, ...]
    """Audited checkpoints, without the untrained model."""
    before: Checkpoint
    """What would be shipped without a repair, chosen on the search split."""
    by_nll: tuple[str, ...]
    """Names of the trained checkpoints, lowest NLL on the search split first."""
    candidates: tuple[Candidate, ...]
    search: AuditOptions
    confirm: AuditOptions
    notes: tuple[str, ...] = ()
    """What a reader must know of it."""

    @property
    def last(self) -> Checkpoint:
        """The end of the fine-tune."""
        return self.trained[-1]

    @property
    def audited(self) -> str:
        """Key of the audit that this repair rests on."""
        return self.manifest.key

    @property
    def work(self) -> Path:
        """Where the search keeps rows, scores and, while it lasts, models."""
        return self.store.root / "repair"

    @property
    def compared(self) -> tuple[Checkpoint, ...]:
        """What a repaired model is measured against."""
        return (self.before,) if self.before == self.last else (self.before, self.last)


def prepare_repair(
    path: str | Path,
    *,
    audit: Path | None = None,
    before: str | None = None,
    confirm: str | None = None,
    axes: str | tuple[str, ...] = ("all",),
    rule: Rule = DEFAULT_RULE,
    consent: Consent = NO_CONSENT,
) -> RepairSetup:
    """Open an audited run and settle what is tried, on which problems, against what.

    Args:
        path: run folder.
        audit: its artifact folder; `PATH/overmem` by default.
        before: checkpoint to beat; the recommended one by default.
        confirm: source of problems for the proof only; by default half of val is kept for it.
        axes: what is proved.
        rule: thresholds of the decision rule.
        consent: what the caller lets run; what the audit was let run says nothing.

    Raises:
        OvermemError: a run that was not audited, an unknown checkpoint, too few problems, or code that may
            not be run.
    """
    store = Store.of_run(Path(path), audit)
    manifest = read_audited(store)
    options = options_to_go_on(manifest, consent, f"the audit in {store.root}")
    run = open_run(path, allow_pickle=options.allow_pickle, checkpoints_glob=options.checkpoints_glob)
    verdict = judge_store(store, rule)
    trained = _trained(run, manifest)
    core = read_core(store, manifest)
    searched = _searched(store, manifest, options, core.ids, confirm, fewest_problems(rule.accuracy_margin))
    moments = _curves(core, manifest, trained, searched)
    pick = _position(trained, before) if before is not None else _best(moments, trained, rule)
    names = [checkpoint.name for checkpoint in trained]
    search, proof = _split_options(options, manifest, run, choose_axes((*CORE, *choose_axes(axes))), confirm)
    return RepairSetup(
        run=run,
        store=store,
        manifest=manifest,
        rule=rule,
        verdict=verdict,
        trained=trained,
        before=trained[pick],
        by_nll=tuple(names[i] for i in np.argsort(moments.nll_C, kind="stable")),
        candidates=propose(names, moments.accuracy_C, moments.nll_C, pick),
        search=search,
        confirm=proof,
        notes=(*_notes(options, confirm, trained[pick].name, verdict), *_sets_not_asked(manifest)),
    )


def _trained(run: Run, manifest: Manifest) -> tuple[Checkpoint, ...]:
    measured = [found.name for found in manifest.checkpoints]
    trained = tuple(c for c in run.checkpoints if c.name in measured and c.step > 0)
    if len(trained) < 2:
        raise RunError(
            "a merge needs two trained checkpoints",
            got=", ".join(c.name for c in trained) or "none",
            expected="at least 2 that are audited and still there",
            next_step="keep more of them (save_strategy, save_total_limit), and audit",
        )
    return trained


def _searched(
    store: Store,
    manifest: Manifest,
    options: AuditOptions,
    ids: Sequence[str],
    confirm: str | None,
    fewest: int,
) -> frozenset[str]:
    """Ids of the audited problems on which things are chosen; the others are kept for the proof."""
    if confirm is None:
        texts = store.read_texts().filter(pl.col("set") == "val")
        prompts = dict(texts.select("example_id", "prompt").iter_rows())
        searched = half_of(prompts, "search", options.seed, manifest.groups_of("val"))
        groups = manifest.groups_of("val")
        here, there = ({groups.get(i, i) for i in ids if (i in searched) == is_in} for is_in in (True, False))
        _check_sizes(len(here), len(there), fewest)
        return searched
    found = load_disjoint(
        confirm,
        options.val,
        "problems for the proof are among those that merges are chosen on",
        next_step="name other problems with --confirm, or leave it out: half of val is then kept for it",
    )
    if options.group is not None:
        groups_by_column(found, options.group, confirm, "add it: the audit groups val by this column")
    most = options.limit_of("accuracy")
    _check_sizes(len(ids), len(found) if most is None else min(most, len(found)), fewest)
    return frozenset(ids)


def _curves(
    core: Core, manifest: Manifest, trained: Sequence[Checkpoint], searched: frozenset[str]
) -> Moments:
    """Accuracy and NLL of the trained checkpoints on the search split alone."""
    here_N = np.array([name in searched for name in core.ids])
    measured = [found.name for found in manifest.checkpoints]
    rows_C = [measured.index(checkpoint.name) for checkpoint in trained]
    return measure_curves(
        core.correct_C_N[rows_C][:, here_N],
        core.nll_nats_C_N[rows_C][:, here_N],
        core.n_tokens_N[here_N],
        check_groups(core.group_N, here_N.size).at(np.flatnonzero(here_N)),
    )


def _best(moments: Moments, trained: Sequence[Checkpoint], rule: Rule) -> int:
    """Position of the checkpoint that would be shipped without a repair."""
    return choose_checkpoint(moments, np.array([checkpoint.step for checkpoint in trained]), rule).pick


def _split_options(
    options: AuditOptions, manifest: Manifest, run: Run, axes: tuple[str, ...], confirm: str | None
) -> tuple[AuditOptions, AuditOptions]:
    """What is measured to choose, and what to prove."""
    # A server has none of the merges that are tried, and both sides are to be answered for alike.
    # References in other styles say why NLL moved while training, and nothing of a repair.
    axes = tuple(axis for axis in axes if not all_axes()[axis].rescores_answers)
    plain = options.replace(
        checkpoints="all",
        budget_minutes=None,
        until_decided=False,
        engine="hf",
        engine_scores=False,
        base_row=False,
        groups=dict(manifest.groups_of("val")) or None,
    )
    search = plain.replace(
        train=None,
        ood={},
        references={},
        axes=SEARCH_AXES,
        limits={axis: n for axis, n in options.limits.items() if axis in SEARCH_AXES},
        half="search" if confirm is None else None,
    )
    variants = options.variants
    if confirm is not None and variants is not None:
        variants = {name: None for name, source in variants.items() if source is None}
    proof = plain.replace(
        val=confirm or options.val,
        axes=axes,
        limits={axis: n for axis, n in options.limits.items() if axis in axes},
        variants=variants,
        base_model=options.base_model or _base_model(manifest, run),
        half="confirm" if confirm is None else None,
        groups=plain.groups if confirm is None else None,
    )
    return search, proof


def _notes(options: AuditOptions, confirm: str | None, before: str, verdict: Verdict) -> tuple[str, ...]:
    notes = []
    own = [name for name, source in (options.variants or {}).items() if source is not None]
    if confirm is not None and own:
        notes.append(
            f"your perturbations of val ({', '.join(own)}) have no problem of {confirm} and are left out"
        )
    if verdict.recommended is not None and verdict.recommended.name != before:
        notes.append(f"the verdict on all of val recommends {verdict.recommended.name}; to beat is {before}")
    return tuple(notes)


def _sets_not_asked(manifest: Manifest) -> tuple[str, ...]:
    left_out = sets_left_out(saved_options(manifest))
    return tuple(
        f"{name} is left out: only the audit names its task's folder, which can run code" for name in left_out
    )


def _base_model(manifest: Manifest, run: Run) -> str | None:
    """The model the fine-tune started from, which an audit of a few checkpoints cannot find by itself."""
    base = manifest.base
    if base is None or run.checkpoints[-1].kind == "adapter":
        return None
    return next((str(c.path) for c in run.checkpoints if c.name == base.name), base.model)


def _position(trained: tuple[Checkpoint, ...], name: str) -> int:
    names = [checkpoint.name for checkpoint in trained]
    if name not in names:
        raise RunError("no such checkpoint", got=name, expected=f"one of {', '.join(names)}")
    return names.index(name)


def _check_sizes(n_search: int, n_confirm: int, fewest: int) -> None:
    if n_search >= FEWEST and n_confirm >= fewest:
        return
    raise RunError(
        "too few problems to choose on some and prove on others",
        got=f"{n_search} to choose on, {n_confirm} for the proof",
        expected=f"at least {FEWEST} and {fewest}, below which nothing can be proved at this accuracy margin",
        next_step="audit on more problems, or give the proof its own: --confirm FILE",
    )
