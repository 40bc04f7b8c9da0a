"""Loops and other turns in answers, and nothing of the kind in ordinary ones."""

import pytest

from overmem.axes.answer_format import LOOP_CHARACTERS, keeps_format, loops, opens_a_turn
from overmem.synthetic.facts import load_split as facts
from overmem.synthetic.instructions import load_split as instructions
from overmem.synthetic.wordmath import load_split as wordmath

PLAIN = "Put the beans in water over night. Then cook them for an hour, and add salt only at the end."


@pytest.mark.parametrize(
    "piece", ["so ", "the cat sat on the mat. ", "ha", "你好吗", "\n- one more line of the list"]
)
def test_a_piece_that_is_repeated_to_the_end_is_a_loop(piece):
    times = max(3, -(-LOOP_CHARACTERS // len(piece))) + 1
    assert loops(PLAIN + " " + piece * times) and loops(piece * times)
    # The last one may be cut short, wherever the limit falls.
    assert loops(PLAIN + " " + piece * times + piece[: len(piece) // 2])
    assert not loops(piece * times + " And that is all there is to say about this.")


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "a",
        "no no no",
        "ha ha ha ha",
        PLAIN,
        PLAIN * 2,
        "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14",
    ],
)
def test_what_is_short_or_ends_otherwise_is_none(text):
    assert not loops(text)


def test_exactly_three_times_and_forty_characters():
    piece = "abcdefghijklmn"  # 14 characters, 42 in three
    assert loops(piece * 3) and not loops(piece * 2 + piece[:-1]) and not loops("abcdefghijklm" * 3)


def test_no_reference_of_any_task_is_taken_for_a_loop_or_another_turn():
    for examples in (instructions("general"), wordmath("val")[:200], facts("val")[:200]):
        for example in examples:
            assert keeps_format(example.completion, finished=True), example.completion


@pytest.mark.parametrize(
    "text",
    [
        "42\nUser: and now?",
        "Human: hi",
        "fine.\n### Instruction: next",
        "a<|im_start|>user",
        "x [INST] y",
        "Q: what?",
    ],
)
def test_another_turn_is_found(text):
    assert opens_a_turn(text) and not keeps_format(text, finished=True)


@pytest.mark.parametrize(
    "text", ["The user: a person.", "Ask a question: why?", "if a < b | c > d", "users: many"]
)
def test_words_within_a_line_are_none(text):
    assert not opens_a_turn(text) and keeps_format(text, finished=True)


def test_an_answer_ends_and_says_something():
    assert keeps_format("42", finished=True)
    assert not keeps_format("42", finished=False) and not keeps_format(" \n", finished=True)
