"""Problems as comparable words: normalised, with numbers and names told from the rest.

Two spellings of one problem must give the same words: case, spaces, punctuation, typographic quotes, LaTeX
spacing and thousands separators are dropped. Signs of arithmetic stay, since `2 + 3` is not `2 - 3`. A number
word is its number.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import polars as pl

from overmem.records import Conversation, Example, Message

_TO_TWENTY = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven"),
    *("twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty"),
)
_TENS = ("thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
NUMBER_WORDS = {
    **{word: str(value) for value, word in enumerate(_TO_TWENTY)},
    **{word: f"{tens}0" for tens, word in enumerate(_TENS, 3)},
    "hundred": "100",
    "thousand": "1000",
}
"""What a number word is."""
UNCOUNTED = ("0", "1")
"""Numbers that do not count: `one` is a pronoun as often, and `zero` is said in other words."""
MASKED = ("number", "name")
"""Kinds of words that differ between problems of one template."""
SHARED_PROMPT = 0.2
"""From this share of a set on, a prompt that is the same in all of them asks nothing of its own."""

_SHIFT = 1 << 32
_SPACING = r"\\(?:(?:left|right|displaystyle|quad|qquad|text|mathrm)(?:\b|_)|[,!;: ])"
_SIGNS = r"[-+*/=<>^%\x{d7}\x{f7}\x{221a}\x{2264}\x{2265}\x{2260}]"
_WORD = rf"\d+(?:\.\d+)?|[\p{{Han}}\p{{Hiragana}}\p{{Katakana}}\p{{Thai}}]|\p{{L}}[\p{{L}}\p{{M}}]*|{_SIGNS}"


def read_words(texts: Sequence[str]) -> pl.DataFrame:
    """The words of some texts; what is a name is seen by comparing all of them.

    Args:
        texts: to be compared with one another, so read together.

    Returns:
        A row a word: `text` and `place` in it, `kind` (`number`, `name`, `word` or `sign`), `item`, a number
        from 1 on that stands for the normalised word, and `uncounted`, for numbers that do not count. A name
        is a capitalised word that no text writes in small letters.
    """
    table = (
        pl.DataFrame({"of": texts}, schema={"of": pl.String})
        .with_row_index("text")
        .select("text", _normalised(pl.col("of")).str.extract_all(_WORD).alias("spelled"))
        .with_columns(pl.int_ranges(pl.col("spelled").list.len(), dtype=pl.UInt32).alias("place"))
        .explode("spelled", "place")
        .drop_nulls()
        .with_columns(pl.col("spelled").cast(pl.Categorical))
    )
    known = table.select(pl.col("spelled").unique()).with_columns(
        pl.col("spelled").to_physical().alias("code"), pl.col("spelled").cast(pl.String)
    )
    small = pl.col("spelled").str.to_lowercase()
    in_small = known.filter(pl.col("spelled") == small)["spelled"]
    word = small.replace(NUMBER_WORDS).str.replace(r"^(\d+)\.0+$", "$1")
    known = known.with_columns(word.alias("word"), small.is_in(in_small.implode()).alias("in_small"))
    known = known.select(
        "code",
        pl.col("word").rank("dense").cast(pl.UInt64).alias("item"),
        _kind(pl.col("word"), pl.col("in_small")).alias("kind"),
        pl.col("word").is_in(UNCOUNTED).alias("uncounted"),
    )
    coded = table.with_columns(pl.col("spelled").to_physical().alias("code"))
    found = coded.join(known, on="code", how="left", maintain_order="left")
    return found.select("text", "place", "item", "kind", "uncounted")


def signatures(words: pl.DataFrame) -> pl.DataFrame:
    """Each text as numbers that are equal where the texts are; texts without a word are left out.

    Args:
        words: from `read_words`.

    Returns:
        `text`; `same`, of its words in order; `masked`, the same with numbers and names masked; `kept`, how
        many words were not masked; `numbers`, of its numbers in any order, and `count`, how many these are.
    """
    masked = pl.when(pl.col("kind").is_in(MASKED)).then(0).otherwise("item")
    counted = (pl.col("kind") == "number") & ~pl.col("uncounted")
    return words.group_by("text", maintain_order=True).agg(
        _hash(pl.col("item") * _SHIFT + pl.col("place")).sum().alias("same"),
        _hash(masked * _SHIFT + pl.col("place")).sum().alias("masked"),
        (~pl.col("kind").is_in(MASKED)).sum().alias("kept"),
        _hash(pl.col("item")).filter(counted).sum().alias("numbers"),
        counted.sum().alias("count"),
    )


def silent_prompts(sets: Iterable[Sequence[Example]]) -> frozenset[str]:
    """Prompts that ask nothing of their own, as in data to be continued: over a fifth of a set share them.

    Args:
        sets: those that are asked about. Training data are none of them: they may hold many answers to one
            problem.
    """
    silent = {""}
    for examples in sets:
        prompts = pl.Series("prompt", map(_asked, examples), dtype=pl.String)
        counts = prompts.value_counts(name="n")
        shared = counts.filter((pl.col("n") > 1) & (pl.col("n") > SHARED_PROMPT * len(prompts)))
        silent |= set(shared["prompt"].to_list())
    return frozenset(silent)


def problem_texts(examples: Sequence[Example], silent: frozenset[str] = frozenset({""})) -> list[str]:
    """What each problem asks: the user's turns, with the reference where they ask nothing of their own.

    Args:
        examples: one set.
        silent: prompts that ask nothing of their own.

    Returns:
        One text a problem.
    """
    prompts = map(_asked, examples)
    return [
        f"{prompt}\n{example.completion}" if prompt in silent else prompt
        for prompt, example in zip(prompts, examples, strict=True)
    ]


def with_each_turn(examples: Sequence[Example]) -> tuple[list[Example], list[int]]:
    """Conversations of several questions, and each of the questions alone with what followed it.

    Args:
        examples: training data, which may have a problem as one turn of many.

    Returns:
        The examples and then the turns, and the position of the example that each is of.
    """
    found, owners = list(examples), list(range(len(examples)))
    for position, example in enumerate(examples):
        if isinstance(example.prompt, str):
            continue
        asked = [i for i, turn in enumerate(example.prompt) if turn.get("role") == "user"]
        for i in asked if len(asked) > 1 else ():
            is_last = i == asked[-1]
            found.append(
                replace(
                    example,
                    prompt=(example.prompt[i],),
                    completion=example.completion if is_last else _reply(example.prompt, i),
                    answer=example.answer if is_last else None,
                    chat=Conversation(),
                )
            )
            owners.append(position)
    return found, owners


def _reply(turns: Sequence[Message], asked: int) -> str:
    after = turns[asked + 1] if asked + 1 < len(turns) else {}
    return _content(after.get("content"))


def _asked(example: Example) -> str:
    """The prompt as text: the user's turns of a conversation, or all but system messages without any."""
    if isinstance(example.prompt, str):
        return example.prompt.strip()
    turns = [turn for turn in example.prompt if turn.get("role") == "user"]
    turns = turns or [turn for turn in example.prompt if turn.get("role") != "system"]
    return "\n".join(_content(turn.get("content")) for turn in turns).strip()


