"""Two spellings of one problem are the same words, and two problems are not."""

import pytest

from overmem.contamination.words import (
    exact_forms,
    problem_texts,
    read_words,
    signatures,
    silent_prompts,
    with_each_turn,
)
from overmem.records import Example


def same(*texts):
    """How many different texts there are, after normalising."""
    return signatures(read_words(texts))["same"].n_unique()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("How many apples does Tom have?", "HOW MANY  APPLES,\n does tom have"),
        ("It\u2019s Tom\u2019s 1,234,567 apples", "it's Tom's 1234567 apples"),
        ("a well\u2010known 3.0 \u2212 2", "A well-known 3 - 2"),
        ("three apples", "3 apples"),
        (r"Find $\left(x\right)$ if $x\,=\,2$", "Find x if x = 2"),
        ("\uff13 apples and \ufb01gs", "3 apples and figs"),
    ],
)
def test_spellings_of_one_problem_are_the_same_words(one, other):
    assert same(one, other) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What is 2 + 3?", "What is 2 - 3?"),
        ("What is 12?", "What is 1 2?"),
        ("Tom hits Ann", "Ann hits Tom"),
        ("3.5 apples", "35 apples"),
        ("\u4e09\u500b\u860b\u679c", "\u5169\u500b\u860b\u679c"),
    ],
)
def test_other_problems_are_other_words(one, other):
    assert same(one, other) == 2


def test_numbers_and_names_are_masked_and_words_that_are_also_written_small_are_no_names():
    texts = ["Tom has 3 hats. May he sell 4?", "Ann has 5 hats. May he sell six?", "He may go"]
    found = signatures(read_words(texts))
    assert found["masked"].to_list()[0] == found["masked"].to_list()[1] != found["masked"].to_list()[2]
    # `may` and `he` are written small in the third, so that only Tom (and his numbers) is masked.
    assert found["kept"].to_list() == [5, 5, 3]
    assert found["count"].to_list() == [2, 2, 0]


def test_numbers_are_the_same_in_any_order_and_one_does_not_count():
    found = signatures(read_words(["3 of 4", "4 and one of 3", "3 of 5"]))["numbers"].to_list()
    assert found[0] == found[1] != found[2]


def test_a_text_without_words_has_no_signature():
    assert signatures(read_words(["...", "a", ""]))["text"].to_list() == [1]


def example(prompt, completion="c"):
    return Example("0", prompt, completion)


def test_what_is_asked_are_the_turns_without_the_system_message():
    chat = (
        {"role": "system", "content": "You are brief."},
        {"role": "user", "content": [{"type": "text", "text": "How many?"}]},
    )
    assert problem_texts([example(chat), example("Why?")]) == ["How many?", "Why?"]


def test_a_prompt_that_asks_nothing_of_its_own_is_read_with_its_reference():
    rows = [example("Continue:", f"text {i}") for i in range(5)] + [example("Why?", "so"), example("", "x")]
    texts = problem_texts(rows, silent_prompts([rows]))
    assert texts[0] == "Continue:\ntext 0" and texts[-2:] == ["Why?", "\nx"]


def test_every_question_of_a_conversation_is_a_text_of_its_row():
    turns = tuple(
        {"role": role, "content": text}
        for role, text in (("user", "How many?"), ("assistant", "Two."), ("user", "And then?"))
    )
    rows = [example("Why?"), Example("1", turns, "Three.", "3")]
    found, owners = with_each_turn(rows)
    assert owners == [0, 1, 1, 1]
    assert problem_texts(found) == ["Why?", "How many?\nAnd then?", "How many?", "And then?"]
    assert [(item.completion, item.answer) for item in found[2:]] == [("Two.", None), ("Three.", "3")]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("(2 + 3) * 4?", "2 + 3 * 4?"),
        ("Solve 2-x=5", "Solve 2x=5"),
        ("Is ([)] balanced?", "Is [()] balanced?"),
        ("What is 10\u00b2?", "What is 102?"),
        ("Evaluate 5! + 3", "Evaluate 5 + 3"),
        ("Is .5 larger?", "Is 5 larger?"),
        ("Is A \u222a B empty?", "Is A \u2229 B empty?"),
        (r"A \leftarrow B", r"A \rightarrow B"),
        ("No. #####\n#..#", "No. ##.##\n####"),
        ("What does \U0001f600 mean?", "What does \U0001f602 mean?"),
    ],
)
def test_texts_that_differ_in_a_sign_are_no_copies(one, other):
    first, second = exact_forms([one, other])
    assert first != second


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("It is  SO, he said.", "it is so, he said"),
        ("Which is red\u00adder\u200b?", "Which is redder?"),
        ("\u201cHow\u201d many: 1,200?", "'How' many: 1200"),
        ("What is 3+4 = ?", "What is 3 + 4 =?"),
        (r"Find $x$.", r"Find \(x\)"),
    ],
)
def test_spellings_of_one_text_are_copies(one, other):
    first, second = exact_forms([one, other])
    assert first == second
