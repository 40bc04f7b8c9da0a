"""Where a text says that something is its answer."""

from __future__ import annotations

import time

import pytest

from overmem.grading.stated import after_marker_lines, first_problem, stated_pieces, tagged, without_runs


def test_tags() -> None:
    assert tagged("<answer>1</answer> no <answer> 2 </answer>") == "2"
    assert tagged("[ANSWER_START]B[ANSWER_END]") == tagged("[ANSWER]B") == "B"
    assert tagged("a < b") is tagged("<answer></answer>") is None


def test_headings_are_no_markers() -> None:
    assert after_marker_lines("#### 18\nmore\n#### 20") == ["20", "18"]
    assert after_marker_lines("#### Step 3: Add\n##### 5\n### Answer") == []
    assert after_marker_lines("#### Answer\n\n42") == ["42"]
    assert after_marker_lines("#### Final Answer: 42") == ["42"]


def test_statements() -> None:
    assert stated_pieces("The answer is 4.\nFinal answer: **5**") == ["4.", "5**"]
    assert stated_pieces("The answer is not 4.") == []
    assert stated_pieces("La respuesta es 4") == stated_pieces("答案是4") == ["4"]
    assert stated_pieces("nothing said") == []


def test_runs_are_shortened() -> None:
    assert without_runs("a   b\n\n\n\nc ======= d") == "a b\n\nc ==== d"


def test_a_sentence_in_bold_is_no_heading_and_solutions_are_stated_too():
    assert stated_pieces("**The answer is 14.**\n\nCase 2 is empty.") == ["14.**"]
    assert stated_pieces("The solutions are 4 and -1.") == ["4 and -1."]
    assert stated_pieces("The results are as follows:\n5") == []


@pytest.mark.parametrize("answered", ["#### 18", "The answer is 18.", "\\boxed{18}", "C", "B. Jupiter"])
def test_the_next_problem_is_left_out_where_an_answer_stands_before(answered):
    assert first_problem(f"{answered}\n\nQuestion: And now?\nThe answer is 3.") == answered


@pytest.mark.parametrize(
    "text",
    [
        "Let me say it again.\n\nQuestion: How many?\n\nThe answer is 3.",
        "Q: How many first?\nA: The answer is 2.\n\nQ: How many in all?\nA: The answer is 3.",
        "#### 18\nQuestion: 4?\n#### 20",
    ],
)
def test_a_problem_said_again_or_divided_is_no_next_one(text):
    assert first_problem(text) == text


def test_a_repetition_that_breaks_off_is_left_out():
    assert first_problem("It is 27.\nIt is 27.\nIt is 2") == "It is 27.\nIt is 27."
    assert first_problem("x = 12\nx = 1") == "x = 12\nx = 1"


def test_a_next_problem_is_looked_for_in_no_more_than_a_moment():
    started = time.perf_counter()
    for text in ("\n" * 40_000, "no answer in all of this long line of words\n\nQuestion: what?\n" * 4_000):
        first_problem(text)
    assert time.perf_counter() - started < 5
