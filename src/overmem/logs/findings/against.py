"""Loss against metric, and the trainer's choice against ours: where two figures of one log disagree."""

from __future__ import annotations

import math
from collections.abc import Sequence

from overmem.formatting import joined, percent
from overmem.logs.history import LoggedHistory
from overmem.logs.keep import named, trainers_choice
from overmem.logs.kinds import LANGUAGE_MODELS, OF_PAIRS, Task
from overmem.logs.metrics import is_token_accuracy
from overmem.logs.series import Series
from overmem.records.logged import Keep, LoggedFinding

LEAST_RISE = 0.02
"""Share by which a loss has to rise at least."""


_OF_PAIRS = ("rewards/accuracies", "accuracy")
"""Share of the pairs that are ranked right; their margin grows where the loss falls, and says no more."""


def against_metrics(series: Sequence[Series], task: Task) -> list[LoggedFinding]:
    """Loss and metrics of each set that go opposite ways, or both the wrong way; sets alike are said once.

    The loss of reinforcement says nothing of progress, so nothing is said of it.
    """
    if task.name == "reinforcement":
        return []
    found: dict[str, list[tuple[Series, str]]] = {}
    for loss in (one for one in series if one.is_loss and len(one.steps) > 1):
        low, last = loss.best(), len(loss.steps) - 1
        rise, needed = loss.later_change(low)
        least = LEAST_RISE * abs(loss.values[low])
        if low == last or rise <= (least if math.isnan(needed) else max(needed, least)):
            continue
        metrics = [one for one in series if one.set_name == loss.set_name and not one.is_loss]
        if task.name in OF_PAIRS:
            metrics = [one for one in metrics if one.measure in _OF_PAIRS]
        better, worse = _course(metrics, loss.steps[low], loss.steps[last])
        kind = (
            f"loss_up_metric_{'worse' if worse else 'better'}" if bool(worse) != bool(better) else "loss_up"
        )
        if task.name in OF_PAIRS and kind != "loss_up":
            kind = f"pairs_{kind}"
        elif task.name in LANGUAGE_MODELS and not task.cross_entropy:
            kind = "loss_up"
        found.setdefault(kind, []).append((loss, _rise(loss, low) + _ending(kind, better, worse)))
    return [_of_sets(kind, losses) for kind, losses in found.items()]


def _rise(loss: Series, low: int) -> str:
    """That a loss rises, and by how much."""
    value, last = loss.values[low], loss.values[-1]
    more = f" ({percent((last - value) / value, 0)} more)" if value > 0 else ""
    return (
        f"`{loss.key}` rises from {value:.4g} at step {loss.steps[low]:,} to {last:.4g} at the last "
        f"evaluation, step {loss.steps[-1]:,}{more}"
    )


def _ending(kind: str, better: Sequence[str], worse: Sequence[str]) -> str:
    """What its metrics do meanwhile, and what that makes of it."""
    if kind == "loss_up_metric_better":
        return (
            f", while {' and '.join(better)}. That is over-memorization written in the log: "
            "the answers hold or improve, and what is right is found less likely."
        )
    if kind == "pairs_loss_up_metric_better":
        return (
            f", while {' and '.join(better)}. As many pairs are ranked right, and those ranked wrong are so "
            "by more: the model grows too sure of itself."
        )
    if kind in ("loss_up_metric_worse", "pairs_loss_up_metric_worse"):
        return f", and {' and '.join(worse)}: overfitting, by both."
    tail = f": {' and '.join([*better, *worse])}" if better or worse else ""
    end = "the metrics disagree" if better and worse else "the log cannot tell which"
    return f"{tail}. Over-memorized if the answers held, overfitted if they fell; {end}."


def _of_sets(kind: str, losses: Sequence[tuple[Series, str]]) -> LoggedFinding:
    """One finding of the sets that show the same."""
    loss, text = losses[0]
    if len(losses) > 1:
        text += f" Likewise {joined([f'`{other.key}`' for other, _ in losses[1:]])}."
    return LoggedFinding(
        kind=kind,
        severity="warning" if kind == "loss_up" else "problem",
        sentence=text,
        steps=(loss.steps[loss.best()], loss.steps[-1]),
    )


def _course(metrics: Sequence[Series], low: int, last: int) -> tuple[list[str], list[str]]:
    """Metrics that hold or improve from a step to the last, and those that fall by more than noise."""
    better, worse = [], []
    for one in metrics:
        place = {step: i for i, step in enumerate(one.steps)}
        if low not in place or last not in place:
            continue
        here, there = one.values[place[low]], one.values[place[last]]
        worse_by, band = one.later_change(place[low])
        band = 0.0 if math.isnan(band) else band
        name = f"`{one.key}`" + (" (of tokens, not of answers)" if is_token_accuracy(one.measure) else "")
        if worse_by > band:
            worse.append(f"{name} falls back from {here:.4g} to {there:.4g}")
        elif worse_by < -band:
            better.append(f"{name} improves from {here:.4g} to {there:.4g}")
        else:
            better.append(f"{name} holds, within noise ({here:.4g}, then {there:.4g})")
    return better[:3], worse[:3]


def trainers_best(
    history: LoggedHistory, series: Sequence[Series], picked: Series | None, keep: Keep | None
) -> list[LoggedFinding]:
    """What the trainer kept as its best, where that is another than ours."""
    chosen = trainers_choice(series, history)
    if keep is None or picked is None or chosen is None or history.best_metric is None:
        return []
    at = next((i for i, v in enumerate(chosen.values) if math.isclose(v, history.best_metric)), None)
    if at is None:
        return []
    step = chosen.steps[at]
    if step == keep.step:
        text = f"The trainer kept the same checkpoint as its best, by `{chosen.key}`."
        return [LoggedFinding(kind="trainers_best", severity="note", sentence=text, steps=(step,))]
    name = (history.best_checkpoint or f"step {step:,}").rstrip("/").rsplit("/", 1)[-1]
    own = dict(zip(picked.steps, picked.values, strict=True)).get(step)
    by = f"by `{chosen.key}`"
    if own is not None:
        values = f"{own:.4g} and {keep.value:.4g}"
        differs = "does not differ from" if step in keep.alike else "is worse than"
        by += f"; by {named(keep.by)} it {differs} {keep.name} ({values})"
    text = f"The trainer kept {name} as its best, {by}."
    return [LoggedFinding(kind="trainers_best", severity="warning", sentence=text, steps=(step, keep.step))]
