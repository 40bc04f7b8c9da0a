"""What each procedural task offers to the variants: a way to know its examples, its words, its own variants.

A procedural task has a language of its own. A model made for it knows no other words, and would fail on
them however well it had learned the task. A task that is not in LANGUAGES is put in everyday words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from overmem.perturbations.distractor import DISTRACTORS, PLAIN_DISTRACTORS, Distractor
from overmem.perturbations.preamble import PLAIN_PREAMBLES, PREAMBLES
from overmem.perturbations.vocabulary import EVERYDAY, PEOPLE, WORDMATH, Vocabulary
from overmem.records import Example
from overmem.synthetic import facts, knights, wordmath

Change = Callable[[Example, int], Example | None]
"""From an example and a seed to the changed example, or None where it cannot be changed."""


@dataclass(frozen=True, kw_only=True)
class Language:
    """The words in which a task's examples may be put, and the variants that only it can make."""

    covers: Callable[[Example], bool]
    """Whether an example is one of the task's, as it was drawn."""
    rename_words: Vocabulary
    """Words that `rename` may replace and use."""
    distractor_words: Vocabulary = WORDMATH
    """Words that a distractor may use."""
    preambles: tuple[str, ...] = PLAIN_PREAMBLES
    distractors: tuple[Distractor, ...] = PLAIN_DISTRACTORS
    variants: Mapping[str, Change] = field(default_factory=dict)


LANGUAGES: tuple[Language, ...] = (
    Language(
        covers=lambda example: wordmath.recall_problem(example) is not None,
        rename_words=WORDMATH,
        variants={"numbers": wordmath.with_new_numbers},
    ),
    Language(
        covers=lambda example: knights.recall_puzzle(example) is not None,
        rename_words=PEOPLE,
        variants={
            "order": knights.in_another_order,
            "leaf": knights.with_another_leaf,
            "statement": knights.with_another_statement,
        },
    ),
    Language(
        covers=lambda example: facts.recall_problem(example) is not None,
        rename_words=PEOPLE,  # the things in it are what the world is about
        variants={"order": facts.in_another_order, "leaf": facts.with_another_owner},
    ),
)
GENERAL_LANGUAGE = Language(
    covers=lambda example: True,
    rename_words=EVERYDAY,
    distractor_words=EVERYDAY,
    preambles=PREAMBLES,
    distractors=DISTRACTORS,
)


def language_of(example: Example) -> Language:
    """The language of the task that an example is of; the everyday one where it is of none."""
    return next((language for language in LANGUAGES if language.covers(example)), GENERAL_LANGUAGE)
