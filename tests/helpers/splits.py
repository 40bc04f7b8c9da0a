"""The first examples of each split of a procedural task: as `load_split` begins, for a fraction of its time.

So many that a problem which two splits shared, or which a wrong key took for two, would be among them;
`tests/synthetic` compares them with `load_split`.
"""

from __future__ import annotations

from overmem.records import Example
from overmem.synthetic.drawn import DrawnTask

TRAIN, OTHER = 2000, 200


def first_examples(task: DrawnTask, train: int = TRAIN, other: int = OTHER) -> dict[str, list[Example]]:
    """By split, in the order of the task's splits."""
    return {name: task.load_split(name, train if name == "train" else other) for name in task.splits}
