"""Features of a writer: which short runs of masked pieces a text has, and how its lines are set.

A feature is a tuple of pieces: one, two or three in a row, with the start or end of a line where that is
part of it, two with the space between them, or a fact of layout in parentheses.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from overmem.stats.style.masked import WORDS, masked_blocks, masked_lines

Feature = tuple[str, ...]
LINE, LAST, END, SPACE, JOINED = "<line>", "<last line>", "</line>", "<space>", "<joined>"
ONE_LINE, SEVERAL_LINES = ("(one line)",), ("(several lines)",)
EMPTY_LINE, INDENTED, TWO_SPACES = ("(an empty line)",), ("(an indented line)",), ("(two spaces)",)
LOWER_CASE = ("(a line that starts in lower case)",)
LAYOUT = frozenset((ONE_LINE, SEVERAL_LINES, EMPTY_LINE, INDENTED, TWO_SPACES, LOWER_CASE))
_LOWER_CASE = re.compile(r"^[^\w\n\u27e6\\]*([^\W\d_]+)", re.M)


def features_of(text: str) -> tuple[frozenset[Feature], int]:
    """The features that a text has, and its length in pieces, at least 1.

    Args:
        text: a completion.
    """
    lines = masked_lines(text)
    found: set[Feature] = {ONE_LINE if len(lines) == 1 else SEVERAL_LINES}
    if any(word[0].islower() for word in _LOWER_CASE.findall(masked_blocks(text))):
        found.add(LOWER_CASE)
    for line in lines:
        if line:
            _add_line(found, line)
        else:
            found.add(EMPTY_LINE)
    if lines[-1]:
        found.add((LAST, lines[-1][0].lstrip(" ")))
    return frozenset(found), max(1, sum(map(len, lines)))


def in_words(feature: Feature) -> str:
    """A feature for a person: `0` is any number, `…` other words, `he` any person or thing."""
    if feature in LAYOUT:
        return feature[0].strip("()")
    pieces = [piece for piece in feature if piece not in (LINE, LAST, END, SPACE, JOINED)]
    between = "" if JOINED in feature else " "
    places = {LINE: " that starts a line", LAST: " that starts the last line", END: " that ends a line"}
    place = "".join(words for mark, words in places.items() if mark in feature)
    spaced = ", with a space," if SPACE in feature else ""
    return f"`{between.join(pieces)}`{spaced}{place}"


def _add_line(found: set[Feature], line: Sequence[str]) -> None:
    pieces = [piece.lstrip(" ") for piece in line]
    found.update((piece,) for piece in pieces if piece != WORDS)
    found.update(pairwise(pieces))
    found.update(zip(pieces, pieces[1:], pieces[2:], strict=False))
    found.update(((LINE, *pieces[:1]), (LINE, *pieces[:2]), (*pieces[-1:], END), (*pieces[-2:], END)))
    for (before, piece), spaced in zip(pairwise(pieces), line[1:], strict=True):
        if not (_is_word(before) and _is_word(piece)):
            found.add((before, SPACE if spaced[0] == " " else JOINED, piece))
    if line[0][0] == " ":
        found.add(INDENTED)
    if any(piece.startswith("  ") for piece in line[1:]):
        found.add(TWO_SPACES)


def _is_word(piece: str) -> bool:
    return piece[0].isalpha() or piece == WORDS
