"""Other names and objects, whole words only, with the same answer.

Covers: overmem.perturbations.names, overmem.perturbations.nouns, overmem.perturbations.vocabulary
"""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overmem.perturbations import perturb, perturb_all
from overmem.perturbations.names import FEMALE, MALE
from overmem.perturbations.nouns import GROUPS, NOT_RENAMED_BESIDE
from overmem.perturbations.rename import rename
from overmem.perturbations.vocabulary import EVERYDAY, WORDMATH
from overmem.records import Example
from overmem.synthetic import wordmath
from tests.helpers.wordmath import solve


def rename_words(text, seed=0, answer="", vocabulary=EVERYDAY):
    return rename(text, random.Random(seed), answer, vocabulary)


def test_the_lists_are_sound():
    assert len(FEMALE) >= 60 and len(MALE) >= 60
    assert len({*FEMALE, *MALE}) == len(FEMALE) + len(MALE)  # nobody is in both, nobody twice
    assert set(wordmath.NAMES) <= {*FEMALE, *MALE}
    nouns = [noun for group in GROUPS for noun in group]
    words = [word for noun in nouns for word in noun]
    assert len(nouns) >= 40 and len(set(words)) == len(words)
    assert set(wordmath.ITEMS) <= {plural for _, plural in nouns}
    assert set(NOT_RENAMED_BESIDE) <= {plural for _, plural in nouns}
    assert all(len(group) >= 4 for group in GROUPS)
    assert not {name.lower() for name in (*FEMALE, *MALE)} & set(words)
    assert sum(map(len, WORDMATH.names)) == len(wordmath.NAMES)
    assert {plural for _, plural in WORDMATH.nouns[0]} == set(wordmath.ITEMS)


@given(st.integers(0, 100_000))
@settings(max_examples=100, deadline=None)
def test_names_are_swapped_consistently_as_whole_words(seed):
    text = (
        "Ana studies Anatomy in Indiana. Tom's aunt, ANA, calls Ana and Tom: (Tom!) Tomorrow Tommy-Tom eats."
    )
    new = rename_words(text, seed)
    pattern = (
        r"(?P<a>\w+) studies Anatomy in Indiana\. (?P<t>\w+)'s aunt, (?P<up>\w+), calls (?P=a) and (?P=t):"
        r" \((?P=t)!\) Tomorrow (?P<tommy>\w+)-(?P=t) eats\."
    )
    found = re.fullmatch(pattern, new)
    assert found, new
    assert found["up"] == found["a"].upper()
    assert found["a"] in FEMALE and {found["t"], found["tommy"]} < set(MALE)
    assert not {found["a"], found["t"], found["tommy"]} & {"Ana", "Tom", "Tommy"}
    assert len({found["a"], found["t"], found["tommy"]}) == 3


@given(st.integers(0, 100_000))
@settings(max_examples=100, deadline=None)
def test_objects_are_swapped_within_their_kind(seed):
    text = "Apples! An apple and 3 apples cost more than a plum; APPLES and pineapples do not. A red apple's?"
    new = rename_words(text, seed)
    pattern = (
        r"(?P<Up>\w+)! (?P<art>An?) (?P<one>\w+) and 3 (?P<many>\w+) cost more than (?P<art2>an?)"
        r" (?P<plum>\w+); (?P<UP>\w+) and pineapples do not\. A red (?P=one)'s\?"
    )
    found = re.fullmatch(pattern, new)
    assert found, new
    fruit = dict(GROUPS[0])
    assert found["many"] == fruit[found["one"]] and found["plum"] in fruit
    assert found["Up"] == found["many"].capitalize() and found["UP"] == found["many"].upper()
    assert not {found["one"], found["plum"]} & {"apple", "plum"} and found["one"] != found["plum"]
    assert found["art"] == ("An" if found["one"][0] in "aeiou" else "A")
    assert found["art2"] == ("an" if found["plum"][0] in "aeiou" else "a")


def test_nobody_new_is_someone_who_is_there():
    present = FEMALE[:-1]
    new = rename_words("She is " + " and ".join(present) + ".")
    assert len(set(re.findall(r"\b[A-Z]\w+", new)) & {*FEMALE}) == len(FEMALE) - 1  # one free name for all


@pytest.mark.parametrize(
    "text",
    [
        "She needs 2 cups of flour.",  # a measure
        "There are 3 dimes and 4 quarters: how many coins?",  # a word for other things
        "She bought 2 novels. How many books?".replace("novels", "textbooks"),
        "A deck of 52 has how many cards?",  # carries a number
        "Find $|A \\cup B|$ in all.",  # a LaTeX command
        "The dot and the joy of max and sam.",  # names are capitalised
        "Bennet, Tomas, apple_count and eggplants.",  # whole words
    ],
)
def test_what_is_not_a_plain_object_or_name_stays(text):
    assert rename_words(text) in (None, text)


def test_possessives():
    for seed in range(50):
        new = rename_words("James' sister has Emily's hat, and 'Tom' too.", seed)
        found = re.fullmatch(r"(\w+)('s|') sister has (\w+)'s (\w+), and '(\w+)' too\.", new)
        assert found, new
        assert found[2] == ("'" if found[1].endswith("s") else "'s")


def test_the_words_of_an_answer_stay():
    # Renaming whom the answer names would make a right solution wrong.
    for seed in range(50):
        new = rename_words("Tom has 3 pens, Ben 4. Who has more, Tom or Ben?", seed, answer="Ben")
        assert new.endswith("or Ben?") and not re.search(r"\bTom\b", new)
    choice = Example("x", "Tom has 3 pens, Ben 4. Who has more pens?\nA. Tom\nB. Ben\nAnswer:", " B", "B")
    new = perturb(choice, "rename", 0)
    assert not re.search(r"\b(Tom|Ben)\b", new.prompt) and new.answer == "B"


def test_renamed_organism_problems_have_the_same_answer(splits):
    for name, examples in splits.items():
        for new in perturb_all(examples[:100], "rename", seed=0):
            assert solve(new.prompt) == int(new.answer), name


QUIZ = "Question: Which of these is a citrus fruit?\n(A) apple\n(B) lemon\n(C) banana\nAnswer:"


def test_options_that_are_known_and_not_told_are_not_renamed():
    assert all(perturb(Example(str(i), QUIZ, " (B)", "B"), "rename", i) is None for i in range(20))
    numbers = QUIZ.replace("Which of these is a citrus fruit?", "Tom has 3 apples, Ben 4. How many?")
    numbers = re.sub("apple$|lemon$|banana$", "7", numbers, flags=re.MULTILINE)
    new = perturb(Example("x", numbers, " (B)", "B"), "rename", 0)
    assert "apples" not in new.prompt and new.prompt.count("7") == 3
