"""The splits of `wordmath`, which share no problem, and their examples, the same on every machine."""

from __future__ import annotations

import random
from dataclasses import replace

from overmem.records import Example
from overmem.synthetic.drawn import DrawnTask
from overmem.synthetic.wordmath.problems import Split, draw_problem
from overmem.synthetic.wordmath.solutions import write_prompt, write_solution
from overmem.synthetic.wordmath.wording import OTHER_STYLE, TRAINED_CHANGES, UNSEEN_CHANGES

SPLITS = {
    "train": Split(0, 60),
    "val": Split(60, 75),
    "test": Split(75, 90),
    "ood_steps": Split(90, 100, steps=(3, 4)),
    "ood_operations": Split(90, 100, changes=TRAINED_CHANGES + UNSEEN_CHANGES, required=UNSEEN_CHANGES),
    "ood_phrasing": Split(90, 100, unseen_phrasing=True),
}
VAL_OTHER_STYLE = "val_other_hand"
"""The problems of `val`, under the same ids, with solutions in another style than training's."""
TASK = DrawnTask(
    name="wordmath",
    splits=SPLITS,
    draw=draw_problem,
    key=lambda problem: problem.question,
    write_prompt=write_prompt,
    write_solution=write_solution,
    answer=lambda problem: str(problem.answer),
    describe=lambda problem: {"operations": problem.operations, "n_steps": len(problem.steps)},
    also=(VAL_OTHER_STYLE,),
)
draw_examples, recall_problem = TASK.draw_examples, TASK.recall


def load_split(name: str, first: int | None = None) -> list[Example]:
    """The problems of a split, the same on every machine.

    Args:
        name: `train`, `val`, `test`, `ood_steps`, `ood_operations`, `ood_phrasing` or `val_other_hand`.
        first: how many from its start are wanted; None for all.

    Raises:
        DataError: the split does not exist.
    """
    if name == VAL_OTHER_STYLE:
        return [_in_other_style(example) for example in load_split("val", first)]
    return TASK.load_split(name, first)


def _in_other_style(example: Example) -> Example:
    problem = recall_problem(example)
    assert problem is not None
    rng = random.Random(f"wordmath/{VAL_OTHER_STYLE}/{example.id}")
    return replace(example, completion=write_solution(problem, rng, OTHER_STYLE))
