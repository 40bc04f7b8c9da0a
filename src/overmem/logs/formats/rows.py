"""Rows under the HF Trainer's keys from what trackers log, and the runs in a list of rows told apart."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from overmem.checkpoints.reading import MAX_STEP
from overmem.logs.history import LoggedHistory
from overmem.parsing import finite_number

Row = Mapping[str, Any]
_RENAMED = {"lr": "learning_rate", "global_step": "step", "current_steps": "step", "_step": "step"}
_EVALUATION = re.compile(r"(?:eval|val|valid|validation)[/_](.+)")
_GROUPED = re.compile(r"[\d,]+\.?\d*")
_DIGITS = 15
"""Of a whole number that a float holds exactly."""
_OF_A_RUN = re.compile(r"train_|total_flos$")


@lru_cache(maxsize=1024)
def trainer_key(name: str) -> str:
    """What the Trainer calls a figure that a tracker has under `name`.

    `train/loss` is `loss`, `eval/loss` and `val_loss` are `eval_loss`, `lr` is `learning_rate`.
    """
    name = name.removeprefix("train/")
    evaluation = _EVALUATION.fullmatch(name)
    if evaluation is not None:
        return f"eval_{evaluation[1]}"
    return _RENAMED.get(name, name.replace("test/", "test_", 1) if name.startswith("test/") else name)


def is_evaluation(key: str) -> bool:
    """Whether a key is an evaluation's."""
    return key.startswith(("eval_", "test_"))


def is_a_log(row: Row) -> bool:
    """Whether a row, under the Trainer's keys, has a loss or a figure of an evaluation."""
    return any(key == "loss" or is_evaluation(key) or key == "train_loss" for key in row)


def number_of(text: object) -> Any:
    """A number where a text is one (`nan` and `inf` are), else the value as it is."""
    if not isinstance(text, str):
        return text
    plain = text.strip()
    try:
        number = float(plain.replace(",", "") if "," in plain and _GROUPED.fullmatch(plain) else plain)
    except ValueError:
        return text
    return int(number) if plain.removeprefix("-").isdecimal() and len(plain) <= _DIGITS else number


def whole_step(value: object) -> int | None:
    """A step of optimization; None for what is none."""
    if type(value) is int:  # first, since nearly all are
        return value if 0 <= value <= MAX_STEP else None
    step = finite_number(value)
    return int(step) if step is not None and 0 <= step <= MAX_STEP and step == int(step) else None


def rows_of_series(values: Iterable[tuple[int, str, Any]]) -> list[Row]:
    """Rows from single figures, where a tracker keeps each key for itself.

    Args:
        values: step, key as the Trainer has it, and figure, in the order in which they were logged.

    Returns:
        For each step a row of training, one of evaluation, and one of the run's end, as far as there are any;
        the epoch is in each. Where the steps fall, a training began anew, and so do the rows.
    """
    rows: list[Row] = []
    at: int | None = None
    found: list[tuple[str, Any]] = []
    for step, key, figure in values:
        if step != at:
            rows += _rows_of_step(at, found)
            at, found = step, []
        found.append((key, figure))
    return rows + _rows_of_step(at, found)


def _rows_of_step(step: int | None, found: Sequence[tuple[str, Any]]) -> list[Row]:
    shared: dict[str, Any] = {}
    kinds: tuple[dict[str, Any], ...] = ({}, {}, {})
    for key, figure in found:
        kind = 1 if is_evaluation(key) else 2 if _OF_A_RUN.match(key) else 0
        (shared if key == "epoch" else kinds[kind])[key] = figure
    return [{"step": step} | shared | kind for kind in kinds if kind]


def split_runs(rows: Sequence[Row]) -> list[tuple[list[Row], tuple[str, ...]]]:
    """Runs that were written one after another into one log.

    A step that falls to where the log began starts a run; so does one that falls under another number of
    planned steps (`total_steps`). One that falls back to somewhere within is a training resumed there: what
    it left behind is dropped.

    Returns:
        Of each run its rows, and what is to be said of them.
    """
    runs: list[list[Row]] = []
    dropped: list[list[str]] = []
    total: object = None
    for row in rows:
        current = runs[-1] if runs else None
        planned = row.get("total_steps")
        if current is None or row["step"] < current[-1]["step"]:
            if current is None or row["step"] <= current[0]["step"] or (planned != total):
                runs.append([])
                dropped.append([])
            else:
                behind = [old for old in current if old["step"] >= row["step"]]
                del current[len(current) - len(behind) :]
                dropped[-1].append(
                    f"Training was resumed before step {row['step']}: {len(behind)} rows of what it left "
                    "behind are not used."
                )
        total = planned
        runs[-1].append(row)
    return [(run, tuple(said)) for run, said in zip(runs, dropped, strict=True)]


def planned(settings: Mapping[str, Any]) -> dict[str, Any]:
    """`max_steps` and `planned_epochs` of a history, from training arguments; -1 stands for none."""
    steps, epochs = whole_step(settings.get("max_steps")), finite_number(settings.get("num_train_epochs"))
    return {"max_steps": steps or None, "planned_epochs": epochs if epochs and epochs > 0 else None}


def flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings without what is nested: texts, numbers and lists of texts."""
    return {
        key: number_of(value) if value not in ("True", "False") else value == "True"
        for key, value in settings.items()
        if isinstance(value, str | bool | int | float)
        or (isinstance(value, list) and all(isinstance(one, str) for one in value))
    }


def histories(
    rows: Sequence[Row],
    *,
    source: str,
    kind: str,
    settings: Mapping[str, Any] | None = None,
    max_steps: int | None = None,
    notes: tuple[str, ...] = (),
) -> list[LoggedHistory]:
    """The runs in a list of rows, each with what is known of all.

    Args:
        rows: under the Trainer's keys, each with a step.
        source: what was read.
        kind: what wrote it.
        settings: training arguments.
        max_steps: steps that were planned, where the settings do not say.
        notes: on the reading.
    """
    arguments = flat(settings or {})
    runs = split_runs(rows)
    made = []
    for number, (run, said) in enumerate(runs, 1):
        known = planned(arguments)
        total = known["max_steps"] or whole_step(run[-1].get("total_steps")) or max_steps
        made.append(
            LoggedHistory(
                rows=tuple(_without_total(row) for row in run),
                source=source if len(runs) == 1 else f"{source} (run {number} of {len(runs)} in it)",
                kind=kind,
                settings=arguments,
                notes=(*notes, *said),
                max_steps=total,
                planned_epochs=known["planned_epochs"],
            )
        )
    return made


def _without_total(row: Row) -> Row:
    if "total_steps" not in row:
        return row
    return {key: value for key, value in row.items() if key != "total_steps"}
