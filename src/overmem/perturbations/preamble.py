"""`preamble`: neutral sentences before the problem, the test of the over-memorization paper.

Source: arXiv 2508.04117, the robustness test. The sentences say nothing that bears on any problem:
no numbers, no names, and nothing about how to answer.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from overmem.perturbations.text import split_prompt

PREAMBLES: tuple[str, ...] = (
    "The following problem is like many that people meet every day.",
    "Here is a short problem from a collection of exercises.",
    "What follows is a small puzzle about everyday life.",
    "This text was taken from an old workbook.",
    "Problems of this kind have been around for a long time.",
    "The situation described below is made up.",
    "Some readers find this sort of exercise relaxing.",
    "It is a calm and ordinary day.",
    "The sky is clear and the streets are quiet.",
    "A light wind moves through the trees outside.",
    "Many people enjoy thinking about problems like this.",
    "The story below could have happened anywhere.",
    "Exercises like this appear in many schoolbooks.",
    "This is a typical example of its kind.",
    "The text below describes an ordinary situation.",
    "Puzzles have been a popular pastime for ages.",
    "The next lines tell a brief story.",
    "Thinking in peace and quiet is a pleasant thing.",
    "There is nothing unusual about what comes next.",
    "This problem was written by a teacher.",
    "The weather has nothing to do with what follows.",
    "Someone shared this problem with friends.",
    "Below is a problem that was found in a notebook.",
    "Reasoning about simple situations is a useful skill.",
    "The details of this story are invented.",
    "Such problems come in many forms and flavors.",
    "Mathematics has fascinated people for centuries.",
    "The room is quiet and the light is good.",
    "A problem like this can be found in many places.",
    "The page it was printed on has turned yellow with age.",
)
"""Each can stand alone or with any other."""

PLAIN_PREAMBLES: tuple[str, ...] = (
    "The road is short.",
    "A bird is on the road.",
    "A neighbor picks up a bag.",
    "Let us see.",
    "We begin now.",
    "A friend is on the road.",
    "The bag is for a friend.",
    "The neighbor has a bird.",
    "A bird gets to the road.",
    "A friend has the bag.",
    "The bird is at the end of the road.",
    "A neighbor hands the bag to a friend.",
    "The friend gets to the road.",
    "A bird takes the bag.",
    "The neighbor drops a bag on the road.",
    "The bag is on the road.",
    "A friend of the neighbor is on the road.",
    "Soon the bird is on the road.",
    "The neighbor keeps the bird.",
    "A friend of the neighbor has a bird.",
    "So we begin.",
    "At first the road is short.",
    "A neighbor finds the bag.",
    "The neighbor is at the end of the road.",
)
"""For `wordmath`, in words that its problems use: the bundled model knows no others."""


def add_preamble(text: str, rng: random.Random, preambles: Sequence[str] = PREAMBLES) -> str | None:
    """Put one or two neutral sentences before the problem, after its heading if it has one.

    Args:
        text: a prompt.
        rng: chooses the sentences.
        preambles: the sentences to choose from.

    Returns:
        The prompt with the preamble; None when it holds no problem.
    """
    parts = split_prompt(text)
    if not parts.body:
        return None
    said = " ".join(rng.sample(preambles, rng.choice((1, 2))))
    space = "" if parts.lead[-1:].isspace() or not parts.lead else " "
    return f"{parts.lead}{space}{said} {parts.body}{parts.tail}"
