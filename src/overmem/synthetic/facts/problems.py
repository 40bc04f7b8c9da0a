"""A question of `facts`: four people, an animal or a kind of animal each, and whose fits what is asked."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from overmem.synthetic.drawn import HashRange
from overmem.synthetic.facts.wording import ASKING, OWNING, UNSEEN_ASKING, UNSEEN_OWNING
from overmem.synthetic.facts.world import ANIMALS, FAMILIES, KINDS, WORLD
from overmem.synthetic.wordmath.wording import NAMES

N_OPTIONS = 4


@dataclass(frozen=True)
class Split(HashRange):
    """Which questions a split holds."""

    hops: tuple[int, ...] = (1, 2)
    """How many facts of the world lead from what a person has to what is asked."""
    relations: tuple[str, ...] = ("does",)
    unseen_phrasing: bool = False


@dataclass(frozen=True)
class Problem:
    """Four people, what they have, and what is asked."""

    names: tuple[str, ...]
    beings: tuple[str, ...]
    """What each of `names` has."""
    owning: tuple[str, ...]
    """The sentence that tells it."""
    order: tuple[int, ...]
    """The order in which it is told."""
    options: tuple[int, ...]
    """The order in which `names` are the options A to D."""
    relation: str
    asked: str
    """What is asked by the relation: a deed, a kind, or an animal."""
    asking: str
    """The sentence that asks it."""
    hops: int

    @property
    def right(self) -> int:
        """Whose animal fits, as an index into `names`."""
        (only,) = [i for i, being in enumerate(self.beings) if chain(self.relation, being, self.asked)]
        return only

    @property
    def letter(self) -> str:
        """The letter of the right option."""
        return "ABCD"[self.options.index(self.right)]

    @property
    def key(self) -> str:
        """The same for questions that differ in wording or order alone."""
        have = sorted(zip(self.names, self.beings, strict=True))
        return f"{self.relation} {self.asked}: {have}"


def chain(relation: str, being: str, asked: str) -> tuple[str, ...]:
    """The facts of the world that show that a being fits what is asked, in order; empty when it does not.

    Args:
        relation: `does` (it does what is asked), `is` (it is of the kind asked) or `akin` (it is of the
            kind of the animal asked).
        being: an animal or a kind.
        asked: a deed, a kind or an animal.
    """
    return CHAINS[relation](being, asked)


def _chain_does(being: str, asked: str) -> tuple[str, ...]:
    line = WORLD.lineage(being)
    doer = next((i for i, node in enumerate(line) if WORLD.deed[node] == asked), None)
    return () if doer is None else (*_links(line[: doer + 1]), f"a {line[doer]} {asked}")


def _chain_is(being: str, asked: str) -> tuple[str, ...]:
    line = WORLD.lineage(being)
    return _links(line[: line.index(asked) + 1]) if asked in line[1:] else ()


def _chain_akin(being: str, asked: str) -> tuple[str, ...]:
    if being == asked or being not in ANIMALS or WORLD.parent[being] != WORLD.parent[asked]:
        return ()
    return (*_links(WORLD.lineage(asked)[:2]), *_links(WORLD.lineage(being)[:2]))


def _links(line: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"a {low} is a {high}" for low, high in pairwise(line))


CHAINS: dict[str, Callable[[str, str], tuple[str, ...]]] = {
    "does": _chain_does,
    "is": _chain_is,
    "akin": _chain_akin,
}
"""Relations that can be asked about; only `does` is trained on."""


def draw_problem(rng: random.Random, split: Split) -> Problem | None:
    """Draw one question, whichever split its hash belongs to; None when not exactly one person fits."""
    relation, hops = rng.choice(split.relations), rng.choice(split.hops)
    right = rng.choice((*ANIMALS, *KINDS))
    asked = _something_asked(relation, right, hops, rng)
    if asked is None:
        return None
    others = [b for b in (*ANIMALS, *KINDS) if b not in (right, asked) and not chain(relation, b, asked)]
    beings = rng.sample([right, *rng.sample(others, N_OPTIONS - 1)], N_OPTIONS)
    names = rng.sample(NAMES, N_OPTIONS)
    owning, asking = (UNSEEN_OWNING, UNSEEN_ASKING) if split.unseen_phrasing else (OWNING, ASKING)
    return Problem(
        names=tuple(names),
        beings=tuple(beings),
        owning=tuple(rng.choice(owning) for _ in names),
        order=tuple(rng.sample(range(N_OPTIONS), N_OPTIONS)),
        options=tuple(rng.sample(range(N_OPTIONS), N_OPTIONS)),
        relation=relation,
        asked=asked,
        asking=rng.choice(asking[relation]),
        hops=hops,
    )


def _something_asked(relation: str, being: str, hops: int, rng: random.Random) -> str | None:
    """Something that the being fits by so many facts of the world; None when there is none."""
    if relation == "does":
        line = WORLD.lineage(being)
        return WORLD.deed[line[hops - 1]] if hops <= len(line) else None
    candidates = (*KINDS, *FAMILIES) if relation == "is" else ANIMALS
    fitting = [asked for asked in candidates if len(chain(relation, being, asked)) == hops]
    return rng.choice(fitting) if fitting else None
