"""Texts without their content: function words, punctuation and layout stay.

What a text is about (which things, which number, which operation, which unit or currency, which formula)
depends on the problem; how it is told is the writer's. So runs of all other words become one mark, any
number is one mark with its unit, a formula stands for what is in it, whether in the line or set apart, and
pictures in Asymptote are left out. Whether there are decimals is the problem's, a decimal comma the writer's.
The words that stay are English; of other languages punctuation and layout are compared alone.
"""

from __future__ import annotations

import re
from functools import lru_cache, partial

FUNCTION_WORDS = frozenset(
    re.findall(
        r"[a-z]+",
        """a an the of to in on at by for from with without into onto over under up down out off as than
        then so thus hence therefore because since if when while after before until and or but nor not
        no that this these those there here which who whom whose what where how why is are was were be
        been being am do does did done has have had having will would can could may might must shall
        should let all both each every either neither some any many much more most few less least other
        another same such only also just now first second third next last finally again still already
        too very means get gets got gives""",
    )
)
TELLING_WORDS = frozenset(
    re.findall(
        r"[a-z]+",
        """i me my we us our you your lets step steps answer answers final solution solve solving think see
        know need find calculate compute given note notice conclude check result firstly lastly question
        problem""",
    )
)
"""Words with which a solution is told, whatever it is about."""
_PEOPLE = frozenset(
    re.findall(r"[a-z]+", "he she they it him her them his hers their its himself herself themselves")
)
_OPERATIONS = frozenset(re.findall(r"[a-z]+", "plus minus times divided multiplied equals equal equaling"))
WORDS, PERSON, OPERATION, CONTRACTION = "\u2026", "he", "(operation)", "n't"
"""Marks of any run of other words, any person or thing, an operation named by a word, and a short form."""
FORMULA, BOXED, CODE = "\u27e6formula\u27e7", "\u27e6boxed\u27e7", "\u27e6code\u27e7"
HEAD, TAIL = 1500, 500
"""Characters from the start and from the end of a long text that are looked at."""
_PICTURE = re.compile(r"\[asy\].*?(?:\[/asy\]|$)", re.S)
_CODE = re.compile(r"```.*?(?:```|$)", re.S)
_FORMULAS = (
    ("\u27e6$$\u27e7", re.compile(r"\s*\$\$.+?\$\$\s*", re.S)),
    (FORMULA, re.compile(r"\s*\\\[.+?\\\]\s*", re.S)),
    ("\u27e6\\(\u27e7", re.compile(r"\\\(.+?\\\)", re.S)),
    (FORMULA, re.compile(r"\s*\\begin\{([a-z]+\*?)\}.*?\\end\{\1\}\s*", re.S)),
    # As Pandoc reads dollars: no space inside, and no digit after, which would be a sum of money.
    (FORMULA, re.compile(r"(?<![\\\w])\$(?!\s)(?:[^$\\\n]|\\.|\n(?!\n)){1,400}?(?<!\s)\$(?!\d)")),
)
_CURRENCY = re.compile(r"(?<!\w)[$\u20ac\u00a3](?=[\d(.\s]*\d)")
_PIECE = re.compile(
    r"([ \t]*)(\u27e6.*?\u27e7|\\[a-zA-Z]+|\\[^a-zA-Z]|[^\W\d_]+(?:['\u2019][a-z]+)?|\d*(?:[.,]?\d+)+"
    r"|[^\w\s]|_)"
)
_ENGLISH_NUMBER = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d*\.?\d+")


def masked_lines(text: str) -> list[list[str]]:
    """The pieces of each line of a text, its content masked.

    Args:
        text: a completion.

    Returns:
        One list a line, empty where the line is. A piece begins with a space where the text has one before
        it, and with two where it has more.
    """
    return [_masked_line(_CURRENCY.sub("", line)) for line in masked_blocks(text).split("\n")]


def masked_blocks(text: str) -> str:
    """The start and the end of a text, with marks in place of formulas and code, and without pictures."""
    text = text.strip()
    if len(text) > HEAD + TAIL:
        text = f"{text[:HEAD]}\n{text[-TAIL:]}"
    text = _PICTURE.sub("", text)
    text = _CODE.sub(f" {CODE} ", text)
    for mark, formula in _FORMULAS:
        text = formula.sub(partial(_formula_mark, mark), text)
    return text.strip()


def content_words(text: str) -> set[str]:
    """Words of three letters and more that are masked: what a text is about."""
    return {found.lower() for found in re.findall(r"[^\W\d_]{3,}", text)} - (
        FUNCTION_WORDS | TELLING_WORDS | _PEOPLE | _OPERATIONS
    )


def _formula_mark(mark: str, found: re.Match[str]) -> str:
    """The mark of a formula, in its line whether it was set apart or not."""
    spaced = f" {mark}" if found[0][0].isspace() else mark
    after = " " if found[0][-1].isspace() else ""
    return spaced + (BOXED if "\\boxed" in found[0] else "") + after


def _masked_line(line: str) -> list[str]:
    pieces: list[str] = []
    for spaces, found in _PIECE.findall(line):
        piece = _masked(found)
        last = pieces[-1] if pieces else " "
        if piece and not (piece == WORDS and last[-1] in f"{WORDS}0"):
            pieces.append(" " * min(len(spaces), 2) + piece)
    return pieces


@lru_cache(maxsize=4096)
def _masked(piece: str) -> str:
    """What is left of a piece; nothing of a percent sign, which is a unit."""
    if piece[-1].isdigit():
        return "0" if _ENGLISH_NUMBER.fullmatch(piece) else re.sub(r"\d+", "0", piece)
    if piece[0].isalpha():
        return _masked_word(piece.lower().replace("\u2019", "'"))
    if piece[0] == "\\" and piece[1:].isalpha():
        return "\\command" if piece != "\\boxed" else BOXED
    return "+" if piece in "+-*/" else "" if piece == "%" else piece


def _masked_word(word: str) -> str:
    if word in _PEOPLE:
        return PERSON
    if word in _OPERATIONS:
        return OPERATION
    if word in FUNCTION_WORDS or word in TELLING_WORDS:
        return word
    return CONTRACTION if word.partition("'")[2] in {"t", "re", "ll", "ve", "m", "d"} else WORDS
