"""Rendered rows beside prepared ones."""

from __future__ import annotations

from dataclasses import replace

from overmem.records import Example
from overmem.rendering.comparison import compare_tokens
from overmem.rendering.render import render_all
from overmem.rendering.template import Template
from tests.helpers.tokenizers import make_tokenizer

TOKENIZER = make_tokenizer()
ROWS = render_all(
    [Example(str(n), f"Question: {n} apples?", f" {n} apples") for n in range(4)], TOKENIZER, Template()
)


def test_the_same_rows_are_the_same_in_any_order() -> None:
    same = compare_tokens(ROWS, ROWS, TOKENIZER, "val")
    assert same.all_same and same.n_same == 4 and same.first_difference is None
    moved = compare_tokens(ROWS, ROWS[::-1], TOKENIZER, "val")
    assert moved.all_same and moved.n_elsewhere == 4


def test_prompts_that_were_trained_too_are_no_difference() -> None:
    trained = tuple(
        replace(row, prompt_ids=row.input_ids[:1], completion_ids=row.input_ids[1:]) for row in ROWS
    )
    assert compare_tokens(ROWS, trained, TOKENIZER, "val").all_same


def test_other_masks_other_ids_and_missing_rows_are_told_apart() -> None:
    other_mask = replace(ROWS[0], prompt_ids=ROWS[0].input_ids[:3], completion_ids=ROWS[0].input_ids[3:])
    other_ids = replace(ROWS[1], completion_ids=(*ROWS[1].completion_ids[:-1], 7))
    found = compare_tokens(ROWS, (other_mask, other_ids, ROWS[2]), TOKENIZER, "val")
    assert (found.n_same, found.n_other_mask, found.all_same) == (1, 1, False)
    assert "training prepared 3 rows, and the source has 4" in str(found)
    assert "1 rows have the same tokens, and other ones of them are scored" in str(found)
    assert "row 0 (`0`) differs first at token 3" in str(found)


def test_the_first_difference_shows_both_sides() -> None:
    other = replace(ROWS[0], completion_ids=(*ROWS[0].completion_ids[:-1], 7))
    text = str(compare_tokens(ROWS[:1], (other,), TOKENIZER, "val"))
    place = len(ROWS[0]) - 1
    assert f"differs first at token {place}" in text
    assert (
        f">>> {ROWS[0].input_ids[-1]}:'</s>' (trained)" in text and f">>> 7:{TOKENIZER.decode([7])!r}" in text
    )
