"""A problem of `wordmath` as text: the question, and one of its many valid solutions."""

from __future__ import annotations

import random

from overmem.synthetic.wordmath.problems import Problem, Step
from overmem.synthetic.wordmath.wording import BOTH, TRAINED_STYLE, WritingStyle

GRADER = r"regex:#### (\d+)(?![.,]?\d)"
"""The answer is the whole number that follows `####`, and giving it there is part of the task."""


def write_prompt(problem: Problem) -> str:
    """The question between its headings; the solution follows."""
    return f"Question: {problem.question}\nAnswer:"


def write_solution(problem: Problem, rng: random.Random, style: WritingStyle = TRAINED_STYLE) -> str:
    """One valid solution: an order, a wording for each step, and the answer after `####`."""
    order = rng.choice(problem.orders)
    lines = [
        word_step(problem.steps[index], problem.items, position, rng, style)
        for position, index in enumerate(order)
    ]
    last = problem.steps[-1]
    closing = rng.choice(style.closings).format(r=last.result, items=problem.items)
    return " " + " ".join(filter(None, [*lines, closing])) + f"\n#### {last.result}"


def word_step(
    step: Step, items: str, position: int, rng: random.Random, style: WritingStyle = TRAINED_STYLE
) -> str:
    """One sentence telling `step`, in one of its many wordings."""
    start = rng.choice(style.connectors if position else style.openers)
    wording = rng.choice(style.wordings if step.subject != BOTH else style.total_wordings)
    text = start + wording.format(s=step.subject, eq=_word_equation(step, rng), r=step.result, items=items)
    return text[0].upper() + text[1:]


def _word_equation(step: Step, rng: random.Random) -> str:
    left, right = step.left, step.right
    if step.symbol in "+*" and rng.random() < 0.5:
        left, right = right, left
    return f"{left} {step.symbol} {right} = {step.result}"
