"""A puzzle of `knights`: what each person says, drawn at random so that one answer fits.

Knights say only what is true, knaves only what is false. All 2^n ways to give roles to n people are
tried, so that a puzzle is known to have exactly one solution.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import combinations, permutations, product
from typing import NamedTuple

from overmem.synthetic.drawn import HashRange
from overmem.synthetic.knights.wording import KINDS, SAYINGS, TRAINED_KINDS, UNSEEN_SAYINGS
from overmem.synthetic.wordmath.wording import NAMES

Roles = tuple[bool, ...]
"""One a person: True for a knight."""


class Leaf(NamedTuple):
    """`Ana is a knave`."""

    person: int
    knight: bool


class Statement(NamedTuple):
    """What one person says."""

    kind: str
    leaves: tuple[Leaf, ...]

    def holds(self, roles: Roles) -> bool:
        """Whether it is true when people have these roles."""
        return KINDS[self.kind].holds(tuple(roles[leaf.person] == leaf.knight for leaf in self.leaves))

    @property
    def people(self) -> tuple[int, ...]:
        """Whom it is about."""
        return tuple(leaf.person for leaf in self.leaves)


@dataclass(frozen=True)
class Puzzle:
    """People and what each of them says."""

    names: tuple[str, ...]
    """In the order in which they are asked about."""
    statements: tuple[Statement, ...]
    """What each of `names` says."""
    sayings: tuple[str, ...]
    """The sentence that tells each statement."""
    order: tuple[int, ...]
    """The order in which the statements are told."""

    @cached_property
    def roles(self) -> Roles:
        """The only solution."""
        (only,) = solve(self.statements)
        return only

    @property
    def key(self) -> str:
        """The same for puzzles that differ in wording or order alone."""
        return "; ".join(
            sorted(
                f"{name}: {_key(said, self.names)}"
                for name, said in zip(self.names, self.statements, strict=True)
            )
        )


@dataclass(frozen=True)
class Split(HashRange):
    """Which puzzles a split holds."""

    people: tuple[int, ...] = (2, 2, 3)
    """How many people there may be, each as likely as it occurs here."""
    kinds: tuple[str, ...] = TRAINED_KINDS
    required: tuple[str, ...] = ()
    """At least one statement is of these kinds, when given."""
    unseen_phrasing: bool = False


def solve(statements: tuple[Statement, ...]) -> list[Roles]:
    """All ways to give roles so that knights say what is true and knaves what is false."""
    n = len(statements)
    said_N_W = [_truths(said, n) for said in statements]  # N people, W ways to give roles
    return [
        roles
        for way, roles in enumerate(_ways(n))
        if all(said_W[way] == knight for said_W, knight in zip(said_N_W, roles, strict=True))
    ]


@cache
def _ways(n: int) -> tuple[Roles, ...]:
    return tuple(product((True, False), repeat=n))


@cache
def _truths(statement: Statement, n: int) -> tuple[bool, ...]:
    """Whether the statement is true, for each way to give roles to n people."""
    return tuple(statement.holds(roles) for roles in _ways(n))


@cache
def reasons(statement: Statement, speaker: int, roles: Roles) -> list[tuple[int, ...]]:
    """The smallest groups of other people whose roles alone settle whether a statement is true.

    Args:
        statement: what is said.
        speaker: who says it, and is no reason for it.
        roles: the solution.

    Returns:
        Groups of people; empty when the others' roles do not settle it.
    """
    others = sorted({*statement.people} - {speaker})
    for size in range(1, len(others) + 1):
        found = [group for group in combinations(others, size) if _settles(group, statement, roles)]
        if found:
            return found
    return []


@cache
def is_sound(statements: tuple[Statement, ...]) -> bool:
    """Whether one solution fits, and every statement in it is settled by other people's roles."""
    solutions = solve(statements)
    return len(solutions) == 1 and all(
        reasons(said, speaker, solutions[0]) for speaker, said in enumerate(statements)
    )


def draw_puzzle(rng: random.Random, split: Split) -> Puzzle | None:
    """Draw one puzzle of a split's kinds, whichever split its hash belongs to; None when it is not sound."""
    n = rng.choice(split.people)
    statements = tuple(draw_statement(rng, speaker, n, split.kinds) for speaker in range(n))
    if split.required and not {*split.required} & {said.kind for said in statements}:
        return None
    if not is_sound(statements):
        return None
    names = tuple(rng.sample(NAMES, n))
    known = UNSEEN_SAYINGS if split.unseen_phrasing else SAYINGS
    sayings = tuple(rng.choice(known) for _ in names)
    return Puzzle(names, statements, sayings, order=tuple(rng.sample(range(n), n)))


def draw_statement(rng: random.Random, speaker: int, n: int, kinds: tuple[str, ...]) -> Statement:
    """Something that one of n people may say: first its kind, then one of all statements of the kind."""
    return rng.choice(all_statements(rng.choice(kinds), speaker, n))


@cache
def all_statements(kind: str, speaker: int, n: int) -> tuple[Statement, ...]:
    """Every statement of a kind; one of a single leaf is about somebody else than the speaker."""
    n_leaves, one_role = KINDS[kind].n_leaves, KINDS[kind].one_role
    people = [person for person in range(n) if n_leaves > 1 or person != speaker]
    return tuple(
        Statement(kind, tuple(map(Leaf, about, roles)))
        for about in permutations(people, n_leaves)
        for roles in product((True, False), repeat=n_leaves)
        if not one_role or len({*roles}) == 1
    )


def _settles(group: tuple[int, ...], statement: Statement, roles: Roles) -> bool:
    """Whether the statement is as true as it is, whatever the people outside the group were."""
    return all(
        statement.holds(other) == statement.holds(roles)
        for other in _ways(len(roles))
        if all(other[person] == roles[person] for person in group)
    )


def _key(statement: Statement, names: tuple[str, ...]) -> str:
    leaves = [f"{names[leaf.person]} {leaf.knight}" for leaf in statement.leaves]
    return f"{statement.kind} {leaves if KINDS[statement.kind].ordered else sorted(leaves)}"
