"""Words are the same but for their dress."""

from __future__ import annotations

import pytest

from overmem.grading.exact import find_exact, normal_text, same_text


@pytest.mark.parametrize(
    ("gold", "text", "right"),
    [
        ("Paris", "paris", True),
        ("Paris", "**Paris**.", True),
        ("Paris", "The answer is Paris because it is.", True),
        ("Paris", "Paris is not it, Rome is", False),
        ("Paris", "Ｐａｒｉｓ", True),
        ("café", "cafe\u0301", True),
        ("cafe", "café", False),
        ("yes", "Yes, it does.", True),
        ("yes", "No.", False),
        ("New York City", "The answer is New York", False),
        ("York", "The answer is: New York", False),
        ("not_entailment", "The answer is not_entailment.", True),
        ("entailment", "The answer is not_entailment.", False),
        ("12 pm", "12 am", False),
        ("Marie Curie", "reasons\n#### Marie Curie", True),
        ("Marie Curie", "\\boxed{\\text{Marie Curie}}", True),
    ],
)
def test_same_words(gold: str, text: str, right: bool) -> None:
    found = find_exact(text, gold)
    assert (found is not None and same_text(gold, found)) is right


def test_normal_text() -> None:
    assert normal_text(" \u201cBlue  sky!\u201d ") == "blue sky"
    assert normal_text("O\u2019Neill") == "o'neill"
    assert not same_text("!", "?") and same_text("!", "!")
