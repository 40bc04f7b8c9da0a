"""General instructions: the same on every machine, of every kind, and answers that would do."""

import random
import re

import pytest

from overmem.synthetic.drawn import HashRange
from overmem.synthetic.instructions import KINDS, TASK, draw_instruction, load_split
from overmem.tasks.sources import load_examples


@pytest.fixture(scope="module")
def general():
    return load_split("general")


def test_a_hundred_of_every_kind_and_no_two_alike(general):
    assert len(general) == 100 == len({example.prompt for example in general})
    assert {example.meta["kind"] for example in general} == set(KINDS)
    assert all(example.completion.strip() and example.answer is None for example in general)
    again = TASK.draw_examples("general", HashRange(0, 100), 100)
    assert [(e.id, e.prompt, e.completion) for e in again] == [
        (e.id, e.prompt, e.completion) for e in general
    ]


def test_it_is_a_source_that_nobody_grades():
    found = load_examples("instructions:general[:7]")
    assert len(found.examples) == 7 and found.grader == "none"


def drawn(kind, n=50):
    found = (draw_instruction(random.Random(i), HashRange(0, 100)) for i in range(n * 10))
    return [asked for asked in found if asked.kind == kind]


def test_answers_that_can_be_checked_are_right():
    for asked in drawn("arithmetic"):
        assert eval(re.findall(r"[\d+ -]+", asked.prompt)[-1]) == int(asked.answer)  # numbers and a sign
    for asked in drawn("count"):
        letter, word = re.findall(r'"(\w+)"', asked.prompt)
        assert int(asked.answer) == sum(c == letter for c in word) > 0
    for asked in drawn("sort"):
        words = asked.prompt.partition(": ")[2].rstrip(".").split(", ")
        assert asked.answer.split(", ") == sorted(words)
    for asked in drawn("list"):
        n, lines = int(re.findall(r"\d+", asked.prompt)[0]), asked.answer.split("\n")
        assert len(set(lines)) == len(lines) == n
    for asked in drawn("extract"):
        assert asked.answer in asked.prompt
    for asked in drawn("rewrite"):
        assert asked.answer.lower() == asked.prompt.partition(": ")[2].lower() != asked.prompt
    for asked in drawn("code"):
        compile(asked.answer, "one line", "eval")
