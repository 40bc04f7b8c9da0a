"""The splits of `facts`, which share no question, and their examples, the same on every machine."""

from __future__ import annotations

from overmem.synthetic.drawn import DrawnTask
from overmem.synthetic.facts.problems import Split, draw_problem
from overmem.synthetic.facts.solutions import write_prompt, write_solution

SPLITS = {
    "train": Split(0, 60),
    "val": Split(60, 75),
    "test": Split(75, 90),
    "ood_hops": Split(90, 100, hops=(3,)),
    "ood_relations": Split(90, 100, relations=("is", "akin")),
    "ood_phrasing": Split(90, 100, unseen_phrasing=True),
}
TASK = DrawnTask(
    name="facts",
    splits=SPLITS,
    draw=draw_problem,
    key=lambda problem: problem.key,
    write_prompt=write_prompt,
    write_solution=write_solution,
    answer=lambda problem: problem.letter,
    describe=lambda problem: {"relation": problem.relation, "hops": problem.hops},
)
load_split, recall_problem = TASK.load_split, TASK.recall
