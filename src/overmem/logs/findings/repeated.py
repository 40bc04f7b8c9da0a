"""Steps that were evaluated more than once, and evaluations after training of another step's weights."""

from __future__ import annotations

from collections import defaultdict

from overmem.logs.after_training import after_training
from overmem.logs.history import LoggedHistory, logged_number
from overmem.records.logged import LoggedFinding

_SAME = 1e-3
"""Of a loss: evaluations of one step that differ by less are of the same weights."""


def evaluated_again(history: LoggedHistory) -> list[LoggedFinding]:
    """Which evaluations repeat another step's figures, and which of one step differ."""
    late = after_training(history)
    return [*_of_the_best(history, late), *_twice(history, late)]


def _of_the_best(history: LoggedHistory, late: dict[int, int | None]) -> list[LoggedFinding]:
    found = []
    for place, of in late.items():
        if of is None:
            continue
        step = int(history.rows[place]["step"])
        text = (
            f"The evaluation after training, logged at step {step:,}, has the figures of step {of:,}: the "
            "Trainer had loaded its best checkpoint. It is not counted as one of the end."
        )
        found.append(
            LoggedFinding(kind="best_evaluated_again", severity="note", sentence=text, steps=(of, step))
        )
    return found


def _twice(history: LoggedHistory, late: dict[int, int | None]) -> list[LoggedFinding]:
    first: dict[int, float] = {}
    differing: dict[str, list[tuple[int, float, float]]] = defaultdict(list)
    for place, row in enumerate(history.rows):
        if "eval_loss" not in row or (value := logged_number(row["eval_loss"])) is None:
            continue
        step = int(row["step"])
        before = first.setdefault(step, value)
        if late.get(place) is None and abs(value - before) > _SAME * abs(before):
            differing["first" if place in late else "last"].append((step, before, value))
    found = []
    for counts, steps in differing.items():
        step, before, after = steps[0]
        more = f", and {len(steps) - 1:,} more likewise" if len(steps) > 1 else ""
        text = (
            f"Step {step:,} was evaluated more than once, `eval_loss` {before:.4g} and {after:.4g}{more}: "
            f"the {counts} is counted. They are of other data, of another model, or of a part that ran again."
        )
        found.append(LoggedFinding(kind="evaluated_twice", severity="warning", sentence=text, steps=(step,)))
    return found
