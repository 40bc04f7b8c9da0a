"""What a log shows beside its curves: losses on other scales, near 0, not evaluated, at odds with a metric.

Each check takes what was read and returns findings; none of them reads files.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

from overmem.formatting import percent
from overmem.logs.findings.against import against_metrics, trainers_best
from overmem.logs.findings.packing import find_packing
from overmem.logs.findings.repeated import evaluated_again
from overmem.logs.history import LoggedHistory, logged_number
from overmem.logs.keep import named
from overmem.logs.kinds import OF_PAIRS, Task
from overmem.logs.metrics import base_name
from overmem.logs.series import Series
from overmem.records.logged import Keep, LoggedFinding, LogSeverity

ORDER = {"problem": 0, "warning": 1, "note": 2}
"""Of findings by their severity."""
NEAR_ZERO = 0.01
"""Nats: below, every next token is all but certain."""
_FACTORS = (2, 4, 8, 16, 32, 64, 128)
_RUNNING = 3
"""Improvements in a row, by chance one time in 24."""
_SETTLED = 0.5
"""Share of the evaluations, the last ones, that scales are compared on."""


def check_log(
    history: LoggedHistory, series: Sequence[Series], task: Task, picked: Series | None, keep: Keep | None
) -> tuple[LoggedFinding, ...]:
    """All findings on one run but those of its training loss alone.

    Args:
        history: its log.
        series: the evaluations in it.
        task: what was trained.
        picked: the series that the checkpoint to keep was picked by.
        keep: that checkpoint.
    """
    losses = [one for one in series if one.is_loss and task.name != "reinforcement"]
    opposed = against_metrics(series, task)
    found = [
        *unreadable(series),
        *(finding for one in losses for finding in near_zero(one, task)),
        *(finding for one in losses for finding in never_changes(one)),
        *scale(history, losses),
        *opposed,
        *at_chance(series, task),
        *worse_than_untrained(picked, series),
        *trainers_best(history, series, picked, keep),
        *evaluated_again(history),
        *end_not_evaluated(history, series),
        *find_packing(history, series, task),
        *([] if opposed else still_improving(picked)),
    ]
    return tuple(found)


def unreadable(series: Sequence[Series]) -> list[LoggedFinding]:
    """Evaluations that are no finite number."""
    found = []
    for one in series:
        if one.unreadable:
            first = min(one.unreadable)
            more = f", and no number at {len(one.unreadable) - 1:,} more" if len(one.unreadable) > 1 else ""
            text = f"`{one.key}` is {one.unreadable[first]} at step {first:,}{more}: not counted."
            steps = tuple(sorted(one.unreadable))[:20]
            found.append(LoggedFinding(kind="not_finite", severity="problem", sentence=text, steps=steps))
    return found


def near_zero(loss: Series, task: Task) -> list[LoggedFinding]:
    """An evaluation loss that unseen text, or pairs, do not have."""
    if not loss.steps or not 0 <= loss.values[loss.best()] < NEAR_ZERO:
        return []
    step, value = loss.steps[loss.best()], loss.values[loss.best()]
    n = f" on {loss.n:,} examples" if loss.n else ""
    why = (
        "as no unseen text has. Either the evaluation data are in the training data, or almost every label "
        "is masked (-100), or the answer is always the same"
    )
    if task.name in OF_PAIRS:
        why = (
            "so the better answer of almost every pair is known for sure. Either the evaluation pairs are in "
            "the training data, or length, format or a fixed phrase tells them apart"
        )
    text = (
        f"`{loss.key}` falls to {value:.2g}{n} at step {step:,}, {why}. Do not pick a checkpoint by it "
        "before that is known."
    )
    return [LoggedFinding(kind="eval_near_zero", severity="problem", sentence=text, steps=(step,))]


def never_changes(loss: Series) -> list[LoggedFinding]:
    """An evaluation loss that is the same throughout: the weights that are evaluated do not move."""
    if len(loss.values) < 3 or len(set(loss.values)) > 1 or loss.values[0] == 0:
        return []
    text = (
        f"`{loss.key}` is {loss.values[0]:.4g} at all {len(loss.values):,} evaluations: the weights that are "
        "evaluated do not change. Look at the learning rate, and at whether the adapter is trained."
    )
    return [LoggedFinding(kind="eval_constant", severity="problem", sentence=text, steps=loss.steps[:1])]


def scale(history: LoggedHistory, series: Sequence[Series]) -> list[LoggedFinding]:
    """Training and evaluation loss on different scales, such as a sum over the accumulation steps."""
    loss = next((one for one in series if one.is_loss and one.steps), None)
    if loss is None:
        return []
    ratios, train, seen = [], None, dict(zip(loss.steps, loss.values, strict=True))
    for row in history.rows:
        value = logged_number(row.get("loss"))
        train = train if value is None else value
        if loss.key in row and train and (own := seen.get(int(row["step"]))) and own > 0:
            ratios.append(train / own)
    settled = ratios[-max(1, round(_SETTLED * len(ratios))) :]
    if not settled or (ratio := median(settled)) < 1.7 or loss.values[-1] < NEAR_ZERO:
        return []
    steps = logged_number(history.settings.get("gradient_accumulation_steps"))
    near = [steps] if steps and steps > 1 else list(_FACTORS)
    factor = next((f for f in near if 0.75 <= ratio / f <= 1.34), None)
    if factor is None:
        why = "the two are on different scales, or are of different data"
    elif steps:
        why = f"it is summed over the {factor:g} accumulation steps, not averaged"
    else:
        why = f"that is what a sum over about {factor:g} accumulation steps looks like"
    text = (
        f"The training loss is {ratio:.3g} times `{loss.key}` late in the run: {why}. So the gap "
        "between the two says nothing here; the course of each does."
    )
    return [LoggedFinding(kind="scale", severity="warning", sentence=text, steps=loss.steps[-1:])]


def at_chance(series: Sequence[Series], task: Task) -> list[LoggedFinding]:
    """A classifier whose loss and accuracy are those of guessing among equally frequent classes."""
    if task.name not in ("classification", "unknown"):
        return []
    for loss in (one for one in series if one.is_loss and one.steps):
        for one in series:
            if (
                one.set_name != loss.set_name
                or not base_name(one.measure).endswith("accuracy")
                or not one.steps
            ):
                continue
            best, lowest = one.values[one.best()], loss.values[loss.best()]
            classes = round(1 / best) if best > 0 else 0
            if (
                2 <= classes <= 20
                and abs(best - 1 / classes) < 0.02
                and abs(lowest / math.log(classes) - 1) < 0.03
            ):
                text = (
                    f"`{loss.key}` is {lowest:.4g} at best and `{one.key}` {percent(best)}: guessing among "
                    f"{classes} classes has {math.log(classes):.4g} and {percent(1 / classes)}."
                )
                return [
                    LoggedFinding(kind="at_chance", severity="problem", sentence=text, steps=loss.steps[-1:])
                ]
    return []


def worse_than_untrained(picked: Series | None, series: Sequence[Series]) -> list[LoggedFinding]:
    """Evaluations before training that are better than any after: of what picks, or of a set of its mean."""
    if picked is None:
        return []
    of_sets = [one for one in series if one.key in picked.key.split(", ")]
    found = []
    for one in [picked, *of_sets] if len(of_sets) > 1 else [picked]:
        if len(one.steps) < 2 or one.steps[0] != 0 or one.worse_by(one.best(), 0) <= 0:
            continue
        name = named(one.key)
        after, noise = one.values[one.best()], one.noise.band
        sure = one.worse_by(one.best(), 0) > noise
        end = (
            "By this figure the fine-tune is worse than its base."
            if sure
            else "The noise explains a difference of this size; an improvement it is not."
            if math.isfinite(noise)
            else "Whether noise explains it cannot be told."
        )
        text = (
            f"Before training (step 0) {name} was {one.values[0]:.4g}, better than ever after: {after:.4g}."
        )
        text += f" {end}"
        severity: LogSeverity = "problem" if sure else "warning"
        found.append(LoggedFinding(kind="worse_than_untrained", severity=severity, sentence=text, steps=(0,)))
    return found


def still_improving(picked: Series | None) -> list[LoggedFinding]:
    """What picks was at its best at its last evaluation, after one better than the other."""
    if picked is None or len(picked.steps) < _RUNNING + 1 or picked.best() != len(picked.steps) - 1:
        return []
    running = 0
    for i in range(len(picked.steps) - 1, picked.trained().start, -1):
        if picked.worse_by(i - 1, i) <= 0:
            break
        running += 1
    if running < _RUNNING:
        return []
    name = named(picked.key)
    text = (
        f"At the end {name} was still improving, evaluation by evaluation, the last {running} times: this "
        "log does not show where it turns, and a longer training may have a better checkpoint."
    )
    return [LoggedFinding(kind="still_improving", severity="note", sentence=text, steps=picked.steps[-1:])]


def end_not_evaluated(history: LoggedHistory, series: Sequence[Series]) -> list[LoggedFinding]:
    """A run whose last steps were not evaluated, so that an earlier point speaks for the end."""
    evaluated = max((one.steps[-1] for one in series if one.steps), default=None)
    end = history.end
    if evaluated is None or evaluated >= end:
        return []
    text = (
        f"The end, step {end:,}, was not evaluated: the last evaluation, at step {evaluated:,}, speaks "
        "for it."
    )
    return [LoggedFinding(kind="end_not_evaluated", severity="note", sentence=text, steps=(evaluated, end))]
