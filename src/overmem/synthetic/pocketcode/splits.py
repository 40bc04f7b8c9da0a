"""The splits of `pocketcode`, which share no problem, and their examples, the same on every machine."""

from __future__ import annotations

from overmem.synthetic.drawn import DrawnTask
from overmem.synthetic.pocketcode.problems import (
    ENTRY_POINT,
    PosedProblem,
    Split,
    draw_problem,
    write_solution,
)
from overmem.synthetic.pocketcode.steps import STEPS, UNSEEN_STEPS

SPLITS = {
    "train": Split(0, 60),
    "val": Split(60, 75),
    "test": Split(75, 90),
    "ood_depth": Split(90, 100, depths=(3,)),
    "ood_operations": Split(0, 100, names=(*STEPS, *UNSEEN_STEPS), required=tuple(UNSEEN_STEPS)),
    "ood_phrasing": Split(90, 100, unseen_phrasing=True),
}
"""The last three are of another distribution: more steps, steps and wordings that training never has."""


def _describe(asked: PosedProblem) -> dict[str, object]:
    problem = asked.problem
    return {
        "tests": asked.tests,
        "entry_point": ENTRY_POINT,
        "prefix": asked.prompt,
        "operations": (*(name for name, _ in problem.steps), problem.end),
        "n_steps": len(problem.steps),
        "form": asked.form,
    }


TASK = DrawnTask(
    name="pocketcode",
    splits=SPLITS,
    sizes={"train": 4000, "ood_phrasing": 500},
    draw=draw_problem,
    key=lambda asked: asked.problem.key,
    write_prompt=lambda asked: asked.prompt,
    write_solution=lambda asked, rng: write_solution(asked.problem, asked.form, rng),
    answer=lambda _: None,
    describe=_describe,
)
load_split = TASK.load_split
