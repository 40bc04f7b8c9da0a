"""Is a checkpoint better than the model that the fine-tune started from, and what did it lose?"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from overmem.artifacts.evidence import MeasuredBase, MeasuredCheckpoint, align_evidence
from overmem.artifacts.jobs import VAL_ANSWERS, VAL_SCORES
from overmem.artifacts.manifest import Manifest
from overmem.artifacts.store import Store
from overmem.axes.grouped import groups_in
from overmem.records import AgainstBase, BaseModel, Cost, Estimate, Verdict
from overmem.stats.intervals import accuracy_estimate, nll_estimate, perplexity_estimate
from overmem.stats.moments import measure_curves
from overmem.stats.paired import holm
from overmem.verdict.costs import compare_places

BASE = "the base model"
"""What a difference from it is called."""
BETTER, WORSE, NO_BETTER, FORM_ONLY = "better", "worse", "no better", "form only"
UNASKED = {"better": "likelier", "worse": "less likely", "no clear difference": "no likelier"}
"""By likelihood alone, where the answers of one side are not known."""
ELSEWHERE = ", and worse elsewhere"
"""Follows an outcome where a skill beside the task was lost."""
UNDEFINED = "undefined"
SKILLS = ("ood", "robustness", "retention")
"""Axes that tell what a model can do beside its task; others, such as privacy, a base model always wins."""


def compare_with_base(
    store: Store, manifest: Manifest, verdict: Verdict, *, seed: int = 0
) -> BaseModel | None:
    """The base model as step 0, and the checkpoint to ship and the last one against it.

    Args:
        store: the run's artifacts.
        manifest: of the audit.
        verdict: with its recommendation.
        seed: of the bootstrap draws.

    Returns:
        None where the base model was not measured.
    """
    base = MeasuredBase.of(store, manifest)
    if base is None or VAL_SCORES not in base.jobs():
        return None
    last = verdict.checkpoints[-1].name
    names = dict.fromkeys([verdict.recommended.name if verdict.recommended else last, last])
    names.pop(base.name, None)
    places = [MeasuredCheckpoint(store, manifest, name) for name in names]
    comparisons = []
    for place in places:
        found = compare_places(place, base, against=BASE, axes=manifest.axes, seed=seed)
        comparisons.append(AgainstBase(checkpoint=place.name, outcome=name_outcome(found), differences=found))
    accuracy, nll = _figures(base, MeasuredCheckpoint(store, manifest, last))
    assert manifest.base is not None
    return BaseModel(
        name=manifest.base.model,
        in_run=any(summary.name == base.name for summary in verdict.checkpoints),
        accuracy=accuracy,
        nll_nats=nll,
        perplexity=perplexity_estimate(nll),
        comparisons=tuple(comparisons),
    )


def _figures(base: MeasuredBase, last: MeasuredCheckpoint) -> tuple[Estimate, Estimate]:
    """Accuracy and NLL of the base model, on the problems that the last checkpoint was measured on."""
    rows = align_evidence([base, last], {VAL_SCORES, VAL_ANSWERS})[0].rows
    scores = rows[VAL_SCORES]
    answered = VAL_ANSWERS in rows
    if answered:
        scores = scores.join(rows[VAL_ANSWERS].select("example_id", "correct"), on="example_id")
    nll_N, tokens_N = (scores[name].to_numpy().astype(np.float64) for name in ("nll_nats", "n_tokens"))
    correct_N = scores["correct"].to_numpy().astype(np.float64) if answered else np.zeros(len(nll_N))
    moments = measure_curves(correct_N[None], nll_N[None], tokens_N, groups_in(scores))
    unasked = Estimate(float("nan"), float("nan"), float("nan"), moments.n, "the base model was not asked")
    return accuracy_estimate(moments, 0) if answered else unasked, nll_estimate(moments, 0)


def name_outcome(differences: Sequence[Cost]) -> str:
    """What a fine-tune came to, from the differences of a checkpoint from its base model.

    Args:
        differences: checkpoint minus base model.

    Returns:
        `better` or `worse` by accuracy on the task; where that is not clear, `form only` if the references
        became likelier, else `no better`; with `, and worse elsewhere` if the headline of
        such an axis or the accuracy on an OOD set is worse, p adjusted over them (Holm). Without accuracy
        `likelier`, `less likely` or `no likelier`, of the references; `undefined` without either.
    """
    by_axis = {cost.axis: cost for cost in differences if cost.headline}
    task, likelihood = by_axis.get("accuracy"), by_axis.get("likelihood")
    if task is None or not math.isfinite(task.difference.value):
        outcome = UNDEFINED if likelihood is None else UNASKED.get(likelihood.outcome, UNDEFINED)
    elif task.outcome in (BETTER, WORSE):
        outcome = task.outcome
    else:
        outcome = FORM_ONLY if likelihood is not None and likelihood.outcome == BETTER else NO_BETTER
    lost = losses_elsewhere(differences)
    return f"{outcome}{ELSEWHERE}" if lost and outcome not in (WORSE, UNDEFINED) else outcome


def losses_elsewhere(differences: Sequence[Cost]) -> list[Cost]:
    """Skills beside the task in which a checkpoint is clearly worse than its base model.

    Args:
        differences: checkpoint minus base model.
    """
    beside = [c for c in differences if c.axis in SKILLS and c.direction != "context"]
    asked = [c for c in beside if c.headline or (c.axis == "ood" and c.measure.startswith("accuracy_"))]
    adjusted = holm([cost.p for cost in asked])
    return [
        cost
        for cost, p in zip(asked, adjusted, strict=True)
        if p <= 0.05 and (cost.difference.value < 0) == (cost.direction == "higher")
    ]
