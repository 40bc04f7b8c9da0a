"""The figures of privacy: the worst attack's, which come first, and each attack's beside them.

Shape suffixes: D draws, M members, K non-members.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import nan

import numpy as np

from overmem.artifacts.evidence import Evidence
from overmem.artifacts.jobs import EARLY_TRAIN, EARLY_VAL, TRAIN_SCORES, VAL_SCORES, Job
from overmem.axes.axis import Available
from overmem.axes.grouped import groups_in
from overmem.axes.privacy.attacks import attack_scores
from overmem.axes.privacy.exposure import CANARY_SCORES, CANDIDATE_SCORES, exposure_measures
from overmem.axes.privacy.worst_case import (
    Halves,
    WorstCase,
    allowed_false_alarms,
    worst_auroc,
    worst_auroc_D,
    worst_recall,
    worst_recall_D,
)
from overmem.records import Estimate, Privacy
from overmem.stats.arrays import FloatArray
from overmem.stats.measures import Counts, Measure
from overmem.stats.roc import FPR, auroc_D, tpr_at_fpr_D

BASE_TRAIN, BASE_VAL = Job("score", "train", model="base"), Job("score", "val", model="base")
REFERENCES = {"early": (EARLY_TRAIN, EARLY_VAL), "base": (BASE_TRAIN, BASE_VAL)}
"""Members and non-members under the models that attacks of these names compare with."""
MEMBERS, NONMEMBERS = "train:score", "val:score"
"""Names of the two populations."""
MIN_NONMEMBERS = 100
"""Fewest non-members of which 1% is a whole problem."""
MIN_HALF = 10
"""Fewest examples of each side in a half, below which nothing can be chosen on it."""


def jobs(available: Available) -> tuple[Job, ...]:
    """References of members and non-members under the checkpoint, and under the base model if known.

    Those under the early checkpoint are there anyway: likelihood is measured at every checkpoint.
    """
    if "train" not in available.sets:
        return ()
    base = (BASE_TRAIN, BASE_VAL) if available.has_base else ()
    canaries = (CANARY_SCORES, CANDIDATE_SCORES) if CANARY_SCORES.set in available.sets else ()
    return (TRAIN_SCORES, VAL_SCORES, *base, *canaries)


@dataclass(frozen=True, kw_only=True)
class Attacked:
    """Members and non-members of one checkpoint under every attack that their rows allow."""

    scores: dict[str, tuple[FloatArray, FloatArray]]
    """Of members and non-members, in the order of the attacks."""
    halves: Halves

    @classmethod
    def of_evidence(cls, evidence: Evidence) -> Attacked | None:
        """The scores; None without rows of both sets."""
        if TRAIN_SCORES not in evidence.rows or VAL_SCORES not in evidence.rows:
            return None
        there = {name: jobs for name, jobs in REFERENCES.items() if set(jobs) <= set(evidence.rows)}
        member, nonmember = (
            attack_scores(
                evidence.rows[job],
                evidence.texts[job.set],
                {name: evidence.rows[jobs[side]] for name, jobs in there.items()},
            )
            for side, job in enumerate((TRAIN_SCORES, VAL_SCORES))
        )
        members, others = (evidence.rows[job]["example_id"].to_list() for job in (TRAIN_SCORES, VAL_SCORES))
        scores = {name: (member[name], nonmember[name]) for name in member}
        groups = (groups_in(evidence.rows[job]) for job in (TRAIN_SCORES, VAL_SCORES))
        return cls(scores=scores, halves=Halves.of_ids(members, others, *groups))

    @property
    def complete(self) -> dict[str, tuple[FloatArray, FloatArray]]:
        """The attacks that have a score of every example; only these are chosen from."""
        return {name: pair for name, pair in self.scores.items() if why_undefined(*pair) is None}

    @property
    def sizes(self) -> dict[str, int]:
        """Examples of each population."""
        return {MEMBERS: len(self.halves.member_M), NONMEMBERS: len(self.halves.nonmember_K)}

    @property
    def why_no_auroc(self) -> str | None:
        """Why the worst attack has no AUROC."""
        if not self.complete:
            return next(why_undefined(*pair) for pair in self.scores.values())
        if self.halves.fewest < MIN_HALF:
            members, nonmembers = (of.effective for of in (self.halves.members, self.halves.nonmembers))
            return (
                f"an attack is chosen on one half and read on the other, of {MIN_HALF} problems each: train "
                f"has {members} and val {nonmembers}"
            )
        return None

    @property
    def why_no_recall(self) -> str | None:
        """Why the worst attack has no recall."""
        if self.why_no_auroc is None and allowed_false_alarms(self.halves.fewest_nonmembers) < 0:
            fewest, n = 2 * (round(1 / FPR) - 1), self.halves.nonmembers.effective
            return f"1% false alarms on either half need at least {fewest} non-members, val has {n}"
        return self.why_no_auroc


def measures(evidence: Evidence) -> tuple[Measure, ...]:
    """The worst attack's `auroc` and `recall` (at 1% false alarms), then AUROC and TPR at 1% FPR of each.

    The attacks: loss, zlib, min_k, min_k_plus_plus, early, and base if it was scored. All are shares; lower
    is better down to 0.5 and 0.01, where the scores say nothing.
    """
    attacked = Attacked.of_evidence(evidence)
    if attacked is None:
        return ()
    each = [attack_measures(attack, *pair) for attack, pair in attacked.scores.items()]
    of_each = (measure for pair in each for measure in pair)
    return (*worst_case_measures(attacked), *of_each, *exposure_measures(evidence))


def worst_case_measures(attacked: Attacked) -> tuple[Measure, Measure]:
    """The worst attack's figures in a form that can be resampled; every draw chooses anew."""

    def auroc_statistic(counts: Counts) -> FloatArray:
        return worst_auroc_D(attacked.complete, attacked.halves, counts[MEMBERS], counts[NONMEMBERS])

    def recall_statistic(counts: Counts) -> FloatArray:
        return worst_recall_D(attacked.complete, attacked.halves, counts[MEMBERS], counts[NONMEMBERS])

    return (
        Measure(
            name="auroc",
            direction="lower",
            sizes=attacked.sizes,
            statistic=auroc_statistic,
            reason=attacked.why_no_auroc,
        ),
        Measure(
            name="recall",
            direction="lower",
            sizes=attacked.sizes,
            statistic=recall_statistic,
            reason=attacked.why_no_recall,
        ),
    )


