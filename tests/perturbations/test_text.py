"""Where the problem of a prompt is, and where its sentences end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overmem.perturbations.text import sentence_gaps, split_prompt


@pytest.mark.parametrize(
    ("prompt", "body"),
    [
        ("Question: Tom has 3. How many?\nAnswer:", "Tom has 3. How many?"),
        ("**Problem 12:** Find $x$.\n\n**Solution:**", "Find $x$."),
        ("Solve it.\n\n### Question\nWhat is 2?\n\n### Response:\n", "What is 2?"),
        ("Passage: Ben ran.\n\nQuestion: How far?\nAnswer:", "Ben ran.\n\nQuestion: How far?"),
        ("Q: 1?\nA: 1\nQ: 2?\nA:", "2?"),
        ("Which?\nA: 3\nB: 4", "Which?\nA: 3\nB: 4"),
        ("Question: Which?\nA: 3\nB: 4\nAnswer:", "Which?\nA: 3\nB: 4"),
        ("Problem: add.\nInput: 1 2\nOutput: 3", "add.\nInput: 1 2"),
        ("User: Hi there, how many?\nAssistant:", "Hi there, how many?"),
        ("The answer: is it 3?", "The answer: is it 3?"),
    ],
)
def test_the_problem_is_found(prompt, body):
    assert split_prompt(prompt).body == body


@given(st.text(alphabet="Question:Answer#* \n.?3aB$", max_size=60))
def test_the_parts_make_up_the_prompt(text):
    parts = split_prompt(text)
    assert parts.lead + parts.body + parts.tail == text
    assert parts.body == parts.body.strip()


def test_sentences_end_where_people_end_them():
    text = (
        'Mr. J. Smith left at 9 a.m. with $5.50. "Why?" he asked. It is Tom\'s. He had 3.5. See $a. B$ now!'
        " 7 ran.\n\nEnd"
    )
    ends = [start for start, _ in sentence_gaps(text)]
    cut = [text[a:b].strip() for a, b in zip([0, *ends], [*ends, len(text)], strict=True)]
    assert cut == [
        "Mr. J. Smith left at 9 a.m. with $5.50.",
        '"Why?" he asked.',
        "It is Tom's.",
        "He had 3.5.",
        "See $a. B$ now!",
        "7 ran.",
        "End",
    ]
