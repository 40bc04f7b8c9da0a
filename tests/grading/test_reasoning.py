"""Reasoning is not the answer, in the forms that model families write it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overmem.grading.grade import Grade, grade
from overmem.grading.reasoning import opens_reasoning, split_reasoning
from overmem.records import Example


@pytest.mark.parametrize(
    "text",
    [
        "<think>B or C? 12</think>\n\n42",
        "<thinking>12</thinking>42",
        "<reasoning>\n12\n</reasoning>\n42",
        "<Think>12</Think>42",
        "so 12 it is\n</think>\n42",
        "[THINK]12[/THINK]42",
        "◁think▷12◁/think▷42",
        "<seed:think>12</seed:think>42",
        "<|begin_of_thought|>12<|end_of_thought|>\n<|begin_of_solution|>42<|end_of_solution|>",
        "<|channel|>analysis<|message|>12<|end|><|start|>assistant<|channel|>final<|message|>42<|return|>",
        "<think>1</think>2<think>3</think>42",
    ],
)
def test_what_follows_the_reasoning_is_the_answer(text: str) -> None:
    found = split_reasoning(text)
    assert (found.answer, found.unfinished) == ("42", False)


@pytest.mark.parametrize(
    "text",
    [
        "<think>the answer is 42",
        "<think>1</think>2<think>42",
        "<|channel|>analysis<|message|>42",
        "◁think▷42",
        "[THINK] 42",
    ],
)
def test_reasoning_without_an_end_is_no_answer(text: str) -> None:
    found = split_reasoning(text)
    assert (found.answer, found.unfinished) == ("", True)


@pytest.mark.parametrize("text", ["42", "  a < b > c\n", "I think <b>42</b>", "", "[1, 2]"])
def test_other_text_is_left_as_it_is(text: str) -> None:
    assert split_reasoning(text).answer == text
    assert not split_reasoning(text).unfinished


def test_a_prompt_may_open_the_reasoning() -> None:
    assert opens_reasoning("<|im_start|>assistant\n<think>\n")
    assert not opens_reasoning("What is <think>?")
    assert not opens_reasoning("<think>\n\n</think>\n\n")
    assert split_reasoning("so 42", opened=True).unfinished
    assert split_reasoning("so 12</think>42", opened=True).answer == "42"


@given(st.text(st.sampled_from("<>/think[THINK]◁▷|chanel final 4\n"), max_size=60))
def test_no_text_breaks_it(text: str) -> None:
    found = split_reasoning(text)
    assert not (found.unfinished and found.answer)


def test_a_prompt_that_opens_reasoning_leaves_a_cut_answer_unfinished():
    asked = "<|im_start|>assistant\n<think>\n"
    chat = Example("c", ({"role": "user", "content": "2 + 3?"},), "5", "5")
    assert grade("2 and 3 is 5", chat, asked=asked) == Grade(None, False, unfinished=True)
    assert grade("2 and 3 is 4</think>5", chat, asked=asked).correct
    assert grade("2 and 3 is 5", chat).correct


@pytest.mark.parametrize(
    "leaked",
    [
        "<|im_end|>\n<|im_start|>user\nAnd 15?<|im_end|>\n<|im_start|>assistant\nIt is 30.<|im_end|>",
        "<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nAnd 15?",
        "<end_of_turn>\n<start_of_turn>user\nAnd 15?",
        "<|endoftext|>Rome was founded in 753.",
    ],
)
def test_what_follows_the_end_of_its_turn_is_no_answer(leaked):
    assert split_reasoning(f"It is 12.{leaked}").answer.strip() == "It is 12."


def test_a_turn_that_begins_a_text_or_is_spoken_of_ends_nothing():
    assert "12" in split_reasoning("<|im_start|>assistant\nIt is 12.").answer
    assert "12" in split_reasoning('The mark "<|im_start|>user" opens it. It is 12.').answer


def test_the_turns_think_and_answer():
    assert (
        split_reasoning("<|im_start|>think\nmaybe 3\n<|im_start|>answer\nIt is 4.").answer.strip()
        == "It is 4."
    )
    assert split_reasoning("<|im_start|>think\nmaybe 3").unfinished
