"""Local perturbations of a question: nearly the same words, with the same answer or another."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import partial

from overmem.records import Example
from overmem.synthetic.drawn import hash_bucket, reordered
from overmem.synthetic.facts.problems import Problem
from overmem.synthetic.facts.splits import SPLITS, TASK

in_another_order = partial(reordered, TASK)
"""The same question with who has what told in another order; the answer stays."""


def with_another_owner(example: Example, seed: int) -> Example | None:
    """The same question after the right person and another have swapped what they have.

    Args:
        example: an example of `load_split`.
        seed: with the example's id, decides who the other is.

    Returns:
        The example with a new prompt, completion and answer; None when it is not of `load_split`, has
        been changed since, or every such swap gives a training question.
    """
    problem = TASK.recall(example)
    if problem is None:
        return None
    rng = random.Random(f"{seed}/leaf/{example.id}")
    for other in rng.sample(range(len(problem.names)), len(problem.names)):
        new = _swapped(problem, problem.right, other)
        if other != problem.right and hash_bucket(new.key) >= SPLITS["train"].high:
            return TASK.restated(example, new, rng)
    return None


def _swapped(problem: Problem, one: int, other: int) -> Problem:
    beings = list(problem.beings)
    beings[one], beings[other] = beings[other], beings[one]
    return replace(problem, beings=tuple(beings))
