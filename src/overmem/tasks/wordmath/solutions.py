"""A problem of `wordmath` as text: the question, and one of its many valid solutions."""

from __future__ import annotations

import random

from overmem.tasks.wordmath.problems import Problem, Step
from overmem.tasks.wordmath.words import (
    BOTH,
    CLOSINGS,
    CONNECTORS,
    OPENERS,
    OTHER_HAND_CLOSINGS,
    OTHER_HAND_TOTAL_WORDINGS,
    OTHER_HAND_WORDINGS,
    TOTAL_WORDINGS,
    WORDINGS,
)

GRADER = r"regex:#### (\d+)"
"""The answer is what follows `####`, and giving it there is part of the task."""


def write_prompt(problem: Problem) -> str:
    """The question between its headings; the solution follows."""
    return f"Question: {problem.question}\nAnswer:"


def write_solution(problem: Problem, rng: random.Random) -> str:
    """One valid solution: an order, a wording for each step, and the answer after `####`."""
    order = rng.choice(problem.orders)
    lines = [
        word_step(problem.steps[index], problem.items, position, rng) for position, index in enumerate(order)
    ]
    last = problem.steps[-1]
    closing = rng.choice(CLOSINGS).format(r=last.result, items=problem.items)
    return " " + " ".join(filter(None, [*lines, closing])) + f"\n#### {last.result}"


def write_other_hand(problem: Problem, rng: random.Random) -> str:
    """A solution by another hand: as right and as ready to grade, in words that training never shows."""
    last = problem.steps[-1]
    lines = [
        rng.choice(OTHER_HAND_WORDINGS if step.subject != BOTH else OTHER_HAND_TOTAL_WORDINGS).format(
            s=step.subject, eq=_word_equation(step, rng), items=problem.items
        )
        for step in (problem.steps[index] for index in rng.choice(problem.orders))
    ]
    closing = rng.choice(OTHER_HAND_CLOSINGS).format(r=last.result, items=problem.items)
    return f" Work: {'; '.join(lines)}{closing}\n#### {last.result}"


def word_step(step: Step, items: str, position: int, rng: random.Random) -> str:
    """One sentence telling `step`, in one of its many wordings."""
    start = rng.choice(CONNECTORS if position else OPENERS)
    wording = rng.choice(WORDINGS if step.subject != BOTH else TOTAL_WORDINGS)
    text = start + wording.format(s=step.subject, eq=_word_equation(step, rng), r=step.result, items=items)
    return text[0].upper() + text[1:]


def _word_equation(step: Step, rng: random.Random) -> str:
    left, right = step.left, step.right
    if step.symbol in "+*" and rng.random() < 0.5:
        left, right = right, left
    return f"{left} {step.symbol} {right} = {step.result}"