def _content(content: object) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list | tuple) else []
    return "\n".join(str(part.get("text", "")) for part in parts if isinstance(part, dict))


def _hash(value: pl.Expr) -> pl.Expr:
    """48 bits, so that sums do not overflow."""
    return value.cast(pl.UInt64).hash() // (1 << 16)


def _kind(word: pl.Expr, has_small: pl.Expr) -> pl.Expr:
    return (
        pl.when(word.str.contains(r"^\d"))
        .then(pl.lit("number"))
        .when(word.str.contains(r"^[^\p{L}]"))
        .then(pl.lit("sign"))
        .when(~has_small)
        .then(pl.lit("name"))
        .otherwise(pl.lit("word"))
    )


def exact_forms(texts: Sequence[str]) -> pl.Series:
    """A hash of each text, equal for copies: but for case, white space, quotes and closing punctuation.

    Every other sign counts, since `5!` is not `5` and a union is not an intersection.
    """
    text = pl.col("of")
    exact = (
        _unseen(text.str.normalize("NFC"))
        .str.replace_all(r"[\"'`\x{b4}\x{ab}\x{bb}\x{2018}-\x{201e}]", "")
        .str.replace_all(r"\\[()\[\]]|\$", " ")
        .pipe(_unspaced)
        .str.replace_all(r"(\p{L}\p{L}|[?.\s])!+(\s|$)", "$1 ")
        .str.replace_all(r"[.,;:?]+(\s|$)", " ")
        .str.replace_all(rf"\s*({_SIGNS}|[()\[\]{{}}|&!])\s*", "$1")
        .str.replace_all(r"\s+", " ")
        .str.strip_chars()
        .str.to_lowercase()
    )
    table = pl.DataFrame({"of": texts}, schema={"of": pl.String})
    return table.select(exact.hash().alias("exact"))["exact"]


def _unseen(text: pl.Expr) -> pl.Expr:
    """Without characters that nobody sees (soft hyphens, zero-width spaces), and with one kind of dash."""
    return text.str.replace_all(r"\p{Cf}", "").str.replace_all(r"[\x{2010}-\x{2014}\x{2212}]", "-")


def _unspaced(text: pl.Expr) -> pl.Expr:
    """Without LaTeX spacing, and thousands without separators (twice, since two of them share a digit)."""
    spaced = text.str.replace_all(_SPACING, " ")
    for _ in range(2):
        spaced = spaced.str.replace_all(r"(\d),(\d\d\d)\b", "$1$2")
    return spaced


def _normalised(text: pl.Expr) -> pl.Expr:
    """Unicode in one form, thousands without separators, LaTeX without spacing, hyphens apart from minus."""
    return (
        _unseen(text.str.normalize("NFKC"))
        .str.replace_all(r"(?i)['`\x{2019}\x{2bc}]s\b", "")
        .pipe(_unspaced)
        .str.replace_all(r"-(\s*[\d\\(])", "\x00$1")
        .str.replace_all("-", " ")
        .str.replace_all("\x00", "-")
    )
