"""Which problems of one set are problems of another: copied, reworded, or renumbered.

- `copy`: the same text, but for case, white space and punctuation (`overmem.contamination.words`).
- `reworded`: the same problem in other words or another language, within a longer text, or with the same
  worked solution.
- `renumbered`: one template with other numbers, names or signs, or one story with another question.

The first two are leaks. The third is often the task itself: problems drawn from templates share them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import polars as pl

from overmem.contamination.pairs import SetWords, similar_pairs, word_bits
from overmem.contamination.record import KINDS, Kind
from overmem.contamination.words import exact_forms, problem_texts, read_words, signatures
from overmem.records import Example

CHANCE_BITS = 5.0
"""What two problems share is rarer by so many bits than what chance shows once among all right problems."""
MORE_BITS = 10.0
"""So many more where names differ, for fewer than two numbers, without answers, and of solutions alone."""
ALIKE = 0.5
"""Least share of weighted words in common of a rewording whose numbers are the same."""
ALIKE_WITHOUT_NUMBERS = 0.75
"""The same where the problems have fewer than two numbers."""
INSIDE = 0.9
"""Least share of a problem's neighbouring words, and of its placed numbers, that a longer text has of it."""
LEFT_OVER = 10.0
"""Most bits of words of a problem that a longer text with all of it may lack."""
PLACED = 0.5
"""Least share of numbers beside the same words: a rewording, not the same numbers in other places."""
IN_ORDER = 0.8
"""Least share of neighbouring words in common, numbers and names masked, of one template."""
FEWEST_KEPT = 3
"""A template has at least so many words that are neither numbers nor names."""


def read_sets(sets: Sequence[Sequence[Example]], silent: frozenset[str] = frozenset({""})) -> list[SetWords]:
    """The words of some sets of problems, read together so that they compare.

    Args:
        sets: examples of each.
        silent: prompts that ask nothing of their own; see `overmem.contamination.words.silent_prompts`.
    """
    asked = [problem_texts(examples, silent) for examples in sets]
    texts = [text for of_set in asked for text in of_set]
    for examples in sets:
        texts += [example.completion for example in examples]
    words = read_words(texts)
    known = signatures(words)
    parts, start = [], 0
    for examples in (*sets, *sets):
        inside = pl.col("text").is_between(start, start + len(examples) - 1)
        parts.append([t.filter(inside).with_columns(pl.col("text") - start) for t in (words, known)])
        start += len(examples)
    return [
        SetWords(
            n=len(of_set),
            texts=of_set,
            exact=exact_forms(of_set),
            asked=words,
            references=references,
            asked_signatures=asked_signatures,
            reference_signatures=reference_signatures,
        )
        for of_set, (words, asked_signatures), (references, reference_signatures) in zip(
            asked, parts[: len(sets)], parts[len(sets) :], strict=True
        )
    ]


def find_overlap(
    left: SetWords, right: SetWords, left_answers: Sequence[str | None], right_answers: Sequence[str | None]
) -> pl.DataFrame:
    """Problems of one set that another has, too.

    Args:
        left: the set that is asked about.
        right: the set it is compared with, read together with it.
        left_answers: final answers, None where there is none.
        right_answers: of the other set.

    Returns:
        At most one row a left problem, the worst kind first: `left`, `right` (positions) and `kind`.
    """
    exact = _exact(left, right)
    right = _once(right)
    need = math.log2(max(2, right.n)) + CHANCE_BITS
    whole = left.asked_signatures, right.asked_signatures
    templates = whole[0].filter(pl.col("kept") >= FEWEST_KEPT), whole[1]
    pairs = _with_answers(similar_pairs(left, right), left_answers, right_answers)
    found = pl.concat(
        [
            exact,
            _same_words(
                _with_answers(_equal(whole, "same", "copy"), left_answers, right_answers), left_answers
            ),
            _reworded(pairs, need, left_answers),
            _contained(pairs, need + MORE_BITS),
            _same_solution(left, right, need + MORE_BITS),
            _equal(templates, "masked", "renumbered"),
            _labelled(pairs.filter(pl.col("in_order") >= IN_ORDER), "renumbered"),
        ]
    )
    ranked = found.with_columns(
        pl.col("kind").replace_strict({k: i for i, k in enumerate(KINDS)}).alias("rank")
    )
    return ranked.sort("left", "rank", "right").unique("left", keep="first", maintain_order=True).drop("rank")


def _once(words: SetWords) -> SetWords:
    """The first of each problem with the same words and reference: what training repeats is no less rare."""
    known = words.asked_signatures.join(
        words.reference_signatures, on="text", how="left", suffix="_reference"
    )
    kept = known.sort("text").unique(["same", "same_reference"], keep="first").select("text")
    asked, references, asked_signatures, reference_signatures = (
        table.join(kept, on="text", how="semi", maintain_order="left")
        for table in (words.asked, words.references, words.asked_signatures, words.reference_signatures)
    )
    return SetWords(
        n=kept.height,
        texts=words.texts,
        exact=words.exact,
        asked=asked,
        references=references,
        asked_signatures=asked_signatures,
        reference_signatures=reference_signatures,
    )


