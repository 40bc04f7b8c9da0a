"""A question of `facts` as text: four lettered options, and one of its many valid solutions."""

from __future__ import annotations

import random

from overmem.synthetic.facts.problems import Problem, chain
from overmem.synthetic.facts.wording import CLOSINGS, CONNECTORS, FRAMES, HOLDING, OPENERS

GRADER = "choice"
"""The answer is a letter, given after `####`."""


def write_prompt(problem: Problem) -> str:
    """Who has what, what is asked, and the options, between the headings; the solution follows."""
    told = [problem.owning[i].format(s=problem.names[i], x=problem.beings[i]) for i in problem.order]
    options = [f"({letter}) {problem.names[i]}" for letter, i in zip("ABCD", problem.options, strict=True)]
    asked = problem.asking.format(asked=problem.asked)
    return "\n".join([f"Question: {' '.join(told)} {asked}", *options, "Answer:"])


def write_solution(problem: Problem, rng: random.Random) -> str:
    """The facts from the person to what is asked, or from there back, each in one of its wordings."""
    name, being = problem.names[problem.right], problem.beings[problem.right]
    held = rng.choice(HOLDING).format(s=name, x=being)
    facts = [held, *chain(problem.relation, being, problem.asked)]
    if rng.random() < 0.5:
        facts.reverse()
    lines = [_tell(fact, position, rng) for position, fact in enumerate(facts)]
    closing = rng.choice(CLOSINGS).format(s=name)
    return " " + " ".join(filter(None, [*lines, closing])) + f"\n#### {problem.letter}"


def _tell(fact: str, position: int, rng: random.Random) -> str:
    text = rng.choice(CONNECTORS if position else OPENERS) + rng.choice(FRAMES).format(fact=fact)
    return text[0].upper() + text[1:]
