"""The splits of `pocketcode`, which share no problem, and their examples, the same on every machine."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from overmem.errors import DataError
from overmem.records import Example
from overmem.tasks.pocketcode.problems import (
    ENTRY_POINT,
    FORMS,
    Problem,
    draw_problem,
    write_prompt,
    write_solution,
    write_tests,
)
from overmem.tasks.pocketcode.steps import STEPS, UNSEEN_STEPS


@dataclass(frozen=True)
class Split:
    """Which problems a split holds: those whose bucket is in [low, high), and how they are made."""

    low: int
    high: int
    size: int
    names: Sequence[str] = tuple(STEPS)
    required: Sequence[str] = ()
    """At least one of these steps occurs, when given."""
    depths: Sequence[int] = (1, 2, 2, 2)
    unseen_phrasing: bool = False


SPLITS = {
    "train": Split(0, 60, 4000),
    "val": Split(60, 75, 1000),
    "test": Split(75, 90, 1000),
    "ood_depth": Split(90, 100, 1000, depths=(3,)),
    "ood_operations": Split(0, 100, 1000, names=(*STEPS, *UNSEEN_STEPS), required=tuple(UNSEEN_STEPS)),
    "ood_phrasing": Split(90, 100, 500, unseen_phrasing=True),
}
"""The last three are of another distribution: more steps, steps and wordings that training never has."""


def load_split(name: str) -> list[Example]:
    """All problems of a split, the same on every machine.

    Args:
        name: `train`, `val`, `test`, `ood_depth`, `ood_operations` or `ood_phrasing`.

    Raises:
        DataError: the split does not exist.
    """
    if name not in SPLITS:
        raise DataError(
            "unknown pocketcode split",
            got=name,
            expected=", ".join(SPLITS),
            next_step="write pocketcode:SPLIT",
        )
    split = SPLITS[name]
    examples: list[Example] = []
    seen: set[Problem] = set()
    attempt = 0
    while len(examples) < split.size:
        rng = random.Random(f"pocketcode/{name}/{attempt}")
        attempt += 1
        problem = draw_problem(rng, split.names, split.depths)
        if problem in seen or not _belongs(problem, split):
            continue
        tests = write_tests(problem, rng)
        if tests is None:
            continue
        seen.add(problem)
        examples.append(_to_example(problem, tests, f"{name}-{len(examples)}", split, rng))
    return examples


def _belongs(problem: Problem, split: Split) -> bool:
    names = {name for name, _ in problem.steps}
    return split.low <= problem.bucket < split.high and (
        not split.required or bool(names & set(split.required))
    )


def _to_example(problem: Problem, tests: str, example_id: str, split: Split, rng: random.Random) -> Example:
    prompt = write_prompt(problem, rng, split.unseen_phrasing)
    form = rng.choice(FORMS)
    meta = {
        "tests": tests,
        "entry_point": ENTRY_POINT,
        "prefix": prompt,
        "operations": (*(name for name, _ in problem.steps), problem.end),
        "n_steps": len(problem.steps),
        "form": form,
    }
    return Example(example_id, prompt, write_solution(problem, form, rng), meta=meta)
