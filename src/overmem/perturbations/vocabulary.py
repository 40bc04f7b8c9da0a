"""Names and objects, in groups that may stand for one another: everyday ones, those of procedural tasks."""

from __future__ import annotations

from dataclasses import dataclass

from overmem.perturbations.names import FEMALE, MALE
from overmem.perturbations.nouns import GROUPS, Noun
from overmem.synthetic import wordmath


@dataclass(frozen=True)
class Vocabulary:
    """Groups of words; a word is only ever replaced by another one of its group."""

    names: tuple[tuple[str, ...], ...]
    """First names, a group a gender."""
    nouns: tuple[tuple[Noun, ...], ...]
    """Countable objects, a group a kind."""

    def limited_to(self, names: tuple[str, ...], plurals: tuple[str, ...]) -> Vocabulary:
        """Only these names and objects; the objects become one group, any of which may replace another."""
        return Vocabulary(
            tuple(tuple(name for name in group if name in names) for group in self.names),
            (tuple(noun for group in self.nouns for noun in group if noun[1] in plurals),),
        )


EVERYDAY = Vocabulary((FEMALE, MALE), GROUPS)
"""For problems written by people."""
WORDMATH = EVERYDAY.limited_to(wordmath.NAMES, wordmath.ITEMS)
"""For `wordmath`: the bundled model knows no other words."""
PEOPLE = EVERYDAY.limited_to(wordmath.NAMES, ())
"""For procedural tasks in which only people can be renamed."""
