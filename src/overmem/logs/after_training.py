"""Evaluations that were logged after training: of which step's weights they are."""

from __future__ import annotations

import math
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
    ended, late = False, []
    for place, row in enumerate(history.rows):
        ended = "train_runtime" in row or (ended and "loss" not in row)
        if ended and any(key.startswith(PREFIX) for key in row):
            late.append(place)
    if not late:
        return {}
    found: dict[int, int | None] = {}
    best = history.best_checkpoint is not None or history.settings.get("load_best_model_at_end") is True
    for place in late:
        row = history.rows[place]
        figures = {key: value for key, value in row.items() if key.startswith(PREFIX) and _is_figure(key)}
        before = [
            one
            for i, one in enumerate(history.rows[:place])
            if i not in found and figures.keys() & one.keys()
        ]
        alike = [one["step"] for one in before if best and _equal(figures, one)]
        if any(one["step"] == row["step"] for one in before):
            found[place] = next((step for step in alike if step != row["step"]), None)
        elif alike:
            found[place] = alike[0]
    return found


def _is_figure(key: str) -> bool:
    return not key.endswith(("_runtime", "_per_second"))


def _equal(figures: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    """Whether all figures are those of another row, as an evaluation of the same weights has them."""
    pairs = [(logged_number(value), logged_number(row.get(key))) for key, value in figures.items()]
    return all(a is not None and b is not None and math.isclose(a, b, rel_tol=1e-6) for a, b in pairs)
