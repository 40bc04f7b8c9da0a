"""A text without its content: function words, punctuation, layout and the form of numbers remain.

What is told (names, things, pronouns, which number, which operation, which currency) depends on the problem;
how it is told is the writer's. So runs of all other words become one mark, and only what is left is compared.
The function words are English; of other languages punctuation, layout and numbers are compared alone.
"""

from __future__ import annotations

import re

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
WORDS = "\u2026"
"""Stands for any run of other words."""
START, END = "<start>", "<end>"
MOST_PIECES = 400
"""Pieces of a text that are looked at, so that long solutions cost no more."""
_CURRENCY = re.compile(r"(?<!\w)[$\u20ac\u00a3](?=[\d(.\s]*\d)")
_PIECE = re.compile(r"\n|[ \t]?(?:\\[a-zA-Z]+|[^\W\d_]+(?:'[a-z]+)?|\d+(?:[.,]\d+)*|[^\w\s]|_)")


def masked_pieces(text: str) -> list[str]:
    """The pieces of a text, its content masked.

    Args:
        text: a completion.

    Returns:
        Start mark, pieces in order (with the space before punctuation and numbers, which is a habit too), and
        end mark.
    """
    pieces = [START]
    for found in _PIECE.finditer(_CURRENCY.sub("", text.strip())):
        piece = _masked(found.group())
        if piece != WORDS or pieces[-1] != WORDS:
            pieces.append(piece)
        if len(pieces) > MOST_PIECES:
            break
    return [*pieces, END]


def content_words(text: str) -> set[str]:
    """Words of three letters and more that are masked: what a text is about."""
    return {word.lower() for word in re.findall(r"[^\W\d_]{3,}", text)} - FUNCTION_WORDS


def _masked(piece: str) -> str:
    space, core = (" ", piece[1:]) if piece[0] in " \t" else ("", piece)
    if core[0].isdigit():
        return space + ("0,0" if "," in core else "0.0" if "." in core else "0")
    if core[0] == "\\":
        return space + "\\command"
    if core[0].isalpha():
        return core.lower() if core.lower() in FUNCTION_WORDS else WORDS
    return space + ("+" if core in "+-*/\u00d7\u00f7" else core)
