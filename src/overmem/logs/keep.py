"""What a log alone would keep: the best evaluated point, and which others do not differ from it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from glob import escape
from pathlib import Path

from overmem.formatting import joined, shell_word
from overmem.logs.history import LoggedHistory, logged_number
from overmem.logs.kinds import AUDITED, LANGUAGE_MODELS, OF_PAIRS, Task
from overmem.logs.metrics import base_name, rank
from overmem.logs.series import Series
from overmem.records.logged import Keep

MEAN = "mean of the sets"
MOST_NAMED = 6
"""Checkpoints of one run among several that a sentence lists."""
REWARDS = ("reward", "env/reward_mean", "objective/scores")
"""What reinforcement is to raise, as TRL and ms-swift log it."""


def _cannot_show(picked: Series, task: Task) -> str:
    if task.name == "reinforcement":
        return "A reward says what its function likes: not whether answers are right, nor how much they vary."
    if task.name in OF_PAIRS:
        return (
            "What is logged compares two given answers: it says nothing of the answers that a model writes."
        )
    if picked.is_loss:
        return (
            "A loss says nothing of answers: it can rise while they stay right, and fall while they do not."
        )
    return "A metric says how often it is right, not how likely it finds what is right."


def pick_series(series: Sequence[Series], task: Task, history: LoggedHistory) -> Series | None:
    """The series that a checkpoint is picked by.

    The metric that the trainer picked by, unless that is the loss; else the metric that speaks first for its
    kind; else the loss. Of several evaluation sets without an unnamed one, the mean over the sets.

    Args:
        series: of the log.
        task: what was trained; accuracy in a language model's log counts tokens.
        history: for the metric that the trainer picked by.
    """
    found = [one for one in series if one.steps]
    names = sorted({one.set_name for one in found})
    if not names:
        return None
    by_set = [_pick_of_set([one for one in found if one.set_name == name], task, history) for name in names]
    plain = next((one for one in by_set if one is not None and not one.set_name), None)
    if plain is not None or len(names) == 1:
        return plain or by_set[0]
    alike = [one for one in by_set if one is not None and one.measure == (by_set[0] or one).measure]
    return mean_of_sets(alike)


def _pick_of_set(found: Sequence[Series], task: Task, history: LoggedHistory) -> Series | None:
    trainers = trainers_choice(found, history)
    if trainers is not None and not trainers.is_loss:
        return trainers
    if task.name == "reinforcement":
        return next((one for one in found if one.measure in REWARDS), None)
    metrics = [(place, one) for one in found if (place := rank(one.measure)) is not None]
    if task.name in (*LANGUAGE_MODELS, "masked language model"):
        metrics = [(p, one) for p, one in metrics if not base_name(one.measure).endswith("accuracy")]
    if task.name in OF_PAIRS:
        metrics = []
    if metrics:
        return min(metrics, key=lambda pair: (pair[0], pair[1].measure))[1]
    return next((one for one in found if one.is_loss), None)


def trainers_choice(series: Sequence[Series], history: LoggedHistory) -> Series | None:
    """The series whose value the trainer kept as its best; None where it kept none, or none has it."""
    named = str(history.settings.get("metric_for_best_model") or "")
    by_name = next(
        (one for one in series if named and one.key.removeprefix("eval_") == named.removeprefix("eval_")),
        None,
    )
    if by_name is not None or history.best_metric is None:
        return by_name
    best = history.best_metric
    return next((one for one in series if any(math.isclose(v, best) for v in one.values)), None)


def mean_of_sets(series: Sequence[Series]) -> Series | None:
    """The mean of one measure over several evaluation sets, where all were evaluated."""
    shared = sorted(set.intersection(*(set(one.steps) for one in series))) if series else []
    if not shared:
        return None
    values = [dict(zip(one.steps, one.values, strict=True)) for one in series]
    return replace(
        series[0],
        key=", ".join(one.key for one in series),
        set_name=MEAN,
        steps=tuple(shared),
        values=tuple(math.fsum(value[step] for value in values) / len(values) for step in shared),
        unreadable={},
        n=None,
    )


def choose(picked: Series, loss: Series | None, task: Task, history: LoggedHistory) -> Keep:
    """What the log alone would keep.

    Args:
        picked: the series to pick by, with at least one point.
        loss: of the same evaluation set, to tell points apart that do not differ by a metric.
        task: what was trained.
        history: for the checkpoints on disk.
    """
    at = picked.best()
    step, alike = picked.steps[at], [picked.steps[i] for i in picked.alike(at)]
    saved = {one.step: one for one in history.saved}
    last = next(row for row in reversed(history.rows) if row["step"] == step)
    nearest, is_alike = _nearest(picked, at, alike, saved)
    name = saved[step].name if step in saved else f"step {step:,}"
    return Keep(
        step=step,
        epoch=logged_number(last.get("epoch")),
        name=name,
        by=picked.key,
        value=picked.values[at],
        on_disk=step in saved,
        has_weights=step in saved and saved[step].has_weights,
        alike=tuple(alike),
        unknown_noise=math.isnan(picked.noise.value),
        nearest_on_disk=None if step in saved or nearest is None else saved[nearest].name,
        nearest_alike=is_alike,
        lowest_loss_alike=_calmest(picked, loss, at),
        why=_why(picked),
        cannot_show=_cannot_show(picked, task),
    )


def _nearest(
    picked: Series, at: int, alike: Sequence[int], saved: Mapping[int, object]
) -> tuple[int | None, bool]:
    """The best evaluated step that is on disk, and whether it does not differ from the best."""
    on_disk = [i for i in picked.trained() if picked.steps[i] in saved]
    if not on_disk:
        return None, False
    sign = 1 if picked.lower else -1
    nearest = picked.steps[min(on_disk, key=lambda i: sign * picked.values[i])]
    return nearest, nearest in alike


def _calmest(picked: Series, loss: Series | None, at: int) -> int | None:
    """Of the points that do not differ by a metric, that with the lowest loss; None where it is the best."""
    if loss is None or picked.is_loss:
        return None
    losses = dict(zip(loss.steps, loss.values, strict=True))
    near = [picked.steps[i] for i in [at, *picked.alike(at)] if picked.steps[i] in losses]
    lowest = min(near, key=lambda step: losses[step], default=None)
    return None if lowest in (None, picked.steps[at]) else lowest


def _why(picked: Series) -> str:
    end = "lowest" if picked.lower else "highest"
    return f"{picked.measure} is {end} there: {picked.values[picked.best()]:.4g}"


def settle(keep: Keep | None, task: Task, history: LoggedHistory, run: str, *, shared: bool = False) -> str:
    """The one command that would settle what a log cannot, as a sentence.

    Args:
        keep: what the log alone would keep.
        task: what was trained.
        history: for the checkpoints on disk.
        run: the path as a person named it.
        shared: whether checkpoints of other runs lie there too, which an audit would take for this run's.
    """
    if task.name not in AUDITED:
        named = f" --metric_for_best_model {keep.by}" if keep is not None and "," not in keep.by else ""
        return (
            "overmem audits causal language models only. Train again with `--eval_strategy epoch "
            f"--save_strategy epoch --load_best_model_at_end{named}`, and test what it keeps on data that "
            "picked nothing."
        )
    data = "--val VAL --train TRAIN"
    if not history.saved:
        return (
            f"There are no checkpoints beside this log. To settle it, audit the folder that holds them: "
            f"`overmem audit FOLDER {data}`."
        )
    if not shared:
        return f"To settle it: `overmem audit {shell_word(run)} {data}`."
    if len(history.saved) == 1 and history.saved[0].folder.parent == Path(run):
        only = shell_word(escape(history.saved[0].folder.name))
        return f"To settle it: `overmem audit {shell_word(run)} --checkpoints-glob {only} {data}`."
    names = [one.name for one in history.saved]
    listed = (
        joined(names) if len(names) <= MOST_NAMED else f"{names[0]} to {names[-1]} ({len(names)} of them)"
    )
    own = "its own" if len(names) == 1 else "their own"
    return f"To settle it, move {listed} to a folder of {own}: `overmem audit THAT_FOLDER {data}`."


def named(keys: str) -> str:
    """The key of a series for a sentence, or that it is the mean over several."""
    return f"`{keys}`" if "," not in keys else "the mean over the sets"
