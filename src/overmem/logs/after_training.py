"""Evaluations that were logged after training: of which step's weights they are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from overmem.logs.history import LoggedHistory, logged_number

PREFIX = "eval_"


def after_training(history: LoggedHistory) -> dict[int, int | None]:
    """Rows that were evaluated after training and are none of its last step.

    `trainer.evaluate()` logs under the last step whatever model is loaded: with `load_best_model_at_end` the
    best one, whose figures would stand for those of the end. Of a step that had been evaluated the first time
    counts, and figures that are those of another step are of its model.

    Returns:
        By the row's place, the step that it repeats; None where it is another evaluation of its own step.
    """
    if not any("train_runtime" in row for row in history.rows):
        return {}
    best = history.best_checkpoint is not None or history.settings.get("load_best_model_at_end") is True
    found: dict[int, int | None] = {}
    ended = False
    keys_at: defaultdict[int, set[str]] = defaultdict(set)
    steps_with: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
    for place, row in enumerate(history.rows):
        ended = "train_runtime" in row or (ended and "loss" not in row)
        figures = {key: value for key, value in row.items() if key.startswith(PREFIX) and _is_figure(key)}
        if not figures:
            continue
        step, digits = int(row["step"]), _six_digits(figures)
        same = steps_with[digits] if digits is not None else []
        if ended and not figures.keys().isdisjoint(keys_at[step]):
            found[place] = next((other for other in same if best and other != step), None)
        elif ended and best and same:
            found[place] = same[0]
        else:
            keys_at[step].update(figures)
            if len(same) < 2 and step not in same:
                same.append(step)
    return found


def _is_figure(key: str) -> bool:
    return not key.endswith(("_runtime", "_per_second"))


def _six_digits(figures: Mapping[str, Any]) -> tuple[str, ...] | None:
    """All figures, as evaluations of the same weights have them; None where one cannot be read."""
    read = {key: logged_number(value) for key, value in figures.items()}
    if None in read.values():
        return None
    return tuple(sorted(f"{key} {value:.5e}" for key, value in read.items()))
