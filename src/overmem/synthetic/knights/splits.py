"""The splits of `knights`, which share no puzzle, and their examples, the same on every machine."""

from __future__ import annotations

from overmem.synthetic.drawn import DrawnTask
from overmem.synthetic.knights.problems import Split, draw_puzzle
from overmem.synthetic.knights.solutions import write_answer, write_prompt, write_solution
from overmem.synthetic.knights.wording import TRAINED_KINDS, UNSEEN_KINDS

SPLITS = {
    "train": Split(0, 60),
    "val": Split(60, 75),
    "test": Split(75, 90),
    "ood_people": Split(90, 100, people=(4,)),
    "ood_kinds": Split(90, 100, kinds=TRAINED_KINDS + UNSEEN_KINDS, required=UNSEEN_KINDS),
    "ood_phrasing": Split(90, 100, unseen_phrasing=True),
}
TASK = DrawnTask(
    name="knights",
    splits=SPLITS,
    draw=draw_puzzle,
    key=lambda puzzle: puzzle.key,
    write_prompt=write_prompt,
    write_solution=write_solution,
    answer=write_answer,
    describe=lambda puzzle: {
        "n_people": len(puzzle.names),
        "kinds": tuple(said.kind for said in puzzle.statements),
    },
)
load_split, recall_puzzle = TASK.load_split, TASK.recall