def _labelled(pairs: pl.DataFrame, kind: Kind) -> pl.DataFrame:
    return pairs.select(pl.col("left", "right").cast(pl.UInt32), pl.lit(kind, pl.String).alias("kind"))


def _equal(joined: Sequence[pl.DataFrame], column: str, kind: Kind) -> pl.DataFrame:
    left, right = joined
    first = right.group_by(column).agg(pl.col("text").min().alias("right"))
    return _labelled(left.select(column, left="text").join(first, on=column), kind)


def _exact(left: SetWords, right: SetWords) -> pl.DataFrame:
    """The first right text that each left one is a copy of; texts of nothing but punctuation are none."""
    there = [
        pl.DataFrame({"exact": words.exact})
        .with_row_index("text")
        .join(words.asked_signatures, on="text", how="semi", maintain_order="left")
        for words in (left, right)
    ]
    return _equal(there, "exact", "copy")


def _same_words(pairs: pl.DataFrame, answers: Sequence[str | None]) -> pl.DataFrame:
    """The same words with other signs or brackets: one problem where an answer that tells is the same."""
    one = _telling(pairs, answers) & pl.col("same_answer").fill_null(False)
    return pl.concat([_labelled(pairs.filter(one), "reworded"), _labelled(pairs.filter(~one), "renumbered")])


def _telling(pairs: pl.DataFrame, answers: Sequence[str | None]) -> pl.Series:
    """Whether the left answer is more than one word of many, such as `yes` or a letter."""
    found = [re.search(r"\d|\S\s+\S", answers[i] or "") is not None for i in pairs["left"]]
    return pl.Series(found, dtype=pl.Boolean)


def _contained(pairs: pl.DataFrame, need: float) -> pl.DataFrame:
    """All of a problem within a longer text: its figures, and its words in their order."""
    inside = (
        (pl.col("left_rest") <= LEFT_OVER)
        & (pl.col("inside_order") >= INSIDE)
        & (pl.col("inside_placed") >= INSIDE)
        & (pl.col("figures_missing") == 0)
        & pl.col("same_answer").fill_null(True)
    )
    return _labelled(pairs.filter(inside & (pl.col("bits") >= need)), "reworded")


def _reworded(pairs: pl.DataFrame, need: float, answers: Sequence[str | None]) -> pl.DataFrame:
    """The same numbers and much the same rare words; or all the same figures, whatever the words.

    Where the answer does not tell problems apart, another question on one passage looks the same, and the
    right one must have little of its own.
    """
    few = pl.col("numbers") < 2
    words = (
        pl.when(few)
        .then(pl.col("alike") >= ALIKE_WITHOUT_NUMBERS)
        .otherwise((pl.col("alike") >= ALIKE) & (pl.col("placed") >= PLACED))
    )
    weak = (pl.col("names_lost") > 0) | few | pl.col("same_answer").is_null()
    need_here = need + pl.when(weak).then(MORE_BITS).otherwise(0.0)
    by_words = words & (pl.col("bits") >= need_here)
    by_words &= _telling(pairs, answers) & pl.col("same_answer").is_not_null() | (
        pl.col("right_rest") < need_here
    )
    by_figures = pl.col("same_figures") & (pl.col("figure_bits") >= need_here)
    same = pl.col("same_numbers") & pl.col("same_answer").fill_null(True)
    return _labelled(pairs.filter(same & (by_words | by_figures)), "reworded")


def _same_solution(left: SetWords, right: SetWords, need: float) -> pl.DataFrame:
    """The same reference, word for word, where it is too rare for chance."""
    pairs = _equal((left.reference_signatures, right.reference_signatures), "same", "reworded")
    rarity = word_bits((left.references, right.references), left.n + right.n)
    words = left.references.select("text", "item").unique().join(rarity, on="item")
    telling = words.group_by("text").agg(pl.col("bits").sum()).filter(pl.col("bits") >= need)
    return pairs.join(telling, left_on="left", right_on="text", how="semi")


def _with_answers(
    pairs: pl.DataFrame, left: Sequence[str | None], right: Sequence[str | None]
) -> pl.DataFrame:
    """Whether both of each pair have the same answer; null where one has none."""
    same = [_same_answer(left[i], right[j]) for i, j in pairs.select("left", "right").iter_rows()]
    return pairs.with_columns(pl.Series("same_answer", same, dtype=pl.Boolean))


def _same_answer(one: str | None, other: str | None) -> bool | None:
    if one is None or other is None:
        return None
    one, other = ("".join(answer.split()).replace(",", "").casefold() for answer in (one, other))
    try:
        return float(one) == float(other)
    except ValueError:
        return one == other
