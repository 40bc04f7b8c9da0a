"""The splits of `wordmath`, which share no problem, and their examples, the same on every machine."""

from __future__ import annotations

import random
from dataclasses import replace

from overmem.errors import DataError
from overmem.records import Example
from overmem.tasks.wordmath.problems import Problem, Split, draw_problem, make_problem
from overmem.tasks.wordmath.solutions import write_prompt, write_solution
from overmem.tasks.wordmath.words import OTHER_HAND, TRAINED_CHANGES, UNSEEN_CHANGES

SPLITS = {
    "train": Split(0, 60),
    "val": Split(60, 75),
    "test": Split(75, 90),
    "ood_steps": Split(90, 100, steps=(3, 4)),
    "ood_operations": Split(90, 100, changes=TRAINED_CHANGES + UNSEEN_CHANGES, required=UNSEEN_CHANGES),
    "ood_phrasing": Split(90, 100, unseen_phrasing=True),
}
VAL_OTHER_HAND = "val_other_hand"
"""The problems of `val`, under the same ids, with solutions by another hand than training's."""
SIZES = {"train": 8000} | {name: 1000 for name in SPLITS if name != "train"}


def load_split(name: str) -> list[Example]:
    """All problems of a split, the same on every machine.

    Args:
        name: `train`, `val`, `test`, `ood_steps`, `ood_operations`, `ood_phrasing` or `val_other_hand`.

    Raises:
        DataError: the split does not exist.
    """
    if name == VAL_OTHER_HAND:
        return [_in_other_hand(example) for example in load_split("val")]
    if name not in SPLITS:
        raise DataError(
            "unknown wordmath split",
            got=name,
            expected=", ".join((*SPLITS, VAL_OTHER_HAND)),
            next_step="write wordmath:SPLIT",
        )
    return draw_examples(name, SPLITS[name], SIZES[name])


def draw_examples(name: str, split: Split, size: int) -> list[Example]:
    """The first `size` different problems that a split's random numbers give.

    Args:
        name: names the examples and seeds the draw.
        split: which problems are allowed.
        size: how many.
    """
    examples: list[Example] = []
    seen: set[str] = set()
    attempt = 0
    while len(examples) < size:
        draw = f"{name}/{attempt}"
        rng = random.Random(f"wordmath/{draw}")
        attempt += 1
        problem = make_problem(rng, split)
        if problem is None or problem.question in seen:
            continue
        seen.add(problem.question)
        examples.append(to_example(problem, f"{name}-{len(examples)}", draw, rng))
    return examples


def to_example(problem: Problem, example_id: str, draw: str, rng: random.Random) -> Example:
    """One problem with one of its solutions, chosen by `rng`; `draw` names the random numbers it is of."""
    return Example(
        id=example_id,
        prompt=write_prompt(problem),
        completion=write_solution(problem, rng),
        answer=str(problem.answer),
        meta={"operations": problem.operations, "n_steps": len(problem.steps), "draw": draw},
    )


def recall_problem(example: Example) -> Problem | None:
    """The problem behind an example, drawn again; None when it is not one of `load_split`, as it was."""
    draw = str(example.meta.get("draw", ""))
    split = SPLITS.get(draw.rpartition("/")[0])
    problem = None if split is None else draw_problem(random.Random(f"wordmath/{draw}"), split)
    return problem if problem is not None and write_prompt(problem) == example.prompt else None


def _in_other_hand(example: Example) -> Example:
    problem = recall_problem(example)
    assert problem is not None
    rng = random.Random(f"wordmath/{VAL_OTHER_HAND}/{example.id}")
    return replace(example, completion=write_solution(problem, rng, OTHER_HAND))
