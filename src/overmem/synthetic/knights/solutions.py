"""A puzzle of `knights` as text: the question, and one of its many valid solutions."""

from __future__ import annotations

import random

from overmem.synthetic.knights.problems import Puzzle, Statement, reasons
from overmem.synthetic.knights.wording import (
    CHECKS,
    CLOSINGS,
    CONNECTORS,
    KINDS,
    LEAF,
    OPENERS,
    ROLES,
)

GRADER = r"regex:#### ((?:knight|knave)(?:, (?:knight|knave))*)"
"""The answer is the roles after `####`, in the order in which people are asked about."""


def write_prompt(puzzle: Puzzle) -> str:
    """What everybody says, and who is asked about, between the headings; the solution follows."""
    told = [
        puzzle.sayings[i].format(s=puzzle.names[i], said=_say(puzzle.statements[i], puzzle.names))
        for i in puzzle.order
    ]
    asked = [_upper(sentence) for sentence in told]
    return f"Question: {' '.join(asked)} What are {_listed(puzzle.names)}?\nAnswer:"


def write_answer(puzzle: Puzzle) -> str:
    """The roles, such as `knave, knight`."""
    return ", ".join(ROLES[knight] for knight in puzzle.roles)


def write_solution(puzzle: Puzzle, rng: random.Random) -> str:
    """A check of every person in any order, each with one of its reasons and wordings, and the answer."""
    order = rng.sample(range(len(puzzle.names)), len(puzzle.names))
    lines = [_check(puzzle, person, position, rng) for position, person in enumerate(order)]
    closing = rng.choice(CLOSINGS)
    return " " + " ".join(filter(None, [*lines, closing])) + f"\n#### {write_answer(puzzle)}"


def _check(puzzle: Puzzle, person: int, position: int, rng: random.Random) -> str:
    group = rng.choice(reasons(puzzle.statements[person], person, puzzle.roles))
    why = [_leaf(puzzle.names[other], puzzle.roles[other]) for other in rng.sample(group, len(group))]
    start = rng.choice(CONNECTORS if position else OPENERS)
    wording = rng.choice(CHECKS)
    return _upper(
        start + wording.format(s=puzzle.names[person], r=ROLES[puzzle.roles[person]], why=" and ".join(why))
    )


def _say(statement: Statement, names: tuple[str, ...]) -> str:
    people = [names[leaf.person] for leaf in statement.leaves]
    leaves = [_leaf(names[leaf.person], leaf.knight) for leaf in statement.leaves]
    return KINDS[statement.kind].wording.format(
        a=leaves[0], b=leaves[-1], x=people[0], y=people[-1], r=ROLES[statement.leaves[0].knight]
    )


def _leaf(name: str, knight: bool) -> str:
    return LEAF.format(x=name, r=ROLES[knight])


def _listed(names: tuple[str, ...]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _upper(text: str) -> str:
    return text[0].upper() + text[1:]
