"""Rows of token ids: what was trained, by labels, masks or neither; packed rows; bad ones.

Covers: overmem.tasks.tokenized, overmem.rendering.decoded
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from overmem.errors import DataError
from overmem.grading.grade import grade
from overmem.records import Example, TrainedTokens
from overmem.rendering.decoded import answer_text, decoded, with_own_answer
from overmem.rendering.proof import warnings_of
from overmem.rendering.render import render
from overmem.rendering.template import Template
from overmem.rendering.trained_tokens import sequences, trained_tokens
from overmem.tasks.sources import load_examples
from tests.helpers.tokenizers import CHATML, make_tokenizer, prepared_by_trl
from tests.rendering.test_chat import said, user

IDS = [5, 6, 7, 8]


@pytest.mark.parametrize(
    ("more", "trained"),
    [
        ({"labels": [-100, -100, 7, 8]}, [0, 0, 1, 1]),
        ({"completion_mask": [0, 0, 1, 1]}, [0, 0, 1, 1]),
        ({"assistant_masks": [0, 1, 1, 0]}, [0, 1, 1, 0]),
        ({"assistant_masks": [0, 1, 1, 0], "completion_mask": [0, 0, 1, 1]}, [0, 0, 1, 0]),  # as in TRL
        ({"labels": [-100, -100, 7, 8], "completion_mask": [1, 1, 1, 1]}, [0, 0, 1, 1]),
        ({}, [1, 1, 1, 1]),
    ],
)
def test_what_was_trained(more: dict[str, Any], trained: list[int]) -> None:
    found = trained_tokens({"input_ids": IDS, **more}, "here")
    assert found == TrainedTokens(input_ids=tuple(IDS), trained=tuple(map(bool, trained)))


@pytest.mark.parametrize(
    ("more", "parts"),
    [
        ({"seq_lengths": [1, 3]}, [(5,), (6, 7, 8)]),
        ({"position_ids": [0, 1, 0, 1]}, [(5, 6), (7, 8)]),
        ({"position_ids": [0, 1, 2, 3]}, [(5, 6, 7, 8)]),
        ({"attention_mask": [0, 1, 1, 0]}, [(6, 7)]),
    ],
)
def test_packed_and_padded_rows_are_taken_apart(more: dict[str, Any], parts: list[tuple[int, ...]]) -> None:
    assert [found.input_ids for found in sequences({"input_ids": IDS, **more}, "here")] == parts


@pytest.mark.parametrize(
    ("row", "part"),
    [
        ({"input_ids": IDS, "labels": [-100, 7, 8, -100]}, "not the row's own tokens"),  # shifted by the user
        ({"input_ids": IDS, "labels": [1, 2]}, "another length"),
        ({"input_ids": [-1, 2]}, "no token ids"),
        ({"input_ids": "5 6"}, "whole numbers"),
        ({"input_ids": [5, 6.5]}, "whole numbers"),
        ({"input_ids": IDS, "seq_lengths": [1, 1]}, "do not add up"),
        ({"input_ids": IDS, "seq_lengths": [6, -2]}, "do not add up"),
    ],
)
def test_ids_that_do_not_fit_are_refused(row: dict[str, Any], part: str) -> None:
    with pytest.raises(DataError, match=part):
        list(sequences(row, "here"))


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    import polars

    polars.DataFrame(rows).write_parquet(path / "rows.parquet")
    return str(path / "rows.parquet")


def test_rows_that_trl_prepared_are_scored_as_they_are(tmp_path: Path) -> None:
    """The whole way: TRL prepares, the file is read, the text is decoded, and the tokens come out again."""
    tokenizer = make_tokenizer(bos=True, template=CHATML)
    ids, labels = prepared_by_trl(
        tokenizer, {"prompt": [user("2 + 3?")], "completion": [said("2 + 3 = 5\n#### 5")]}
    )
    loaded = load_examples(write(tmp_path, [{"input_ids": ids, "labels": labels}]))
    assert "tokenized" in loaded.shape and "`labels`" in loaded.shape
    (example,) = decoded(loaded.examples, tokenizer)
    assert example.answer == "5"
    assert "2 + 3?" in str(example.prompt) and example.completion.strip().endswith("#### 5")
    rendered = render(example, tokenizer, Template(kind="chat", system="not used"))
    assert [-100] * len(rendered.prompt_ids) + list(rendered.completion_ids) == labels
    assert list(rendered.input_ids) == ids


def test_rows_without_a_trained_token_are_left_out_and_counted(tmp_path: Path) -> None:
    rows = [{"input_ids": IDS, "labels": [-100] * 4}, {"input_ids": IDS, "labels": [-100, -100, 7, 8]}]
    loaded = load_examples(write(tmp_path, rows))
    assert [example.id for example in loaded.examples] == ["1"]
    assert "1 without a trained token left out" in loaded.shape
    with pytest.raises(DataError, match="no rows with a trained token"):
        load_examples(write(tmp_path, rows[:1]))


def test_another_tokenizers_ids_are_refused() -> None:
    example = Example("t", "", "", tokens=TrainedTokens(input_ids=(1, 99999), trained=(False, True)))
    with pytest.raises(DataError, match="99999"):
        decoded([example], make_tokenizer())


@pytest.mark.parametrize("as_tokens", [False, True])
def test_an_own_answer_is_scored_after_the_same_question(as_tokens: bool) -> None:
    tokenizer = make_tokenizer(template=CHATML)
    example = Example("c", (user("a"),), "12 apples")
    before = render(example, tokenizer, Template())
    if as_tokens:
        trained = (False,) * len(before.prompt_ids) + (True,) * len(before.completion_ids)
        example = Example("c", "", "", tokens=TrainedTokens(input_ids=before.input_ids, trained=trained))
    after = render(with_own_answer(example, "5", tokenizer), tokenizer, Template())
    assert after.prompt_ids == before.prompt_ids
    assert tokenizer.decode(after.completion_ids).strip() == "5<|im_end|>"


def test_of_several_trained_runs_the_last_is_asked_for(tmp_path: Path) -> None:
    tokens = TrainedTokens(input_ids=(5, 6, 7, 8, 9), trained=(False, True, False, False, True))
    example, tokenizer = Example("t", "", "", tokens=tokens), make_tokenizer()
    first, last = (render(example, tokenizer, Template(score=score)) for score in ("trained", "last"))
    assert first.question_ids == (5, 6, 7, 8) and first.scored_mask == (True, False, False, True)
    assert first.answer_ids == (9,)
    assert last.question_ids == (5, 6, 7, 8) and last.completion_ids == (9,)


def test_marks_of_reasoning_stay_in_an_answers_text_and_other_special_tokens_go() -> None:
    tokenizer = make_tokenizer()
    marks = ["<think>", "</think>", "<|channel|>", "<|message|>"]
    tokenizer.add_special_tokens({"additional_special_tokens": marks})
    text = "<think>12 apples</think>5<|im_end|></s>"
    assert answer_text(tokenizer, tokenizer(text)["input_ids"]) == "<think>12 apples</think>5"
    assert answer_text(tokenizer, tokenizer("5<|im_end|>")["input_ids"]) == "5"
    final = "<|channel|>analysis<|message|>12<|im_end|><|channel|>final<|message|>5</s>"
    assert grade(answer_text(tokenizer, tokenizer(final)["input_ids"]), "5").correct


def test_rows_without_a_question_are_scored_and_not_asked() -> None:
    """TRL trains conversations whole: nothing says where the answer is, so none is graded."""
    tokenizer = make_tokenizer(template=CHATML)
    ids, labels = prepared_by_trl(tokenizer, {"messages": [user("2 + 3?"), said("5\n#### 5")]})
    tokens = trained_tokens({"input_ids": ids, "labels": labels}, "here")
    (example,) = decoded([Example("t", "", "", tokens=tokens, answer="5")], tokenizer)
    assert (example.prompt, example.answer) == ("", None)
    rendered = render(example, tokenizer, Template())
    assert list(rendered.completion_ids) == ids[1:]
    assert any(
        "every token was trained" in text for text in warnings_of(example, rendered, tokenizer, Template())
    )


def test_an_id_twice_is_refused_as_in_rows_of_text(tmp_path: Path) -> None:
    rows = [{"id": "a", "input_ids": IDS, "labels": [-100, -100, 7, 8]}] * 2
    with pytest.raises(DataError, match="an id twice"):
        load_examples(write(tmp_path, rows))
