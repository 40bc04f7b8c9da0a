"""A verdict from a run's own training log, when it was never audited.

A log holds figures by step and nothing for single problems: no graded answers and no intervals. So no stage
is given; a checkpoint gets at most a leaning. What the log says is in the record's `logged`, with what it
alone would keep; what was read and how is in `overmem.logs`.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

from overmem.formatting import joined
from overmem.logs.judged import read_log
from overmem.logs.metrics import is_token_accuracy
from overmem.records import CheckpointSummary, Estimate, Onset, Severity, Verdict
from overmem.records.logged import LoggedPoint, LoggedReading, LoggedRun, LoggedSeries
from overmem.rule import DEFAULT_RULE, Rule
from overmem.stats.perplexity import perplexity
from overmem.verdict.words.narrative import plain_words

_ROUNDING = 1e-12
_NO_INTERVAL = "no interval: the log holds one mean, not one figure a problem"
_NO_ACCURACY = "the training log holds no graded answers"
_ON_METRICS = {"loss_up_metric_better": "over-memorized", "loss_up_metric_worse": "overfit"}
"""What the last evaluation leans to where loss and metric both say so."""


def read_logged(path: str | Path, rule: Rule = DEFAULT_RULE) -> Verdict:
    """Judge a run from its training log alone.

    The evidence is `logged` and the stage always `undetermined`: without a row for each problem there is no
    accuracy and no interval.

    Args:
        path: the run's folder, a checkpoint's, or a log; see `overmem.logs.reading`.
        rule: thresholds; its ratio to the lowest exp(eval_loss), after it, counts as inflated.

    Returns:
        A verdict without recommendation; `logged` names what the log alone would keep, and `reason` the
        audit that would settle it.

    Raises:
        RunError: there is no log, or one that cannot be read.
    """
    reading = read_log(Path(path))
    run = reading.runs[0]
    loss = next((one for one in run.series if one.measure == "loss" and not one.set_name), None)
    loss = loss or next((one for one in run.series if one.measure == "loss"), None)
    summaries = _summaries(run, loss, rule)
    verdict = Verdict(
        stage="undetermined",
        confidence=math.nan,
        checkpoints=summaries,
        onset=Onset(step=None, low=None, high=None, reason="a training log gives no stage, so no onset"),
        severity=_severity(run, loss),
        recommended=None,
        alternatives={"lowest_perplexity": _lowest_saved(run, loss), "highest_accuracy": None},
        thresholds={"perplexity_ratio": rule.perplexity_ratio},
        evidence="logged",
        logged=reading,
        reason=_reason(run),
        notes=_notes(reading, loss),
    )
    return replace(verdict, words=plain_words(verdict))


def _summaries(run: LoggedRun, loss: LoggedSeries | None, rule: Rule) -> tuple[CheckpointSummary, ...]:
    """The evaluated points and the checkpoints on disk, by step."""
    points = {point.step: point for point in loss.points} if loss is not None else {}
    saved = {one.step: one.name for one in run.saved}
    return tuple(
        CheckpointSummary(
            name=saved.get(step) or f"step-{step} (not saved)",
            step=step,
            stage="undetermined",
            confidence=math.nan,
            leaning=_leaning(run, points.get(step), loss, rule),
            accuracy=_undefined(_NO_ACCURACY),
            nll_nats=_figure(run, points.get(step), math.nan if step not in points else points[step].value),
            perplexity=_figure(
                run, points.get(step), math.nan if step not in points else perplexity(points[step].value)
            ),
            epoch=points[step].epoch if step in points else None,
        )
        for step in sorted(points.keys() | saved.keys())
    )


def _leaning(run: LoggedRun, point: LoggedPoint | None, loss: LoggedSeries | None, rule: Rule) -> str | None:
    """What a point leans to: by loss and metric where both were logged, else by a language model's loss."""
    if point is None or loss is None or loss.n_points < 2:
        return None
    if point.step == loss.last_step:
        for finding in run.findings:
            if finding.kind in _ON_METRICS:
                return _ON_METRICS[finding.kind]
    if not run.cross_entropy and run.task != "unknown":
        return None
    if point.value - loss.best < math.log(rule.perplexity_ratio) - _ROUNDING:
        return "fit"
    return "over-memorized" if point.step > loss.best_step else "learning"


