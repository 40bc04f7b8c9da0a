"""The splits of `knights`, which share no puzzle, and their examples, the same on every machine."""

from __future__ import annotations

from overmem.records import Example
from overmem.synthetic.drawn import DrawnTask
from overmem.synthetic.knights.problems import Puzzle, Split, draw_puzzle
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


def load_split(name: str) -> list[Example]:
    """All puzzles of a split, the same on every machine.

    Args:
        name: `train`, `val`, `test`, `ood_people`, `ood_kinds` or `ood_phrasing`.

    Raises:
        DataError: the split does not exist.
    """
    return TASK.load_split(name)


def recall_puzzle(example: Example) -> Puzzle | None:
    """The puzzle behind an example, drawn again; None when it is not one of `load_split`, as it was."""
    return TASK.recall(example)
