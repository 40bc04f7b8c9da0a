"""Sentences for verdicts that rest on less: on a training log alone, or on nothing."""

from __future__ import annotations

import math
from pathlib import Path

from overmem.formatting import epoch_number, epochs_text, joined, number, sentence
from overmem.records import Verdict
from overmem.records.logged import Keep, LoggedReading, LoggedRun, LoggedSeries
from overmem.verdict.words.axes import INFLATED
from overmem.verdict.words.choice import missing_text
from overmem.verdict.words.extremes import lowest_nll, place

SHOWN = 6
"""Steps or names that a sentence lists."""
UNTOLD = "cannot be told: "
"""What a line begins with where a log names no checkpoint to keep."""
MOST_OTHERS = 12
"""Runs beside the first that are answered in words."""


def words_without_checkpoints(verdict: Verdict) -> tuple[str, ...]:
    """What is said where no checkpoint was measured."""
    return (
        "No checkpoint of this run was measured, so there is no verdict.",
        f"What is missing: {missing_text(verdict.reason)}",
        "No checkpoint is recommended.",
    )


def words_from_log(verdict: Verdict) -> tuple[str, ...]:
    """What a training log alone allows to be said: what it would keep, what is odd in it, and no stage."""
    reading = verdict.logged
    if reading is None:
        return (
            "This run was never audited: only its training log was read.",
            sentence(verdict.reason or "run `overmem diagnose` again to say more"),
        )
    run = reading.runs[0]
    points = [
        f"This run was never audited; what follows is from its training log alone. {task_text(run)}",
        strangers_text(reading),
        *(finding.sentence for finding in run.findings if finding.severity == "problem"),
        *keep_words(run),
        _perplexity(verdict),
        *(finding.sentence for finding in run.findings if finding.severity != "problem"),
        f"{run.keep.cannot_show if run.keep is not None else ''} {run.settle}".strip(),
        *words_of_others(reading),
    ]
    return tuple(point for point in points if point)


def words_of_others(reading: LoggedReading) -> list[str]:
    """A paragraph for each other run in the same place: which it is, what to keep of it, and what is odd."""
    count = 1 + len(reading.strangers)
    said = [_answer(run, i, count) for i, run in enumerate(reading.strangers[:MOST_OTHERS], 2)]
    if count - 1 > MOST_OTHERS:
        said.append(f"{count - 1 - MOST_OTHERS} more runs are in the record: `overmem diagnose` with --json.")
    return said


def _answer(run: LoggedRun, place: int, count: int) -> str:
    """What is said of one run among several; notes on it, but that on its gap, are in the record alone."""
    problems = [finding.sentence for finding in run.findings if finding.severity == "problem"]
    others = [
        finding.sentence
        for finding in run.findings
        if finding.severity == "warning" or finding.kind == "train_gap"
    ]
    parts = [
        f"Run {place} of {count}, {run_name(run)}.",
        "" if run.task == "unknown" else task_text(run),
        *problems,
        *keep_words(run),
        *others,
        run.settle if run.keep is not None else "",
    ]
    return " ".join(part for part in parts if part)


def task_text(run: LoggedRun) -> str:
    """What was trained, and what tells that."""
    if run.task == "unknown":
        return "The log does not say what was trained, so its loss is not read as a perplexity."
    return f"What was trained: {_articled(run.task)} ({run.task_by})."


def _articled(task: str) -> str:
    return _ARTICLED.get(task) or f"a {task}"


_ARTICLED = {
    "SFT": "SFT",
    "pretraining": "pretraining",
    "classification": "a classifier",
    "token classification": "a token classifier",
    "question answering": "an extractive question answering model",
    "seq2seq": "a sequence-to-sequence model",
    "speech": "a speech model",
    "preference": "a preference training",
    "reinforcement": "a reinforcement training",
}
_DOUBTS = {
    "eval_near_zero": "that loss is near 0",
    "eval_constant": "that loss never changes",
    "at_chance": "guessing does as well",
}
"""Findings with which a best point says little, and why."""
OF_FIRST = "What is said next is of the first; a paragraph on each of the others is at the end."
TAKEN_FOR_ONE = (
    "They would be measured as the checkpoints of one run: name those of one with --checkpoints-glob, or "
    "move the others away."
)


