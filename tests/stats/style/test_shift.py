"""The test of whether a part of some references is in another style than training."""

from __future__ import annotations

import random
from functools import cache

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
    assert same.unlike.value < 0.05 and same.other_style is False
    other = detect_style_shift(train, completions(wordmath.VAL_OTHER_STYLE))
    assert other.other_style is True and other.unlike.value > 0.9 and other.unlike.n == 400
    assert any("in 0% of train and" in telling for telling in other.telling)
    assert detect_style_shift(train, completions("val")) == same  # the same every time


def test_a_part_of_val_in_another_style_is_found():
    val, other = completions("val"), completions(wordmath.VAL_OTHER_STYLE)
    for every in (2, 4):
        mixed = [other[i] if i % every == 0 else text for i, text in enumerate(val)]
        found = detect_style_shift(completions("train"), mixed)
        assert found.other_style is True
        assert abs(found.unlike.value - 1 / every) < 0.06


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
