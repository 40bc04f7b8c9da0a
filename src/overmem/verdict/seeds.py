"""Several seeds of one recipe, judged as one: is it the recipe that over-memorizes, or this run?

Seeds are drawn first, then problems, so what is said holds for another seed of the recipe too.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from overmem.artifacts.evidence import MeasuredCheckpoint, align_evidence, joined_labels
from overmem.artifacts.manifest import Manifest
from overmem.artifacts.rows import Core, read_core
from overmem.artifacts.store import Store
from overmem.axes import CORE
from overmem.errors import ArtifactError, RunError
from overmem.records import Cost, Verdict
from overmem.rule import DEFAULT_RULE, Rule
from overmem.stats.arrays import FloatArray
from overmem.verdict.audited.judged import judge_store
from overmem.verdict.clean_val import examine_val
from overmem.verdict.costs import axis_warnings, compare_measured, measure_axes
from overmem.verdict.diagnose import open_audit
from overmem.verdict.judge import judge_by
from overmem.verdict.warnings.majority_baseline import baseline_note, majority_baseline_accuracy
from overmem.verdict.words.narrative import plain_words

AGAINST = "each seed's recommended checkpoint"


def diagnose_seeds(runs: Sequence[str | Path], rule: Rule = DEFAULT_RULE) -> Verdict:
    """Judge several audited seeds of one recipe as one run.

    Args:
        runs: folders of the seeds, audited on the same problems.
        rule: thresholds of the verdict.

    Returns:
        A verdict on the recipe's mean curves; its costs compare each seed's last checkpoint with the
        one recommended for that seed. It is not saved.

    Raises:
        OvermemError: a run that was not audited, or seeds whose steps or problems differ.
    """
    if len(runs) < 2:
        raise RunError("several seeds are needed", got=f"{len(runs)} run", expected="at least 2")
    audits = [open_audit(Path(run)) for run in runs]
    verdict = read_seeds(audits).judge(rule)
    severity = dataclasses.replace(verdict.severity, reason="of several seeds; see each seed's own verdict")
    said = f"{len(runs)} seeds of one recipe, judged as one: {', '.join(map(str, runs))}"
    costs, warnings = _costs(audits, rule)
    found = [examine_val(*audit) for audit in audits]
    premises = dict.fromkeys(item.premise for item in found if item.to_be_said)
    verdict = dataclasses.replace(
        verdict, severity=severity, costs=costs, notes=(said, *verdict.notes, *premises, *warnings)
    )
    return dataclasses.replace(verdict, words=plain_words(verdict))


@dataclass(frozen=True, kw_only=True)
class Seeds:
    """The core of several seeds of one recipe (or of one), on the problems that they share.

    Shape suffixes: S seeds, C checkpoints, N problems.
    """

    names: tuple[str, ...]
    steps: tuple[int, ...]
    epochs: tuple[float | None, ...]
    ids: tuple[str, ...]
    correct_S_C_N: FloatArray
    nll_nats_S_C_N: FloatArray
    n_tokens_N: FloatArray
    group_N: tuple[str, ...] | None = None
    """Label of each problem, equal for those that stand for one another; None where each stands alone."""
    grouped_by: str = ""
    """What tells the groups."""
    refused: str | None = None
    """Why no stage may rest on these problems; see `overmem.verdict.clean_val`."""
    baseline: float = 0.0
    """Accuracy of one answer for all problems; see `overmem.verdict.warnings.majority_baseline`."""

    def judge(self, rule: Rule) -> Verdict:
        """The verdict on their mean curves."""
        verdict = judge_by(
            rule,
            self.steps,
            self.correct_S_C_N,
            self.nll_nats_S_C_N,
            self.n_tokens_N,
            names=self.names,
            epochs=self.epochs,
            refused=self.refused,
            group=self.group_N,
            grouped_by=self.grouped_by,
            ids=self.ids,
        )
        return dataclasses.replace(verdict, notes=(*verdict.notes, *baseline_note(verdict, self.baseline)))


def read_seeds(audits: Sequence[tuple[Store, Manifest]]) -> Seeds:
    """Bring the rows of several seeds of one recipe into line.

    Args:
        audits: artifacts and manifest of each.

    Raises:
        OvermemError: seeds whose steps or problems differ.
    """
    first = audits[0][1].checkpoints
    steps = [[c.step for c in manifest.checkpoints] for _, manifest in audits]
    if any(other != steps[0] for other in steps):
        raise RunError(
            "the seeds have checkpoints at other steps",
            got="; ".join(", ".join(map(str, other)) for other in steps),
            expected="the same steps in every run of one recipe",
        )
    cores = [read_core(store, manifest) for store, manifest in audits]
    same = set.intersection(*(set(zip(core.ids, core.shas, strict=True)) for core in cores))
    ids = sorted(name for name, _ in same)
    if not ids:
        raise ArtifactError(
            "the seeds share no problem",
            expected="all audited on the same --val, template and tokenizer",
            next_step="run `overmem audit` on each with the same problems",
        )
    chosen = [_positions(core, ids) for core in cores]
    return Seeds(
        names=tuple(c.name for c in first),
        steps=tuple(steps[0]),
        epochs=tuple(c.epoch for c in first),
        ids=tuple(ids),
        correct_S_C_N=np.stack([core.correct_C_N[:, at] for core, at in zip(cores, chosen, strict=True)]),
        nll_nats_S_C_N=np.stack([core.nll_nats_C_N[:, at] for core, at in zip(cores, chosen, strict=True)]),
        n_tokens_N=cores[0].n_tokens_N[chosen[0]],
        group_N=_groups(cores, ids),
        grouped_by=" or ".join(dict.fromkeys(m.val.grouped_by for _, m in audits if m.val.grouped_by)),
        refused=next((why for audit in audits if (why := examine_val(*audit).refused)), None),
        baseline=majority_baseline_accuracy(*audits[0], ids),
    )


def _groups(cores: Sequence[Core], ids: Sequence[str]) -> tuple[str, ...] | None:
    """Labels of the shared problems; those of one group in any seed's audit are one group."""
    known = [dict(zip(core.ids, core.group_N, strict=True)) for core in cores if core.group_N is not None]
    return tuple(map(joined_labels(known).__getitem__, ids)) if known else None


def _positions(core: Core, ids: Sequence[str]) -> list[int]:
    place = {name: position for position, name in enumerate(core.ids)}
    return [place[name] for name in ids]


def _costs(audits: Sequence[tuple[Store, Manifest]], rule: Rule) -> tuple[tuple[Cost, ...], tuple[str, ...]]:
    """The last checkpoint of each seed against the one recommended for it, averaged over seeds."""
    axes = set.intersection(*(set(manifest.axes) for _, manifest in audits)) - set(CORE)
    places: list[MeasuredCheckpoint] = []
    for store, manifest in audits:
        verdict = judge_store(store, rule)
        if verdict.recommended is None or not axes:
            return (), ()
        names = verdict.checkpoints[-1].name, verdict.recommended.name
        places += [MeasuredCheckpoint(store, manifest, name) for name in names]
    evidence = align_evidence(places)
    measured = [measure_axes(item, sorted(axes)) for item in evidence]
    costs = compare_measured(measured[::2], measured[1::2], against=AGAINST, seed=rule.seed)
    warnings = [text for item in evidence[::2] for text in axis_warnings(item, axes)]
    return tuple(costs), tuple(dict.fromkeys(warnings))
