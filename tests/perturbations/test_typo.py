"""Typos: single slips in one word of eight, never in what the answer rests on."""

from __future__ import annotations

import random
import re

from hypothesis import given, settings
from hypothesis import strategies as st

from overmem.perturbations import perturb
from overmem.perturbations.text import split_prompt
from overmem.perturbations.typo import NUMBER_WORDS, UNITS, add_typos, word_spans
from overmem.records import Example
from tests.helpers.prompts import PEOPLE


def slips_between(old, new):
    """(old word, new word) that differ; a typo never joins or splits words."""
    before, after = (re.findall(r"\S+", text) for text in (old, new))
    return [(a, b) for a, b in zip(before, after, strict=True) if a != b]


def is_one_slip(old, new):
    """One inner letter dropped or doubled, or two inner neighbours swapped; written apart from the code."""
    inner = range(1, len(old) - 1)
    dropped = {old[:i] + old[i + 1 :] for i in inner}
    doubled = {old[:i] + 2 * old[i] + old[i + 1 :] for i in inner}
    swapped = {old[:i] + old[i + 1] + old[i] + old[i + 2 :] for i in inner if i + 1 in inner}
    return new in dropped | doubled | swapped


LONG = " ".join(PEOPLE) + " The children counted every marble carefully before dinner and wrote it down."


@given(st.integers(0, 10_000), st.sampled_from([*PEOPLE, LONG, "Question: What is it?\nAnswer:"]))
@settings(max_examples=200, deadline=None)
def test_typos_are_single_slips_in_one_word_of_eight(seed, text):
    new = add_typos(text, random.Random(seed))
    slips = slips_between(text, new)
    n = len(word_spans(split_prompt(text).body))
    assert max(1, n // 8) <= len(slips) <= n / 8 + 1
    for old, slipped in slips:
        a, b = (re.sub(r"^\W+|\W+$|'s\W*$", "", word) for word in (old, slipped))
        assert len(a) >= 4 and a[0] == b[0] and a[-1] == b[-1]
        assert is_one_slip(a, b) or is_one_slip(a.split("-")[-1], b.split("-")[-1])
        assert b.lower() not in NUMBER_WORDS | UNITS


def test_typos_spare_numbers_units_latex_headings_and_the_answer():
    text = (
        "Question: Robert walks 30 minutes, 45km and twelve-hundred steps in a 30-minute session on"
        " https://example.org/walking with `counter_value` and $speed + distance$ by \\textbf{formula}"
        " <think> x </think> Wednesday.\nAnswer:"
    )
    touched = set()
    for seed in range(300):
        slips = slips_between(text, add_typos(text, random.Random(seed), answer="Wednesday"))
        touched |= {old for old, _ in slips}
    assert touched == {"Robert", "walks", "steps", "session", "with"}


def test_a_typo_never_makes_a_number_or_another_word_of_the_problem():
    made = {add_typos("Then Mara saw Maria.", random.Random(seed)) for seed in range(200)}
    words = {word.lower() for text in made for word in re.findall(r"\w+", text)}
    assert "ten" not in words  # then without its h
    assert not any("Mara saw Mara" in text for text in made)  # Maria without its i
    assert add_typos("17 + 25 is?", random.Random(0)) is None
    assert add_typos("苹果有多少个呢", random.Random(0)) is None


def test_options_are_not_misspelled():
    speller = "Which word is spelled without mistakes?\n(A) recieve\n(B) receive\n(C) receeve"
    for seed in range(20):
        new = perturb(Example("x", speller, " (B)", "B"), "typo", seed).prompt
        assert new.split("\n")[1:] == speller.split("\n")[1:] and new != speller
