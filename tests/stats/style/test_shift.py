"""The test of whether a part of some references is in another style than training."""

from __future__ import annotations

import random
from functools import cache

import pytest

from overmem.stats.style.shift import detect_style_shift, written_otherwise
from overmem.synthetic import wordmath


@cache
def completions(name):
    if name == "train":
        return [e.completion for e in wordmath.draw_examples(name, wordmath.SPLITS[name], 400)]
    return [e.completion for e in wordmath.load_split(name, 400)]


def test_one_style_is_not_told_apart_and_another_is():
    train = completions("train")
    same = detect_style_shift(train, completions("val"))
    assert same.unlike.value == 0 and same.other_style is False and 0.1 < same.unlike.high < 0.2
    other = detect_style_shift(train, completions(wordmath.VAL_OTHER_STYLE))
    assert other.other_style is True and other.unlike.value > 0.9 and other.unlike.n == 400
    assert any("in 0% of train and" in telling for telling in other.telling)
    assert detect_style_shift(train, completions("val")) == same  # the same every time


def test_a_part_of_val_in_another_style_is_found():
    val, other = completions("val"), completions(wordmath.VAL_OTHER_STYLE)
    mixed = [other[i] if i % 2 == 0 else text for i, text in enumerate(val)]
    found = detect_style_shift(completions("train"), mixed)
    assert found.other_style is True
    assert 0.3 < found.unlike.low < found.unlike.value < found.unlike.high < 0.55


def test_other_topics_templates_and_lengths_of_one_writer_are_no_other_style():
    train = completions("train")
    drawn = wordmath.draw_examples("train", wordmath.SPLITS["train"], 800)
    kinds = sorted({example.meta["operations"][0] for example in drawn})
    one, two = (
        [e.completion for e in drawn if e.meta["operations"][0] in some] for some in (kinds[::2], kinds[1::2])
    )
    assert detect_style_shift(one, two).other_style is False
    assert detect_style_shift(train, completions("ood_steps")).other_style is False
    he = [f"Tom has {text.strip()} So he has it." for text in train]
    she = [f"Ann Lee has {text.strip()} So she has it." for text in completions("val")]
    assert detect_style_shift(he, she).other_style is False


def test_texts_of_one_style_are_not_told_apart_however_they_are_split():
    train = completions("train")
    draws = [random.Random(i).sample(train, 120) for i in range(12)]
    assert not any(detect_style_shift(d[:60], d[60:], seed=i).other_style for i, d in enumerate(draws))


def test_a_format_alone_is_a_style():
    train = completions("train")
    boxed = [text.replace("####", "**The answer:**") for text in completions("val")]
    assert detect_style_shift(train, boxed).other_style is True


@pytest.mark.parametrize(
    ("rewrite", "telling"),
    [
        (
            lambda text: "\n".join(f"I see that {line}" for line in text.strip().split("\n")),
            "`i`",
        ),
        (lambda text: text.replace(" = ", " equals "), "(operation)"),
        (lambda text: text.replace(" = ", "="), "`0=`"),
        (lambda text: text.replace(" = ", " = $x$ "), "formula"),
    ],
)
@pytest.mark.parametrize("every", [1, 2])
def test_a_rewritten_val_is_told_by_what_was_rewritten(rewrite, telling, every):
    val = [rewrite(text) if i % every == 0 else text for i, text in enumerate(completions("val"))]
    found = detect_style_shift(completions("train"), val)
    assert any(telling in one for one in found.telling)
    assert found.unlike.low <= 1 / every + 0.01 and found.unlike.value > 0.8 / every


def test_a_style_that_a_part_of_training_has_is_no_other():
    train, other = completions("train"), completions(wordmath.VAL_OTHER_STYLE)
    both = [pair[i % 2] for i, pair in enumerate(zip(train, other, strict=True))]
    assert detect_style_shift(both, completions("val")).other_style is False


def test_the_share_that_breaks_a_habit_in_training_is_taken_off():
    train = [f"So it is{':' if i % 19 == 0 else ','} {i}." for i in range(1000)]
    found = detect_style_shift(
        train, [text.replace(",", ":") if i % 4 else text for i, text in enumerate(train)]
    )
    assert len(found.telling) == 1  # the colon and the lack of a comma are the same references
    assert found.unlike.value == pytest.approx((764 - 53) / (1000 - 53))


def test_too_few_references_are_not_judged():
    few = detect_style_shift(completions("train")[:39], completions("val"))
    assert few.other_style is None and "39 references are too few" in few.unlike.reason


def test_bare_answers_are_told_from_solutions_however_few():
    solutions, bare = ("Tom has 3 + 4 = 7 apples.",) * 3, ("7", "12", "$1,200")
    assert "100% are bare answers" in written_otherwise(solutions, bare)
    assert "0% are bare answers, against 100%" in written_otherwise(bare, solutions)
    assert written_otherwise(solutions, solutions) is None
    assert written_otherwise(bare, bare) is None


def test_another_style_is_told_where_there_are_enough():
    train = tuple(completions("train"))
    assert written_otherwise(train, tuple(completions("val"))) is None
    assert "are in another style; `" in written_otherwise(train, tuple(completions(wordmath.VAL_OTHER_STYLE)))