def strangers_text(reading: LoggedReading, then: str = OF_FIRST) -> str:
    """That several runs lie in one folder, and which; empty where one does.

    Args:
        reading: of the logs in the folder.
        then: what follows from it.
    """
    if not reading.strangers:
        return ""
    runs = [reading.runs[0], *reading.strangers]
    named = [f"{run_name(run)}" for run in runs[:SHOWN]]
    more = [f"{len(runs) - SHOWN} more"] if len(runs) > SHOWN else []
    states = runs[0].wrote == "trainer_state"
    where = "lie in this folder, whose logs do not continue one another" if states else "are in this log"
    return f"{len(runs)} runs {where}: {joined([*named, *more])}. {then}"


def run_name(run: LoggedRun) -> str:
    """A run as one of several in a folder: its steps and its checkpoints."""
    planned = f" of {run.max_steps:,}" if run.max_steps and run.max_steps != run.steps else ""
    return f"{run.steps:,}{planned} step{'' if run.steps == 1 and not planned else 's'} ({_whose(run)})"


def _whose(run: LoggedRun) -> str:
    """The checkpoints that a log is of; where none is on disk, its file."""
    names = [one.name for one in run.saved]
    return (", ".join(names) if len(names) <= 2 else f"{names[0]} to {names[-1]}") or Path(run.source).name


def keep_words(run: LoggedRun) -> list[str]:
    """What the log alone would keep, what does not differ from it, and whether it is on disk."""
    keep = run.keep
    if keep is None:
        return [f"{_why_none(run).capitalize()}, so this log cannot say which checkpoint to keep."]
    epoch = f" (epoch {epoch_number(keep.epoch)})" if keep.epoch is not None else ""
    by = f"`{keep.by}`" if "," not in keep.by else f"the mean of {keep.by.count(',') + 1} evaluation sets"
    first = f"By {by} alone, keep {keep.name}{epoch}: {keep.why}. {_on_disk(run, keep)}"
    return [first.rstrip(), _alike(run, keep)]


def _why_none(run: LoggedRun) -> str:
    """Why a log names no checkpoint to keep."""
    if run.series and run.task != "reinforcement":
        return "only rows that were trained on were evaluated"
    return f"{'no reward' if run.series else 'nothing'} was evaluated"


def _on_disk(run: LoggedRun, keep: Keep) -> str:
    if keep.on_disk:
        return "It is on disk." if keep.has_weights else "Its folder is on disk, without weights in it."
    if not run.saved:
        return "No checkpoint lies beside the log."
    if keep.nearest_on_disk is None:
        return "It is not on disk, and no checkpoint on disk was evaluated."
    differs = "does not differ from it" if keep.nearest_alike else "is worse than it"
    if keep.unknown_noise:
        differs = "is the best that is there"
    return f"It is not on disk; {keep.nearest_on_disk} is, and {differs}."


def _alike(run: LoggedRun, keep: Keep) -> str:
    series = picked_series(run, keep)
    if keep.unknown_noise:
        return f"Which evaluations differ from it cannot be told: {series.noise_by if series else 'too few'}."
    noise = f" (standard deviation of one point {series.noise:.2g}: {series.noise_by})" if series else ""
    if not keep.alike:
        return f"Every other evaluation is worse by more than the noise{noise}."
    do = "does" if len(keep.alike) == 1 else "do"
    text = f"{_steps(keep.alike)} {do} not differ from it by more than the noise"
    if keep.lowest_loss_alike is not None:
        text += f"{noise}. Of them all step {keep.lowest_loss_alike:,} has the lowest evaluation loss."
        return text
    return f"{text}{noise}."


