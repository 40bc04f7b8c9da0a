"""Pairs of problems that may be one: found by rare words and equal numbers, and how alike they are.

All of it is joins of tables of words, so that 100,000 rows take seconds. A word weighs as many bits as its
rarity says: -log2 of the share of problems that have it. Two problems drawn apart share so many bits about
once in 2**bits pairs, if words came independently; they do not, so other figures are asked for beside.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import polars as pl

from overmem.contamination.words import MASKED

RARE = 64
"""A word, a pair of words or a set of numbers leads to other problems where at most so many have it."""
LEADS = 24
"""So many of the rarest words and pairs of words of a problem are followed."""
NEAREST = 8
"""So many of the problems found that way are compared."""
Sides = tuple[pl.DataFrame, pl.DataFrame]
"""The same table of the left problems and of the right ones."""


@dataclass(frozen=True)
class SetWords:
    """The words of one set of problems; see `overmem.contamination.words`."""

    n: int
    """Problems."""
    texts: Sequence[str]
    """What is compared of each."""
    exact: pl.Series
    """Of each, equal where one is a copy of another; see `overmem.contamination.words.exact_forms`."""
    asked: pl.DataFrame
    """Words of what is asked; `text` is the position in the set."""
    references: pl.DataFrame
    asked_signatures: pl.DataFrame
    reference_signatures: pl.DataFrame


def similar_pairs(left: SetWords, right: SetWords) -> pl.DataFrame:
    """Compare each left problem with the few right ones that share its rarest words, or all its numbers.

    Args:
        left: the problems that are asked about.
        right: those they are compared with.

    Returns:
        One row a pair, by their `text`, as `left` and `right`. `alike`: share of the weight of their words
        that both have (Dice, 0 to 1); `in_order`: the same of neighbouring words with numbers and names
        masked; `placed`: the same, unweighted, of each number with the word before or after it; `bits`: of
        the words that both have; `same_numbers`: whether all numbers of both problems are the same;
        `same_figures`: whether those of their references are, too; `figure_bits`: of the numbers and names
        that both have in problem or reference; `numbers`: how many the left problem has; `names_lost`: names
        of the right problem that the left one has not; `figures_missing`: numbers and names of the left one
        that the right one has not; `left_rest` and `right_rest`: bits of words that the other has not;
        `inside_order` and `inside_placed`: share of the left one's that the right one has.
    """
    n = left.n + right.n
    asked = left.asked, right.asked
    figures = _unique_figures(left), _unique_figures(right)
    numbers = left.asked_signatures, right.asked_signatures
    all_numbers = _all_numbers(left), _all_numbers(right)
    neighbours = _map(asked, _neighbours)
    rarities = word_bits(asked, n), word_bits(neighbours, n)
    pairs = _candidates(zip((asked, neighbours), rarities, strict=True), (numbers, all_numbers))
    # From here on only what was paired counts, which is little of a large training set.
    figure_bits = word_bits(figures, n)
    asked, figures, neighbours = (_paired(pairs, sides) for sides in (asked, figures, neighbours))
    ones = _map(asked, lambda table: _placed(table).with_columns(bits=1.0))
    found = pairs
    for table in (
        _shared(pairs, _weighed(asked, rarities[0])).rename({"of_both": "alike"}).drop("inside"),
        _shared(pairs, _weighed(neighbours, rarities[1])).select(
            "left", "right", in_order="of_both", inside_order="inside"
        ),
        _shared(pairs, ones).select("left", "right", placed="of_both", inside_placed="inside"),
        _shared(pairs, _weighed(figures, figure_bits)).select("left", "right", figure_bits="bits"),
    ):
        found = found.join(table, on=["left", "right"])
    for name, sides in (("same_numbers", numbers), ("same_figures", all_numbers)):
        found = _with_equal(found, sides, name)
    found = found.join(_lacking(pairs, asked, ("name",), "names_lost"), on=["left", "right"], how="left")
    turned = pairs.select(left="right", right="left")
    missing = _lacking(turned, (asked[1], asked[0]), MASKED, "figures_missing")
    found = found.join(missing, left_on=["left", "right"], right_on=["right", "left"], how="left")
    count = numbers[0].select(pl.col("count").alias("numbers"), left="text")
    return found.join(count, on="left", how="left").with_columns(
        pl.col("numbers", "names_lost", "figures_missing").fill_null(0)
    )


def _unique_figures(words: SetWords) -> pl.DataFrame:
    """Numbers and names of each problem and its reference."""
    parts = [
        table.filter(pl.col("kind").is_in(MASKED)).select("text", "item")
        for table in (words.asked, words.references)
    ]
    return pl.concat(parts).unique()


def _all_numbers(words: SetWords) -> pl.DataFrame:
    """Signature and count of the numbers of each problem and its reference together."""
    parts = [
        table.select("text", "numbers", "count")
        for table in (words.asked_signatures, words.reference_signatures)
    ]
    return pl.concat(parts).group_by("text").agg(pl.col("numbers", "count").sum())


def word_bits(sides: Sides, n: int) -> pl.DataFrame:
    """How rare each item is: `bits`, and `others`, how often the right side has it.

    Args:
        sides: tables with `item`, a row an occurrence.
        n: problems on both sides.
    """
    counts = [side.group_by("item").agg(pl.len().alias("n")) for side in sides]
    both = counts[0].join(counts[1], on="item", how="full", coalesce=True, suffix="_right")
    both = both.with_columns(pl.col("n", "n_right").fill_null(0))
    bits = math.log2(n) - (pl.col("n") + pl.col("n_right")).log(2)
    return both.select("item", bits.clip(lower_bound=0.0).alias("bits"), others="n_right")


def _map(sides: Sequence[pl.DataFrame], make: Callable[[pl.DataFrame], pl.DataFrame]) -> Sides:
    left, right = sides
    return make(left), make(right)


def _neighbours(table: pl.DataFrame) -> pl.DataFrame:
    """Pairs of words that follow one another, numbers and names being one word."""
    masked = pl.when(pl.col("kind").is_in(MASKED)).then(0).otherwise("item")
    return _following(table.with_columns(masked.cast(pl.UInt64).alias("item")))


def _placed(table: pl.DataFrame) -> pl.DataFrame:
    """Numbers with the word before or after them."""
    return _following(table, (pl.col("kind") == "number") | (pl.col("kind").shift(-1) == "number"))


def _following(table: pl.DataFrame, kept: pl.Expr | None = None) -> pl.DataFrame:
    """Words with the next one of the same text, as one item."""
    same = pl.col("text") == pl.col("text").shift(-1)
    pair = (pl.col("item") * (1 << 32) + pl.col("item").shift(-1)).alias("item")
    return (
        table.select("text", pair, (same if kept is None else same & kept).alias("kept"))
        .filter("kept")
        .select("text", "item")
    )


def _candidates(worded: Iterable[tuple[Sides, pl.DataFrame]], numbered: Sequence[Sides]) -> pl.DataFrame:
    """The nearest right problems of each left one, by what led to them."""
    found = []
    for (left, right), rarity in worded:
        rare = rarity.filter(pl.col("others").is_between(1, RARE))
        leads = left.select("text", "item").unique().join(rare, on="item")
        leads = leads.sort("text", "bits", "item", descending=[False, True, False])
        leads = leads.group_by("text", maintain_order=True).head(LEADS)
        there = right.join(leads.select("item").unique(), on="item", how="semi").select("item", right="text")
        found.append(leads.join(there.unique(), on="item").select("right", "bits", left="text"))
    for left, right in numbered:
        # Before the join: numbers that all problems share would pair every left one with every right one.
        few = right.filter(pl.len().over("numbers") <= RARE).select("numbers", right="text")
        led = left.filter(pl.col("count") > 1).join(few, on="numbers")
        found.append(led.select("right", pl.col("count").cast(pl.Float64).alias("bits") * 5, left="text"))
    ranked = pl.concat(found).group_by("left", "right").agg(pl.col("bits").sum())
    ranked = ranked.sort("left", "bits", "right", descending=[False, True, False])
    return ranked.group_by("left", maintain_order=True).head(NEAREST).select("left", "right")


def _paired(pairs: pl.DataFrame, sides: Sides) -> Sides:
    """The rows of problems that are in a pair."""
    left, right = (
        side.join(
            pairs.select(pl.col(name).unique().alias("text")), on="text", how="semi", maintain_order="left"
        )
        for name, side in zip(("left", "right"), sides, strict=True)
    )
    return left, right


def _weighed(sides: Sides, rarity: pl.DataFrame) -> Sides:
    return _map(sides, lambda side: side.select("text", "item").unique().join(rarity, on="item"))


def _shared(pairs: pl.DataFrame, sides: Sides) -> pl.DataFrame:
    """Weight that both of each pair have: `bits`; `of_both` (Dice); `inside`, as a share of the left one's.

    `left_rest` and `right_rest` are what the other has not.
    """
    left, right = (side.unique(["text", "item"]) for side in sides)
    mine = pairs.join(left.select("item", "bits", left="text"), on="left")
    common = mine.join(right.select("item", right="text"), on=["right", "item"])
    found = pairs.join(
        common.group_by("left", "right").agg(pl.col("bits").sum()), on=["left", "right"], how="left"
    )
    for name, side in (("left", left), ("right", right)):
        total = side.group_by("text").agg(pl.col("bits").sum().alias(f"of_{name}"))
        found = found.join(total.rename({"text": name}), on=name, how="left")
    found = found.with_columns(pl.col("bits", "of_left", "of_right").fill_null(0.0))
    whole = pl.col("of_left") + pl.col("of_right")
    return found.select(
        "left",
        "right",
        "bits",
        pl.when(whole > 0).then(2 * pl.col("bits") / whole).otherwise(1.0).alias("of_both"),
        pl.when(pl.col("of_left") > 0)
        .then(pl.col("bits") / pl.col("of_left"))
        .otherwise(1.0)
        .alias("inside"),
        (pl.col("of_left") - pl.col("bits")).alias("left_rest"),
        (pl.col("of_right") - pl.col("bits")).alias("right_rest"),
    )


def _lacking(pairs: pl.DataFrame, asked: Sides, kinds: Sequence[str], name: str) -> pl.DataFrame:
    """How many words of some kinds the right problem has and the left one has not."""
    mine, theirs = (
        side.filter(pl.col("kind").is_in(kinds)).select("text", "item").unique() for side in asked
    )
    named = pairs.join(theirs, left_on="right", right_on="text")
    lost = named.join(mine, left_on=["left", "item"], right_on=["text", "item"], how="anti")
    return lost.group_by("left", "right").agg(pl.len().alias(name))


def _with_equal(pairs: pl.DataFrame, numbers: Sides, name: str) -> pl.DataFrame:
    """Whether both of each pair have the same numbers, or none."""
    for side, table in zip(("left", "right"), numbers, strict=True):
        known = table.select(pl.col("text").alias(side), pl.col("numbers").alias(f"{side}_numbers"))
        pairs = pairs.join(known, on=side, how="left")
    equal = pl.col("left_numbers").fill_null(0) == pl.col("right_numbers").fill_null(0)
    return pairs.with_columns(equal.alias(name)).drop("left_numbers", "right_numbers")
