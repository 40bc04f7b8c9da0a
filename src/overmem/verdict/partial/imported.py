"""Judge what another tool measured by what there is of it: scores, answers, answers beside an `eval_loss`.

With likelihoods of the same problems imported rows are judged as an audit's, elsewhere.

Shape suffixes: C checkpoints, N problems.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl

from overmem.artifacts.jobs import VAL_ANSWERS, VAL_SCORES
from overmem.artifacts.manifest import Manifest
from overmem.artifacts.manifest_parts.imported import Imported
from overmem.artifacts.manifest_parts.model_rows import MeasuredModel
from overmem.artifacts.rows import label_of, read_job
from overmem.artifacts.store import Store
from overmem.errors import ArtifactError
from overmem.records import BASE, Estimate, Verdict
from overmem.rule import Rule
from overmem.stats.arrays import FloatArray
from overmem.verdict.judge import judge_by
from overmem.verdict.partial.accuracy import Place, compare_with_base, compare_with_others, judge_accuracy
from overmem.verdict.partial.answers import PairedAnswers, SeparateScores

LOGGED = "eval_loss of the training log stands in for the likelihoods: one mean, no interval"
STAND_IN = (
    "no likelihood was measured: `eval_loss` of the training log stands in for it, taken as exact. It may be "
    "another loss than cross entropy, on other problems; a stage that rests on it passes no `overmem check`. "
    "To settle it, import likelihoods too (docs/results.md), or audit"
)


def is_partial(manifest: Manifest) -> bool:
    """Whether a manifest describes results that another tool measured without likelihoods."""
    return manifest.imported is not None and not manifest.all_have(VAL_SCORES)


def judge_partial(store: Store, manifest: Manifest, rule: Rule) -> Verdict:
    """The verdict that imported results without likelihoods allow; its words are not made yet.

    Args:
        store: the run's artifacts.
        manifest: that `is_partial`.
        rule: thresholds, where `eval_loss` stands in for likelihoods.

    Raises:
        OvermemError: nothing to compare, or no problem in common.
    """
    imported = manifest.imported
    assert imported is not None
    places = [Place(name=c.name, step=c.step, epoch=c.epoch) for c in manifest.checkpoints]
    if imported.scores:
        verdict = judge_accuracy(SeparateScores(imported.scores), places)
    else:
        verdict = _judge_answers(store, manifest, imported, places, rule)
    return replace(verdict, notes=(*verdict.notes, *imported.notes))


def _judge_answers(
    store: Store, manifest: Manifest, imported: Imported, places: list[Place], rule: Rule
) -> Verdict:
    models: list[MeasuredModel] = [*manifest.checkpoints]
    models += [manifest.base] if manifest.base is not None and manifest.base.has(VAL_ANSWERS) else []
    ids, correct_C_N = _aligned(store, manifest, models)
    labels = manifest.groups_of("val")
    group = label_of(pl.Series(ids), labels).to_list() if labels else None
    answers = PairedAnswers([model.name for model in models], correct_C_N, group)
    if len(places) < 2 or {place.name for place in places} - set(imported.eval_loss):
        return judge_accuracy(answers, places)
    return _with_eval_loss(answers, correct_C_N[: len(places)], places, imported, rule, group)


def _aligned(store: Store, manifest: Manifest, models: list[MeasuredModel]) -> tuple[list[str], FloatArray]:
    """Ids of the problems that all models answered, and whether each is right."""
    tables = [read_job(store, manifest, model, VAL_ANSWERS, ("correct",)) for model in models]
    shared = set.intersection(*(set(table["example_id"]) for table in tables))
    if not shared:
        raise ArtifactError(
            f"the results in {store.root} have no problem in common",
            next_step="import results of the same task and problems for each checkpoint",
        )
    kept = [table.filter(pl.col("example_id").is_in(list(shared))).sort("example_id") for table in tables]
    return kept[0]["example_id"].to_list(), np.stack([table["correct"].to_numpy() for table in kept])


def _with_eval_loss(
    answers: PairedAnswers,
    correct_C_N: FloatArray,
    places: list[Place],
    imported: Imported,
    rule: Rule,
    group: list[str] | None,
) -> Verdict:
    """The rule on the answers and the logged loss: as if each problem had that loss, without any spread."""
    names = [place.name for place in places]
    loss_C = np.array([imported.eval_loss[name] for name in names])
    nll_C_N = np.repeat(loss_C[:, None], correct_C_N.shape[1], axis=1)
    verdict = judge_by(
        rule,
        [place.step for place in places],
        correct_C_N,
        nll_C_N,
        np.ones(correct_C_N.shape[1]),
        names=names,
        epochs=[place.epoch for place in places],
        group=group,
    )
    highest = (
        verdict.alternatives["highest_accuracy"]
        or max(verdict.checkpoints, key=lambda found: found.accuracy.value).name
    )
    compared = compare_with_others(answers, highest, names)
    if BASE in answers.names:
        compared += compare_with_base(answers, [names[-1], highest])
    return replace(
        verdict,
        checkpoints=tuple(
            replace(found, nll_nats=_logged(found.nll_nats), perplexity=_logged(found.perplexity))
            for found in verdict.checkpoints
        ),
        evidence="accuracy and eval_loss",
        by_accuracy=compared,
        sensitivity=None,
        notes=(STAND_IN,),
    )


def _logged(found: Estimate) -> Estimate:
    return Estimate(found.value, float("nan"), float("nan"), 0, LOGGED)