def _steps(steps: tuple[int, ...]) -> str:
    if len(steps) > SHOWN:
        return f"{len(steps)} other evaluations (steps {steps[0]:,} to {steps[-1]:,})"
    return f"Step{'s' if len(steps) > 1 else ''} {joined([f'{step:,}' for step in steps])}"


def _perplexity(verdict: Verdict) -> str:
    """How perplexity went, where the log's loss is a language model's cross entropy."""
    lowest = lowest_nll(verdict.checkpoints)
    known = [one for one in verdict.checkpoints if math.isfinite(one.perplexity.value)]
    if lowest is None or not known:
        return ""
    last, limit = known[-1], verdict.thresholds.get("perplexity_ratio")
    least = f"Perplexity, exp of `eval_loss`, is lowest at {place(lowest)}: {number(lowest.perplexity.value)}"
    if last is lowest or last.perplexity.value == lowest.perplexity.value:
        return f"{least}. Nothing in it points to over-memorization, and nothing rules it out."
    ratio = last.perplexity.value / lowest.perplexity.value
    text = f"{least}; {number(last.perplexity.value)} at {place(last)} is {number(ratio, 2)} times that."
    if last.leaning not in INFLATED or limit is None or ratio < limit:
        return text
    since = last.step
    for summary in reversed(known):
        if summary.leaning not in INFLATED:
            break
        since = summary.step
    return (
        f"{text} It has been at least {limit:.2f} times since step {since:,}: over-memorized if accuracy "
        "held, overfit if it fell."
    )


def picked_series(run: LoggedRun, keep: Keep) -> LoggedSeries | None:
    """The series that the checkpoint to keep was picked by."""
    return next((one for one in run.series if one.key == keep.by), None)


def shown_series(run: LoggedRun) -> list[LoggedSeries]:
    """What a table of evaluations shows: the series that was picked by, and the loss of its set."""
    picked = picked_series(run, run.keep) if run.keep is not None else run.series[0]
    measures = () if run.task == "reinforcement" else ("loss", "rewards/accuracies")
    beside = [
        one
        for one in run.series
        if one.measure in measures and picked is not None and one.set_name == picked.set_name
    ]
    return [one for one in dict.fromkeys([picked, *beside[:2]]) if one is not None]


def log_line(run: LoggedRun, *, named: bool = False) -> str:
    """What was read, in a line: the task, the steps, how many evaluations.

    Args:
        run: the log.
        named: whether its checkpoints, or else its file, are named, as of one run among several.
    """
    planned = f" of {run.max_steps:,}" if run.max_steps and run.max_steps != run.steps else ""
    epochs = f", {epochs_text(run.epochs)}" if run.epochs is not None else ""
    count = max((one.n_points for one in run.series), default=0)
    task = "task unknown" if run.task == "unknown" else run.task
    steps = f"{run.steps:,}{planned} step{'' if run.steps == 1 and not planned else 's'}"
    line = f"{task}, {steps}{epochs}, {count:,} evaluation{'' if count == 1 else 's'}"
    return f"{_whose(run)}: {line}" if named else line


def keep_line(run: LoggedRun) -> str:
    """What the log alone would keep, in a line."""
    keep = run.keep
    if keep is None:
        return f"{UNTOLD}{_why_none(run)}"
    by = keep.by if "," not in keep.by else "mean of the sets"
    disk = "" if keep.on_disk else ", not on disk"
    kinds = {finding.kind for finding in run.findings}
    doubts = [
        why for kind, why in _DOUBTS.items() if kind in kinds and (kind == "at_chance" or "loss" in keep.by)
    ]
    doubt = f"; in doubt: {doubts[0]}" if doubts else ""
    return f"{keep.name}, by {by} alone ({keep.value:.4g}{disk}){doubt}"