def privacy_figure(evidence: Evidence, checkpoint: str) -> Privacy | None:
    """The worst attack's figures at one checkpoint, with intervals; None without rows of both sets.

    Args:
        evidence: of the checkpoint.
        checkpoint: its name.
    """
    attacked = Attacked.of_evidence(evidence)
    if attacked is None:
        return None
    members, nonmembers = attacked.sizes.values()
    auroc, recall = (
        WorstCase(estimate=Estimate(nan, nan, nan, n, why), attacks=())
        if why is not None
        else worst(attacked.complete, attacked.halves)
        for worst, why, n in (
            (worst_auroc, attacked.why_no_auroc, min(members, nonmembers)),
            (worst_recall, attacked.why_no_recall, members),
        )
    )
    return Privacy(
        checkpoint=checkpoint,
        auroc=auroc.estimate,
        auroc_attacks=auroc.attacks,
        recall=recall.estimate,
        recall_attacks=recall.attacks,
        false_alarms=recall.false_alarms,
    )


def attack_measures(attack: str, member_M: FloatArray, nonmember_K: FloatArray) -> tuple[Measure, Measure]:
    """AUROC and TPR at 1% FPR of one attack's scores, as figures that can be resampled."""
    auroc_name, tpr_name = f"auroc_{attack}", f"tpr_at_1pct_fpr_{attack}"
    sizes = {MEMBERS: len(member_M), NONMEMBERS: len(nonmember_K)}
    reason = why_undefined(member_M, nonmember_K)
    tpr_reason = reason
    if reason is None and len(nonmember_K) < MIN_NONMEMBERS:
        tpr_reason = f"1% FPR needs at least {MIN_NONMEMBERS} non-members, val has {len(nonmember_K)}"

    def auroc_statistic(counts: Counts) -> FloatArray:
        return auroc_D(member_M, nonmember_K, counts[MEMBERS], counts[NONMEMBERS])

    def tpr_statistic(counts: Counts) -> FloatArray:
        return tpr_at_fpr_D(member_M, nonmember_K, counts[MEMBERS], counts[NONMEMBERS], fpr=FPR)

    return (
        Measure(name=auroc_name, direction="lower", sizes=sizes, statistic=auroc_statistic, reason=reason),
        Measure(name=tpr_name, direction="lower", sizes=sizes, statistic=tpr_statistic, reason=tpr_reason),
    )


def why_undefined(member_M: FloatArray, nonmember_K: FloatArray) -> str | None:
    """Why an attack has no figures: a side without examples, or examples without a score."""
    if not len(member_M) or not len(nonmember_K):
        return f"no {'members (train)' if not len(member_M) else 'non-members (val)'} to compare"
    missing = int(np.isnan(member_M).sum() + np.isnan(nonmember_K).sum())
    if missing:
        return f"{missing} of {len(member_M) + len(nonmember_K)} examples have no score"
    return None
