"""What a repair starts from: an audited run, its two halves of val, and the checkpoint to beat."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from overmem.auditing.checkpoints import open_run
from overmem.auditing.config import AuditConfig, saved_config
from overmem.auditing.data import half_of
from overmem.axes import CORE, choose_axes
from overmem.diagnosis.moments import measure_curves
from overmem.diagnosis.rows import read_core
from overmem.diagnosis.rules import recommended_index
from overmem.diagnosis.run import judge_store
from overmem.errors import RunError
from overmem.records import Checkpoint, Run, Verdict
from overmem.repairing.candidates import Candidate, propose
from overmem.store import MANIFEST_SCHEMA, Store

SEARCH_AXES = (*CORE, "diversity")
"""What the few best merges are chosen by."""
FEWEST = 10
"""Problems that a half must have at least."""


@dataclass(frozen=True, kw_only=True)
class Setup:
    """Everything known before the first merge."""

    run: Run
    store: Store
    """Of the run's audit."""
    manifest: Mapping[str, Any]
    verdict: Verdict
    trained: tuple[Checkpoint, ...]
    """Audited checkpoints, without the untrained model."""
    before: Checkpoint
    """What would be shipped without a repair, chosen on the search split."""
    by_nll: tuple[str, ...]
    """Names of the trained checkpoints, lowest NLL on the search split first."""
    candidates: tuple[Candidate, ...]
    search: AuditConfig
    confirm: AuditConfig

    @property
    def last(self) -> Checkpoint:
        """The end of the fine-tune."""
        return self.trained[-1]

    @property
    def work(self) -> Path:
        """Where the search keeps rows, scores and, while it lasts, models."""
        return self.store.root / "repair"

    @property
    def compared(self) -> tuple[Checkpoint, ...]:
        """What a repaired model is measured against."""
        return (self.before,) if self.before == self.last else (self.before, self.last)


def set_up(
    path: str | Path,
    *,
    audit: Path | None = None,
    before: str | None = None,
    confirm: str | None = None,
    axes: str | tuple[str, ...] = ("all",),
    accuracy_margin: float = 0.03,
    perplexity_ratio: float = 1.10,
) -> Setup:
    """Open an audited run and settle what is tried, on which problems, against what.

    Args:
        path: run folder.
        audit: its artifact folder; `PATH/overmem` by default.
        before: checkpoint to beat; the recommended one by default.
        confirm: source of problems for the proof alone; by default half of val is kept for it.
        axes: what is proved.
        accuracy_margin: of the decision rule.
        perplexity_ratio: likewise.

    Raises:
        OvermemError: a run that was not audited, an unknown checkpoint, or too few problems.
    """
    run = open_run(path)
    store = Store.of_run(run.path, audit)
    manifest = store.read_record("manifest", MANIFEST_SCHEMA)
    verdict = judge_store(store, accuracy_margin=accuracy_margin, perplexity_ratio=perplexity_ratio)
    config = saved_config(manifest)
    measured = [record["name"] for record in manifest["checkpoints"]]
    trained = tuple(c for c in run.checkpoints if c.name in measured and c.step > 0)
    if len(trained) < 2:
        raise RunError(
            "a merge needs two trained checkpoints",
            got=", ".join(c.name for c in trained) or "none",
            expected="at least 2 that are audited and still there",
            next_step="keep more of them (save_strategy, save_total_limit), and audit",
        )
    core = read_core(store, manifest)
    here_N = np.ones(len(core.ids), dtype=bool)
    if confirm is None:
        ids = manifest["splits"]["val"]["example_ids"]
        searched = half_of(ids, "search", config.seed)
        here_N = np.array([name in searched for name in core.ids])
        _check_halves(int(here_N.sum()), int((~here_N).sum()))
    rows_C = [measured.index(checkpoint.name) for checkpoint in trained]
    moments = measure_curves(
        core.correct_C_N[rows_C][:, here_N], core.nll_nats_C_N[rows_C][:, here_N], core.n_tokens_N[here_N]
    )
    covariance = moments.sample_cov_B_B[: len(trained), : len(trained)]
    pick = recommended_index(moments.accuracy_C, moments.nll_C, covariance, perplexity_ratio)
    if before is not None:
        pick = _position(trained, before)
    names = [checkpoint.name for checkpoint in trained]
    plain = replace(config, checkpoints="all", budget_minutes=None)
    return Setup(
        run=run,
        store=store,
        manifest=manifest,
        verdict=verdict,
        trained=trained,
        before=trained[pick],
        by_nll=tuple(names[i] for i in np.argsort(moments.nll_C, kind="stable")),
        candidates=propose(names, moments.accuracy_C, moments.nll_C, pick),
        search=replace(
            plain,
            train=None,
            ood={},
            axes=SEARCH_AXES,
            limits={axis: n for axis, n in config.limits.items() if axis in SEARCH_AXES},
            half="search" if confirm is None else None,
        ),
        confirm=replace(
            plain,
            val=confirm or config.val,
            axes=choose_axes((*CORE, *choose_axes(axes))),
            base_model=config.base_model or _base_model(manifest, run),
            half="confirm" if confirm is None else None,
        ),
    )


def _base_model(manifest: Mapping[str, Any], run: Run) -> str | None:
    """The model the fine-tune started from, which an audit of a few checkpoints cannot find by itself."""
    base = manifest.get("base")
    if base is None or run.checkpoints[-1].kind == "adapter":
        return None
    return next((str(c.path) for c in run.checkpoints if c.name == base["name"]), base["model"])


def _position(trained: tuple[Checkpoint, ...], name: str) -> int:
    names = [checkpoint.name for checkpoint in trained]
    if name not in names:
        raise RunError("no such checkpoint", got=name, expected=f"one of {', '.join(names)}")
    return names.index(name)


def _check_halves(n_search: int, n_confirm: int) -> None:
    if min(n_search, n_confirm) < FEWEST:
        raise RunError(
            "too few problems to choose on one half and prove on the other",
            got=f"{n_search} and {n_confirm}",
            expected=f"at least {FEWEST} in each half, better 200",
            next_step="audit on more problems, or give the proof its own: --confirm FILE",
        )
