"""Layouts: other headings and whitespace around the same text."""

from __future__ import annotations

import random
import re

from hypothesis import given, settings
from hypothesis import strategies as st

from overmem.perturbations import perturb, perturb_all
from overmem.perturbations.layout import LAYOUTS, change_layout
from tests.helpers.prompts import CHAT, PEOPLE, asked, clean_of


def squeezed(text):
    return re.sub(r"\s+", "", text)


@given(st.text(max_size=80), st.integers(0, 1000))
@settings(deadline=None)
def test_a_layout_differs_and_keeps_the_text(text, seed):
    new = change_layout(text, random.Random(seed))
    if not text.strip():
        assert new is None
    else:
        assert new != text
        assert squeezed(new).lower() == squeezed(text).lower()


def test_layouts_change_headings_and_whitespace_only(examples):
    for seed in range(5):
        for new in perturb_all(examples, "format", seed):
            old = clean_of(examples)[new.id]
            bare = [
                re.sub(r"(?im)^\s*(?:### )?(?:question|answer|instruction|response)\s*:", "", asked(example))
                for example in (new, old)
            ]
            assert squeezed(bare[0]) == squeezed(bare[1])


def test_every_layout_is_used():
    prompt = f"Question: {PEOPLE[2]}\nAnswer:"
    made = {change_layout(prompt, random.Random(seed)) for seed in range(300)}
    for layout in LAYOUTS:
        assert layout(prompt, random.Random(0)) != prompt
    assert {text[:9] for text in made} >= {"QUESTION:", "question:", "Question:", "Question "}
    assert any(text.startswith("\n") for text in made)
    assert any(".  " in text for text in made) and any(".\n" in text for text in made)


def test_a_layout_survives_templates_that_strip():
    # Chat templates strip a message's ends: a change there alone would measure nothing.
    for seed in range(50):
        for example in CHAT:
            assert asked(perturb(example, "format", seed)).strip() != asked(example)
        assert change_layout("What is 2 + 2?", random.Random(seed)).strip() != "What is 2 + 2?"


def test_layouts_leave_code_tables_and_latex_alone():
    kept = (
        "```python\nx = 1.  # One. Two\nif x:\n    print(x)\n```",
        "| Name. | Apples bought on the first day of the week. | On the last. |\n| Tom | 3 | 4 |",
        "$a. B + \\text{One. Two. Three, and then some more words to make it long}$",
    )
    text = "Look at this code. " + "\n".join(kept) + "\nHow many apples does it print in the end? Say it."
    for seed in range(100):
        new = change_layout(text, random.Random(seed))
        assert all(part in new for part in kept)
