"""Split an answer at the top level of its brackets, and tell what only names a value: `x`, `f(x)`, `AB`."""

from __future__ import annotations

import re

OPENING, CLOSING = "([{", ")]}"
_INDEX = r"(?:_(?:\{[^{}]*(?:\{[^{}]*\})?[^{}]*\}|\w|\\[A-Za-z]+\s?))?"
NAME = (
    rf"(?:[a-zA-Z]{_INDEX}'*|\\(?!frac|sqrt|pi|infty|text|begin|log|ln|sin|cos|tan)[a-zA-Z]+{_INDEX}"
    rf"|\\text\{{[^{{}}]*\}}{_INDEX})"
)
"""A pattern for one variable, with its index."""
_NAMED = re.compile(
    rf"\s*(?:m?\\angle\s*[A-Z]+|\|?\s*\\?[A-Z]{{1,3}}\s*\|?|{NAME}\s*(?:\(\s*[^()=]*\s*\))?|\|\s*{NAME}\s*\|"
    rf"|\\(?:overline|overrightarrow|vec|hat|bar|tilde|mathbf|mathcal)\{{[^{{}}]*\}}"
    rf"|[A-Za-z][a-z]+(?: [A-Za-z]+){{0,3}}"
    rf"|\\frac\{{(?:[A-Z]{{2}}|d[a-z]?)\}}\{{(?:[A-Z]{{2}}|d[a-z])\}}"
    rf"|[A-Z]{_INDEX}\s*:\s*[A-Z]{_INDEX})\s*"
)
_FUNCTION = re.compile(r"\s*(?:log|ln|sin|cos|tan|cot|sec|csc|exp|sqrt)\s*")
_TUPLE_OF_NAMES = re.compile(rf"\s*\(\s*{NAME}(?:\s*,\s*{NAME})+\s*\)\s*")


def is_name(text: str) -> bool:
    """Whether a text only names values, as the left side of `x = 5`, `f(x) = x` or `(x, y) = (1, 2)`."""
    named = _NAMED.fullmatch(text) or _TUPLE_OF_NAMES.fullmatch(text)
    return named is not None and not _FUNCTION.fullmatch(text)


def base_name(text: str) -> str:
    """A name without its index and argument: solutions `x_1` and `x_2` are values of x."""
    return re.sub(r"_(?:\{[^{}]*\}|\w|\\[A-Za-z]+)|(?<=\w)\(.*\)|[\s|{}]", "", text)


def has_letters(text: str) -> bool:
    """Whether a text has variables: letters outside commands and words."""
    return re.search(r"(?<![\\A-Za-z])[a-zA-Z]", re.sub(r"\\text\{[^{}]*\}", "", text)) is not None


def split(text: str, separator: str) -> list[str]:
    """The parts of a text between separators that stand outside all brackets."""
    parts, depth, start, position = [], 0, 0, 0
    while position < len(text):
        character = text[position]
        depth += (character in OPENING) - (character in CLOSING)
        if depth <= 0 and text.startswith(separator, position) and not _glued(text, position, separator):
            parts.append(text[start:position].strip())
            position += len(separator)
            start = position
            continue
        position += 1
    return [*parts, text[start:].strip()]


def _glued(text: str, position: int, separator: str) -> bool:
    """Whether what looks like a separator is part of a longer word or command."""
    after = text[position + len(separator) : position + len(separator) + 1]
    return separator[-1].isalpha() and after.isalpha()


def is_whole(text: str, left: int, right: int) -> bool:
    """Whether the bracket that a text begins with is closed by the one that it ends with.

    Args:
        text: begins with `left` characters of an opening bracket and ends with `right` of a closing one.
        left: see there.
        right: see there.
    """
    depth = 0
    for position in range(left, len(text) - right):
        depth += (text[position] in OPENING) - (text[position] in CLOSING)
        if depth < 0:
            return False
    return depth == 0