def _undefined(why: str) -> Estimate:
    return Estimate(math.nan, math.nan, math.nan, 0, why)


def _figure(run: LoggedRun, point: LoggedPoint | None, value: float) -> Estimate:
    """A figure of a language model's cross entropy; undefined where the log has none at this step."""
    if not run.cross_entropy:
        return _undefined(run.not_cross_entropy or "eval_loss is not a cross entropy")
    if point is None:
        return _undefined("the log has no evaluation loss at this step")
    if not math.isfinite(value):
        return _undefined(f"exp({point.value:g}) is too large for a number")
    return Estimate(value, math.nan, math.nan, 0, _NO_INTERVAL)


def _lowest_saved(run: LoggedRun, loss: LoggedSeries | None) -> str | None:
    if loss is None or not run.cross_entropy:
        return None
    saved = [point for point in loss.points if point.saved_as is not None]
    return min(saved, key=lambda point: point.value).saved_as if saved else None


def _severity(run: LoggedRun, loss: LoggedSeries | None) -> Severity:
    shares = "a share needs the log-probability of every token, which the log does not hold"
    if loss is None or not run.cross_entropy:
        why = "the log has no evaluation loss" if loss is None else run.not_cross_entropy
        return Severity(excess_nll_nats=_undefined(why or ""), perplexity_ratio=math.nan, reason=shares)
    excess = loss.last - loss.best
    return Severity(
        excess_nll_nats=Estimate(excess, math.nan, math.nan, 0, _NO_INTERVAL),
        perplexity_ratio=perplexity(excess),
        reason=shares,
    )


def _reason(run: LoggedRun) -> str:
    """What is missing, and the one command that would settle it."""
    base = "the evidence is `logged`, only the training log was read"
    missing = f"{base}, and it has no evaluation to go by." if not run.series else f"{base}."
    return f"{missing} {run.settle}"


def _notes(reading: LoggedReading, loss: LoggedSeries | None) -> tuple[str, ...]:
    run = reading.runs[0]
    notes = list(run.notes)
    if loss is not None and (run.cross_entropy or run.task == "unknown"):
        notes.append(
            f"`{loss.key}` is the training objective, not always cross entropy: DFT, label smoothing and "
            "compute_loss_func run in evaluation too, and packing or counted prompt tokens change it."
        )
    tokens = [one.key for one in run.series if is_token_accuracy(one.measure)]
    if tokens:
        notes.append(
            f"`{'`, `'.join(tokens)}` is token accuracy (the share of next tokens guessed right with the "
            "reference before them), not answer accuracy; no checkpoint is picked by it."
        )
    shares = [one.key for one in run.series if one.measure == "accuracy" and "," not in one.key]
    if shares and run.task == "unknown":
        notes.append(
            f"The log does not say whether `{'`, `'.join(shares)}` counts tokens, labels or graded answers."
        )
    if len(evaluated := _unsaved(run, loss)) and run.saved:
        notes.append(f"Evaluated but not on disk as a checkpoint: {_steps_text(evaluated)}.")
    branches = [other for other in reading.runs[1:] if other.branch_of == run.source]
    if branches:
        names = joined([one.name for other in branches for one in other.saved]) or "no checkpoint"
        notes.append(f"A resumed run left a branch behind; on it: {names}. {' '.join(branches[0].notes)}")
    return tuple(notes)


def _unsaved(run: LoggedRun, loss: LoggedSeries | None) -> list[int]:
    return [] if loss is None else [point.step for point in loss.points if point.saved_as is None]


def _steps_text(steps: list[int]) -> str:
    if len(steps) > 8:
        return f"{len(steps)} steps ({', '.join(map(str, steps[:4]))}, ..., {steps[-1]})"
    return f"step {', '.join(map(str, steps))}"
