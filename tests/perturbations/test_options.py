"""Shuffled options: the letter follows its text."""

from __future__ import annotations

import re

import pytest

from overmem.grading.grade import grade
from overmem.perturbations import perturb
from overmem.records import Example
from tests.helpers.prompts import SYSTEM

ARC = """Which is a gas?
(A) water ice
(B) oxygen
(C) a rock
(D) wood
"""


def lettered(text):
    return dict(re.findall(r"(?m)^\(?([A-J])[).:] (.+)$", text))


@pytest.mark.parametrize("mark", ["(A) ", "A) ", "A. ", "A: "])
@pytest.mark.parametrize(
    ("answer", "completion"),
    [
        ("B", "Answer: (B)"),
        ("(B)", "Ice is solid.\nThe answer is B."),
        ("b", "(A) is frozen water and (C) is solid, so it is (B).\n#### B"),
        ("B", "B"),
        ("B", "B. oxygen"),
        ("B", "Option D burns. \\boxed{B}"),
    ],
)
def test_the_letter_follows_its_option(mark, answer, completion):
    prompt = (
        "Question: "
        + ARC.replace("(", mark[0] if mark[0] == "(" else "").replace(") ", mark[-2:])
        + "Answer:"
    )
    old = Example("x", prompt, completion, answer)
    orders = set()
    for seed in range(40):
        new = perturb(old, "options", seed)
        before, after = lettered(old.prompt), lettered(new.prompt)
        letter = new.answer.strip("()").upper()
        assert after[letter] == "oxygen" and letter != "B"
        assert sorted(after.values()) == sorted(before.values()) and list(after) == list("ABCD")
        assert new.answer == answer.replace("B", letter).replace("b", letter.lower())
        assert grade(new.completion, new, "choice").correct
        # Every letter of the completion still names the text that it named.
        named = [re.findall(r"\b[A-D]\b(?!ns)", e.completion) for e in (old, new)]
        assert [before[x] for x in named[0]] == [after[x] for x in named[1]]
        orders.add(tuple(after.values()))
        assert new.prompt.startswith("Question: Which is a gas?\n") and new.prompt.endswith("\nAnswer:")
    assert len(orders) > 10


def test_only_the_last_options_are_shuffled():
    shot = f"Question: {ARC.replace('gas', 'solid')}Answer: (C)\n\nQuestion: {ARC}Answer:"
    new = perturb(Example("x", shot, "Answer: (B)", "B"), "options", 0)
    assert new.prompt.startswith(shot[: shot.index("Question: Which is a gas")])
    chat = Example("x", (SYSTEM, {"role": "user", "content": ARC}), "Answer: (B)", "B")
    new = perturb(chat, "options", 0)
    assert new.prompt[0] == SYSTEM and lettered(new.prompt[1]["content"])[new.answer] == "oxygen"


@pytest.mark.parametrize(
    ("text", "answer", "completion"),
    [
        (ARC, None, "Answer: (B)"),
        (ARC, "E", "Answer: (E)"),  # no such option
        (ARC, "oxygen", "oxygen"),
        (ARC.replace("wood", "all of the above"), "B", "Answer: (B)"),
        (ARC.replace("wood", "Both A and B"), "B", "Answer: (B)"),
        (ARC.replace("(A) water ice\n", ""), "B", "Answer: (B)"),  # letters that do not start at A
        ("Which? (A) this (B) that", "B", "Answer: (B)"),  # on one line
        ("A: 3\nThen more.\nB: 4", "B", "Answer: (B)"),  # not one block
        (ARC, "B", "the final answer, B, is clear: answer\tB"),  # a letter that cannot be followed
    ],
)
def test_what_cannot_be_shuffled_is_left_alone(text, answer, completion):
    assert all(perturb(Example("x", text, completion, answer), "options", seed) is None for seed in range(9))
