"""The letter that a text settles on, in the ways of saying it, and none where it only mentions letters."""

from __future__ import annotations

import pytest

from overmem.grading.grade import grade
from overmem.grading.letters import extract_choice, letter_of_option
from overmem.records import Example


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("(B) is right; (A) and (C) are not.", "B"),
        ("Option A is correct because B and C fail.", "A"),
        ("The answer is B. Note that A is a common distractor.", "B"),
        ("The correct option is B, not A.", "B"),
        ("因此，选项B是正确的，选项A不正确。", "B"),
        ("A选项错误，B选项正确，C选项错误。", "B"),
        ("选项A符合题意。", "A"),
        ("Eliminating A, B and D, we are left with C.", "C"),
        ("Only answer D is not wrong.", "D"),
        ("None of A, C or D follow from the text. B does.", "B"),
        ("A and B are both plausible, but the last sentence makes B the better choice.", "B"),
        ("La bonne réponse est la réponse D. La réponse A serait correcte pour un gaz.", "D"),
        ("Answer C is right. I think answer A is wrong.", "C"),
        ("Answer: C\n\nQuestion: And now?\nAnswer: B", "C"),
        ("Between A and B, the correct translation is A.", "A"),
        ("Answer: B. Answer: C", "C"),
        ("I considered (A), but it is incorrect. Final answer: D.", "D"),
        ("since \\boxed{\\langle H\\rangle \\ll \\Delta E}\n\n**Answer: D**", "D"),
        ("\\boxed{\\textbf{(C)}\\ 12}", "C"),
        ("<answer>(B)</answer>", "B"),
        ("答案是B", "B"),
        ("综上所述，故选：C", "C"),
        ("正确答案是（D）。", "D"),
        ("La respuesta correcta es la B.", "B"),
        ("La bonne réponse est la C.", "C"),
        ("Die richtige Antwort ist A.", "A"),
        ("Option B is wrong, so A.", "A"),
        ("A\n\nThe sky is blue.", "A"),
        ("I'd go with A.", "A"),
        ("It must be option (c).", "C"),
        ("Looking at the idiom, B captures it.", "B"),
    ],
)
def test_a_letter_is_settled_on(text: str, letter: str) -> None:
    assert extract_choice(text) == letter


@pytest.mark.parametrize(
    "text",
    [
        "Let me compare A and B.",
        "Both A and B are plausible.",
        "A is not correct.",
        "It cannot be C.",
        "The answer is not A.",
        "The answer is a plural form.",
        "A nice approach to think about it",
        "I do not know.",
        "No option was chosen.",
    ],
)
def test_a_mention_settles_nothing(text: str) -> None:
    assert extract_choice(text) is None


def test_an_option_may_be_named_by_its_words() -> None:
    prompt = "Capital of France?\n(A) Rome\n(B) Paris\n(C) Rome"
    assert letter_of_option("Paris.", prompt) == "B"
    assert letter_of_option("Rome", prompt) is None
    example = Example("1", prompt, "B", "B")
    assert grade("The answer is Paris.", example, "choice").correct
    assert not grade("Rome", example, "choice").correct
