"""The verdict on bare arrays: stages with calibrated confidence, onset, severity, recommendation.

The flow: check the rows, reduce them to measured curves (`moments`), draw true curves from their
posterior (`posterior`), apply the rule to every draw (`rules`), and write down what came out.

Shape suffixes: C checkpoints, N problems, D draws, S stages.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from overmem.keywords import names_its_keywords
from overmem.records import (
    STAGES,
    CheckpointSummary,
    Estimate,
    Onset,
    ProblemGroups,
    Recommendation,
    Severity,
    Verdict,
)
from overmem.rule import Rule
from overmem.stats import stage_rule
from overmem.stats.arrays import BoolArray, FloatArray, IntArray
from overmem.stats.checks import check_groups, check_labels, check_rows
from overmem.stats.curves.settling import Settling, problems_to_settle
from overmem.stats.groups import Groups
from overmem.stats.intervals import (
    accuracy_estimate,
    nll_difference,
    nll_estimate,
    perplexity_estimate,
)
from overmem.stats.moments import Moments, measure_seeds
from overmem.stats.perplexity import perplexity
from overmem.stats.selection import choose
from overmem.stats.stage_draws import draw_stages
from overmem.verdict.recommendation import advise
from overmem.verdict.warnings.few_problems import few_problems_note
from overmem.verdict.warnings.sensitivity import measure_sensitivity
from overmem.verdict.words.to_settle import settle_text

MIN_PROBLEMS = 30
"""Fewer problems, or groups of them, are too few for standard errors, so no stage is given."""
Labels = Sequence[Hashable] | npt.NDArray[np.generic]
"""Of problems, equal for those of one group."""


@names_its_keywords
def judge(
    steps: npt.ArrayLike,
    correct_C_N: npt.ArrayLike,
    nll_nats_C_N: npt.ArrayLike,
    n_tokens_N: npt.ArrayLike,
    *,
    accuracy_margin: float = Rule.accuracy_margin,
    perplexity_ratio: float = Rule.perplexity_ratio,
    resamples: int = Rule.resamples,
    seed: int = Rule.seed,
    names: Sequence[str] | None = None,
    epochs: Sequence[float | None] | None = None,
    confidence_threshold: float = Rule.confidence_threshold,
    group: Labels | None = None,
) -> Verdict:
    """Name the stage of every checkpoint: learning, fit, over-memorized, overfit or unstable.

    A stage is given only when its probability reaches the threshold; otherwise it is `undetermined`,
    leaning to the most probable one, with the number of problems that would settle it. The
    probabilities are calibrated (docs/calibration.md) and do not depend on the order of the problems.

    Args:
        steps: C optimizer steps, increasing.
        correct_C_N: correctness of each problem in [0, 1]; a mean over samples may be a fraction.
        nll_nats_C_N: NLL of each reference completion, nats, summed over its tokens. Both may have a
            leading axis of seeds of one recipe, measured on the same problems; the verdict is then about
            the recipe's mean curves, and its confidence allows for the seeds too.
        n_tokens_N: tokens of each completion, at least 1.
        accuracy_margin: accuracy below the peak that is still comparable, in [0, 1).
        perplexity_ratio: growth over the lowest perplexity that counts as inflated, above 1.
        resamples: posterior draws of the true curves, at least 100.
        seed: seed of the draws; the same seed gives the same figures.
        names: checkpoint names; `checkpoint-<step>` when left out.
        epochs: epochs of each checkpoint, when known.
        confidence_threshold: least probability at which a stage is given, in (0, 1].
        group: a label of each problem, equal for those that belong together: wordings of one template,
            references of one problem, questions on one text. Errors are then those of the groups, and these
            are counted where problems are too few. Each problem stands alone by default.

    Returns:
        Verdict with `words` empty and the shares of its severity undefined (filled by `diagnose`).

    Raises:
        RunError: steps, names or epochs that are not those of at least two ordered checkpoints.
        DataError: rows of other shapes, not finite or out of range; settings out of range; labels of groups
            that are not one a problem.

    Source: docs/definitions.md, The decision rule; arXiv 2508.04117.
    """
    rule = Rule(
        accuracy_margin=accuracy_margin,
        perplexity_ratio=perplexity_ratio,
        resamples=resamples,
        seed=seed,
        confidence_threshold=confidence_threshold,
    )
    return judge_by(
        rule, steps, correct_C_N, nll_nats_C_N, n_tokens_N, names=names, epochs=epochs, group=group
    )


def judge_by(
    rule: Rule,
    steps: npt.ArrayLike,
    correct_C_N: npt.ArrayLike,
    nll_nats_C_N: npt.ArrayLike,
    n_tokens_N: npt.ArrayLike,
    *,
    names: Sequence[str] | None = None,
    epochs: Sequence[float | None] | None = None,
    refused: str | None = None,
    group: Labels | None = None,
    grouped_by: str = "",
    ids: Sequence[str] | None = None,
) -> Verdict:
    """`judge` with its thresholds as one object.

    Args:
        rule: thresholds.
        steps: see `judge`, as for the others.
        correct_C_N: of each problem at each checkpoint.
        nll_nats_C_N: likewise.
        n_tokens_N: of each problem.
        names: of the checkpoints.
        epochs: of the checkpoints.
        refused: why no stage may rest on these rows, whatever they say.
        group: of the problems.
        grouped_by: what tells the groups, for the reader.
        ids: of the problems, to name those that the verdict hangs on.

    Raises:
        OvermemError: see `judge`.
    """
    rows = check_rows(steps, correct_C_N, nll_nats_C_N, n_tokens_N)
    check_labels(names, epochs, rows.steps_C)
    groups = check_groups(group, rows.n_tokens_N.size)
    labels = tuple(names) if names is not None else tuple(f"checkpoint-{step}" for step in rows.steps_C)

    def judge_kept(kept_N: BoolArray) -> Verdict | None:
        kept = groups.at(np.flatnonzero(kept_N))
        if kept.effective < MIN_PROBLEMS:
            return None
        moments = measure_seeds(
            rows.correct_S_C_N[..., kept_N], rows.nll_nats_S_C_N[..., kept_N], rows.n_tokens_N[kept_N], kept
        )
        return _conclude(moments, rows.steps_C, labels, epochs or (None,) * len(labels), rule, refused)

    moments = measure_seeds(rows.correct_S_C_N, rows.nll_nats_S_C_N, rows.n_tokens_N, groups)
    verdict = _conclude(moments, rows.steps_C, labels, epochs or (None,) * len(labels), rule, refused)
    if not groups.is_trivial:
        verdict = replace(verdict, groups=describe_groups(groups, grouped_by))
    if missing_evidence(moments) is not None or refused is not None:
        return verdict
    nll_C_N = rows.nll_nats_S_C_N.mean(axis=0)
    sensitivity = measure_sensitivity(verdict, nll_C_N, rows.n_tokens_N, ids, judge_kept)
    return replace(verdict, sensitivity=sensitivity)


def describe_groups(groups: Groups, by: str) -> ProblemGroups:
    """Groups as a verdict says them.

    Args:
        groups: of some problems.
        by: what tells them; empty where the caller said.
    """
    return ProblemGroups(
        problems=groups.index_N.size, groups=groups.number, effective=groups.effective, by=by
    )


def _conclude(
    moments: Moments,
    steps_C: IntArray,
    names: tuple[str, ...],
    epochs: Sequence[float | None],
    rule: Rule,
    refused: str | None,
) -> Verdict:
    """Draw curves, apply the rule and fill the record."""
    drawn = draw_stages(moments, steps_C, rule)
    probability_C_S = drawn.probability_C_S
    missing = refused or missing_evidence(moments)
    given_C = (probability_C_S.max(axis=1) >= rule.confidence_threshold) & (missing is None)
    asked_C = ~given_C & (refused is None) & bool(moments.accuracy_C.any())
    least = math.ceil(MIN_PROBLEMS * moments.n / moments.units)
    settle = problems_to_settle(drawn.fitted, moments, steps_C, asked_C, rule, least=least)
    summaries = tuple(
        _summarise(
            moments, c, names[c], int(steps_C[c]), epochs[c], probability_C_S[c], bool(given_C[c]), settle[c]
        )
        for c in range(steps_C.size)
    )
    choice = choose(drawn.curves, probability_C_S, rule)
    advice = None if missing else advise(moments, choice, steps_C.tolist(), names)
    last = summaries[-1]
    return Verdict(
        stage=last.stage,
        confidence=last.confidence,
        checkpoints=summaries,
        onset=_find_onset(drawn.codes_D_C, steps_C, missing),
        severity=_measure_severity(moments),
        recommended=_with_stage(advice.recommended, summaries) if advice else None,
        alternatives=advice.alternatives if advice else {"lowest_perplexity": None, "highest_accuracy": None},
        alternative_costs=advice.alternative_costs if advice else {},
        thresholds=rule.to_dict(),
        reason=missing or _why_undetermined(last, rule.confidence_threshold, moments.n),
        notes=few_problems_note(moments.units, steps_C.size) if given_C.any() else (),
    )


def _with_stage(chosen: Recommendation, summaries: Sequence[CheckpointSummary]) -> Recommendation:
    """The recommendation with the stage of what is shipped."""
    own = next(summary for summary in summaries if summary.name == chosen.name)
    return replace(chosen, stage=own.stage, leaning=own.leaning, confidence=own.confidence)


def missing_evidence(moments: Moments) -> str | None:
    """Say what is missing when no stage can rest on the rows, else None.

    Args:
        moments: measured curves.

    Returns:
        One sentence, or None when the rows are enough to judge.
    """
    if moments.units < MIN_PROBLEMS:
        scored = f"{moments.n} problem(s) were scored"
        if moments.units < moments.n:
            scored += f", whose groups tell as much as {moments.units} that stand alone"
        return f"insufficient evidence: {scored}, at least {MIN_PROBLEMS} are needed"
    if not moments.accuracy_C.any():
        return (
            "insufficient evidence: no problem was solved at any checkpoint, so accuracy says nothing; "
            "check the grader"
        )
    return None


def _summarise(
    moments: Moments,
    c: int,
    name: str,
    step: int,
    epoch: float | None,
    shares_S: FloatArray,
    given: bool,
    settling: Settling | None,
) -> CheckpointSummary:
    """Fill the record of one checkpoint."""
    likely = STAGES[int(shares_S.argmax())]
    nll = nll_estimate(moments, c)
    return CheckpointSummary(
        name=name,
        step=step,
        stage=likely if given else "undetermined",
        confidence=float(shares_S.max()),
        leaning=None if given else likely,
        accuracy=accuracy_estimate(moments, c),
        nll_nats=nll,
        perplexity=perplexity_estimate(nll),
        stage_probabilities={stage: float(share) for stage, share in zip(STAGES, shares_S, strict=True)},
        problems_to_settle=settling.even if settling else None,
        problems_to_settle_likely=settling.likely if settling else None,
        chance_to_settle=settling.chance_at_most if settling else None,
        epoch=epoch,
    )


def _find_onset(codes_D_C: IntArray, steps_C: IntArray, missing: str | None) -> Onset:
    """Median onset over the draws that have one, with the central 95% of them."""
    onset_D = stage_rule.onset_steps(codes_D_C, steps_C)
    found = onset_D[onset_D != stage_rule.NO_ONSET]
    probability = found.size / onset_D.size
    if missing:
        return Onset(step=None, low=None, high=None, probability=probability, reason=missing)
    if probability < 0.5:
        reason = f"the run ends over-memorized or overfit with probability {probability:.2f} only"
        return Onset(step=None, low=None, high=None, probability=probability, reason=reason)
    low, step, high = (int(q) for q in np.quantile(found, (0.025, 0.5, 0.975), method="inverted_cdf"))
    return Onset(step=step, low=low, high=high, probability=probability)


def _measure_severity(moments: Moments) -> Severity:
    """Excess NLL of the last checkpoint over the lowest; its shares need token rows, not sums."""
    last, lowest = moments.nll_C.size - 1, int(moments.nll_C.argmin())
    if last == lowest:
        reason = "the last checkpoint has the lowest NLL, so there is no excess"
        return Severity(
            excess_nll_nats=Estimate(0.0, math.nan, math.nan, moments.n, reason),
            perplexity_ratio=1.0,
            reason=reason,
        )
    excess = nll_difference(moments, last, lowest)
    return Severity(
        excess_nll_nats=excess,
        perplexity_ratio=perplexity(excess.value),
        reason="the shares need token-level rows, and only sums over completions were given",
    )


def _why_undetermined(last: CheckpointSummary, threshold: float, n: int) -> str | None:
    """Say why the run's own stage is undetermined and what would settle it."""
    if last.leaning is None:
        return None
    return (
        f"{last.name} is {last.leaning} with probability {last.confidence:.2f} on {n} problems, "
        f"below {threshold:g}; {settle_text(last)}"
    )
