"""Preambles: neutral words between heading and problem."""

from __future__ import annotations

import random
import re

from overmem.perturbations import perturb
from overmem.perturbations.names import FEMALE, MALE
from overmem.perturbations.preamble import PLAIN_PREAMBLES, PREAMBLES, add_preamble
from overmem.perturbations.text import split_prompt
from overmem.perturbations.typo import NUMBER_WORDS
from tests.helpers.prompts import PLAIN


def test_preambles_are_neutral():
    assert len(set(PREAMBLES)) >= 24 and len(set(PLAIN_PREAMBLES)) >= 24
    for said in (*PREAMBLES, *PLAIN_PREAMBLES):
        words = re.findall(r"\w+", said)
        assert said[0].isupper() and said.endswith(".")
        assert not any(character.isdigit() for character in said)
        assert not NUMBER_WORDS & {word.lower() for word in words}
        assert not set(words) & {*FEMALE, *MALE}
        assert not {"answer", "solve", "write", "give", "step"} & {word.lower() for word in words}


def test_a_preamble_goes_between_heading_and_problem():
    for seed in range(30):
        for example in PLAIN:
            parts = split_prompt(example.prompt)
            text = perturb(example, "preamble", seed).prompt
            said = text.removeprefix(parts.lead).removesuffix(parts.body + parts.tail)
            assert text == parts.lead + said + parts.body + parts.tail
            sentences = re.findall(r"[^.]+\.", said.strip())
            assert len(sentences) in (1, 2) and {s.strip() for s in sentences} <= set(PREAMBLES)
    assert add_preamble("Question:Tom ran.", random.Random(0)).startswith("Question: ")
