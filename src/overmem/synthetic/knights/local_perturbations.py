"""Local perturbations of a puzzle: nearly the same words, and often another answer.

A model that reasons follows the change; one that remembers the puzzle gives the old answer. Source:
2410.23123, which introduced LiMem with such changes of a leaf, of a statement and of the order.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from overmem.records import Example
from overmem.synthetic.drawn import hash_bucket, reordered
from overmem.synthetic.knights.problems import Leaf, Puzzle, Statement, draw_statement, is_sound
from overmem.synthetic.knights.splits import SPLITS, TASK
from overmem.synthetic.knights.wording import KINDS

in_another_order = partial(reordered, TASK)
"""The same puzzle with its statements told in another order; the answer stays."""


def with_another_leaf(example: Example, seed: int) -> Example | None:
    """The puzzle with one leaf about somebody else, with the other role, or both, and the new answer.

    Args:
        example: an example of `load_split`.
        seed: with the example's id, decides which of the possible changes is made.

    Returns:
        The example with a new prompt, completion and answer; None when it is not of `load_split`, has
        been changed since, or no such change leaves one solution that differs from the old one.
    """
    return _changed(example, seed, "leaf")


def with_another_statement(example: Example, seed: int) -> Example | None:
    """The puzzle in which one person says something else, of the split's kinds, and the new answer.

    Args and returns as in `with_another_leaf`.
    """
    return _changed(example, seed, "statement")


def _changed(example: Example, seed: int, change: str) -> Example | None:
    puzzle = TASK.recall(example)
    if puzzle is None:
        return None
    rng = random.Random(f"{seed}/{change}/{example.id}")
    kinds = SPLITS[str(example.meta["draw"]).rpartition("/")[0]].kinds
    others = _other_leaves(puzzle, rng) if change == "leaf" else _other_statements(puzzle, kinds, rng)
    for statements in others:
        new = replace(puzzle, statements=statements)
        if is_sound(statements) and new.roles != puzzle.roles and _is_new(new):
            return TASK.restated(example, new, rng)
    return None


def _is_new(puzzle: Puzzle) -> bool:
    """Whether a model cannot have been trained on it, or only by a rare chance.

    Puzzles of two people are so few that one must be outside the hash range of `train`; of three people
    there are millions, and `train` has 8,000 at the most.
    """
    return len(puzzle.names) > 2 or hash_bucket(puzzle.key) >= SPLITS["train"].high


def _other_leaves(puzzle: Puzzle, rng: random.Random) -> Iterator[tuple[Statement, ...]]:
    """All ways to change one leaf, in random order."""
    found = []
    for speaker, said in enumerate(puzzle.statements):
        for at, leaf in enumerate(said.leaves):
            kept = {*said.people} - {leaf.person} | ({speaker} if len(said.leaves) == 1 else set())
            found += [
                _with(puzzle, speaker, _with_leaf(said, at, Leaf(person, knight)))
                for person in range(len(puzzle.names))
                for knight in (True, False)
                if person not in kept and Leaf(person, knight) != leaf
            ]
    return iter(rng.sample(found, len(found)))


def _with_leaf(said: Statement, at: int, new: Leaf) -> Statement:
    """A role that is said once changes for all leaves."""
    leaves = [new if i == at else leaf for i, leaf in enumerate(said.leaves)]
    if KINDS[said.kind].one_role:
        leaves = [Leaf(leaf.person, new.knight) for leaf in leaves]
    return Statement(said.kind, tuple(leaves))


def _other_statements(
    puzzle: Puzzle, kinds: tuple[str, ...], rng: random.Random, most: int = 1000
) -> Iterator[tuple[Statement, ...]]:
    """Ways to let one person say something else, at random."""
    n = len(puzzle.names)
    for _ in range(most):
        speaker = rng.randrange(n)
        yield _with(puzzle, speaker, draw_statement(rng, speaker, n, kinds))


def _with(puzzle: Puzzle, speaker: int, said: Statement) -> tuple[Statement, ...]:
    return (*puzzle.statements[:speaker], said, *puzzle.statements[speaker + 1 :])
