"""The world of `facts`: invented animals, the kinds they are of, and what each does. It never changes.

A model that is asked about it has to know it, as with the facts of science: an animal does what it does
itself, what its kind does, and what the family of its kind does.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from overmem.synthetic.wordmath.wording import ITEMS

ANIMALS = (
    "bam", "dax", "fen", "gim", "kal", "lom", "mab", "nim", "pel", "rok", "sem", "tov",
    "bez", "dup", "fot", "gar", "ket", "lop", "mus", "nad", "pim", "rob", "sal", "tam",
)  # fmt: skip
KINDS = ("bor", "dem", "gax", "kes", "pon", "tiv")
FAMILIES = ("fal", "nar", "sor")
DEEDS = ("finds", "keeps", "takes", "loses", "drops", "makes", "gets", "sells")
"""Each with an object of `wordmath`, such as `finds nuts`: what an animal, a kind or a family does."""


@dataclass(frozen=True)
class World:
    """Who is what, and who does what."""

    parent: dict[str, str]
    """The kind of each animal, and the family of each kind."""
    deed: dict[str, str]
    """What each animal, kind and family does; no two do the same."""

    def lineage(self, being: str) -> tuple[str, ...]:
        """The being itself, its kind and its family, as far as it has them."""
        found = [being]
        while found[-1] in self.parent:
            found.append(self.parent[found[-1]])
        return tuple(found)


def make_world(seed: str) -> World:
    """A world whose animals are shared out evenly among kinds, and kinds among families.

    Args:
        seed: of who is what and who does what.
    """
    rng = random.Random(seed)
    parent: dict[str, str] = {}
    for children, parents in ((ANIMALS, KINDS), (KINDS, FAMILIES)):
        shuffled = rng.sample(children, len(children))
        parent |= {child: parents[i % len(parents)] for i, child in enumerate(shuffled)}
    beings = (*ANIMALS, *KINDS, *FAMILIES)
    deeds = rng.sample([f"{deed} {item}" for deed in DEEDS for item in ITEMS], len(beings))
    return World(parent, dict(zip(beings, deeds, strict=True)))


WORLD = make_world("facts/world")
"""The one world that all splits are about."""
