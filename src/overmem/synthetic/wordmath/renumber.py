"""The same problem with other numbers, word for word: is the task known, or the answer?"""

from __future__ import annotations

import random

from overmem.records import Example
from overmem.synthetic.drawn import hash_bucket
from overmem.synthetic.wordmath.problems import draw_problem
from overmem.synthetic.wordmath.splits import SPLITS, TASK, recall_problem

MOST_RENUMBERINGS = 5000
"""Tries at other numbers for a problem; chains of divisions leave few that work out."""


class _OtherNumbers(random.Random):
    """The draws of a seed all over again, except that `randint` gives values of `fresh`."""

    fresh: random.Random

    def randint(self, a: int, b: int) -> int:
        """Spend what the original spent, so that all later draws are the same."""
        super().randint(a, b)
        return self.fresh.randint(a, b)


def with_new_numbers(example: Example, seed: int) -> Example | None:
    """The same problem and solution, word for word, with other numbers and another answer.

    The generation is replayed with other numbers until they work out. The new problem need not fall
    into its own split's hash range, which some structures allow few numbers for, but it is outside
    that of `train`: a training problem would not be new to the model.

    Args:
        example: an example of `load_split`.
        seed: with the example's id, decides the numbers.

    Returns:
        The example with a new prompt, completion and answer; None when it is not of `load_split`, has
        been changed since, or no other numbers were found in MOST_RENUMBERINGS tries.
    """
    original = recall_problem(example)
    if original is None:
        return None
    draw = str(example.meta["draw"])
    split = SPLITS[draw.rpartition("/")[0]]
    fresh = random.Random(f"{seed}/numbers/{example.id}")
    for _ in range(MOST_RENUMBERINGS):
        rng = _OtherNumbers(f"wordmath/{draw}")
        rng.fresh = fresh
        problem = draw_problem(rng, split)
        if problem is None or hash_bucket(problem.question) < SPLITS["train"].high:
            continue
        if problem.answer != original.answer:
            return TASK.restated(example, problem, rng)
    return None
