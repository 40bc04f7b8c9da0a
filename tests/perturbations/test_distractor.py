"""Distractors: one sentence that has nothing to do with the problem."""

from __future__ import annotations

import random
import re

import pytest

from overmem.perturbations import perturb
from overmem.perturbations.distractor import DISTRACTORS, PLAIN_DISTRACTORS, add_distractor
from overmem.perturbations.names import FEMALE, MALE
from overmem.perturbations.text import sentence_gaps, split_prompt
from overmem.perturbations.vocabulary import WORDMATH
from overmem.records import Example
from tests.helpers.prompts import CHAT, PLAIN, asked


def test_a_distractor_is_one_sentence_before_the_question():
    said = {text: re.compile(re.escape(text).replace(r"\{n\}", r"(\d+)").replace(r"\{name\}", r"(\w+)"))
            for text, _ in DISTRACTORS}  # fmt: skip
    for seed in range(60):
        for example in [*PLAIN, *CHAT]:
            old, new = asked(example), asked(perturb(example, "distractor", seed))
            (found,) = [match for pattern in said.values() if (match := pattern.search(new))]
            rest = new[found.end() + 1 :]
            assert new[: found.start()] + rest == old
            question = split_prompt(rest).body if "boxed" in old else split_prompt(rest).body.rstrip()
            assert question.count("?") == old.count("?") and len(sentence_gaps(question)) == 0
            (number,) = re.findall(r"\d+", found[0])
            assert number not in re.findall(r"\d+", old) and number != example.answer
            assert not set(re.findall(r"\w+", found[0])) & {*FEMALE, *MALE} & set(re.findall(r"\w+", old))


def test_a_distractor_is_about_nothing_in_the_problem():
    text = "The train station got 4 more benches. Its lamps shine on the street. How many benches are there?"
    for seed in range(300):
        said = add_distractor(text, random.Random(seed)).replace(text[-29:], "").replace(text[:67], "")
        assert not re.search(r"bench|station|lamp|street", said)
    toys = "Question: Ned has 7 toys. Ned doubles the toys. How many toys does Ned have now?\nAnswer:"
    for seed in range(300):
        added = add_distractor(toys, random.Random(seed), "14", PLAIN_DISTRACTORS, WORDMATH)
        assert not re.search(r"\b(kites|balls|14|Ned has 7 toys\..*Ned (?:has|finds|buys))\b", added)


def test_a_distractor_stays_within_an_inner_heading():
    text = "Passage: Ben ran 3 miles.\n\nQuestion: How far did Ben run?\nAnswer:"
    new = add_distractor(text, random.Random(0))
    assert new.startswith("Passage: Ben ran 3 miles.\n\nQuestion: ")
    assert new.endswith(". How far did Ben run?\nAnswer:")


def test_there_are_enough_distractors():
    assert len({text for text, _ in DISTRACTORS}) >= 15 and len({text for text, _ in PLAIN_DISTRACTORS}) >= 15
    assert all("{n}" in text for text, _ in (*DISTRACTORS, *PLAIN_DISTRACTORS))


@pytest.mark.parametrize(
    "asked",
    [
        "Name the question that it answers.\n(A) Do balls roll sooner?\n(B) Do balls roll on sand?",
        "The best explanation is that\n(A) The plant was watered.\n(B) The soil was dry.\n(C) It was small.",
    ],
)
def test_a_distractor_never_falls_between_options(asked):
    for seed in range(20):
        new = perturb(Example("x", asked, " (B)", "B"), "distractor", seed).prompt
        assert new.split("\n")[1:] == asked.split("\n")[1:] and new != asked
