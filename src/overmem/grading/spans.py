r"""Mathematics and emphasis in a text: `$...$`, `\(...\)`, `\[...\]`, bare LaTeX, bold.

What may be an answer among them, where prose between dollar signs and bare names may not. Pure text.
"""

from __future__ import annotations

import re
from itertools import pairwise

from overmem.grading.answers import last_number

MAX_SPAN_CHARS = 300
"""Of one piece of mathematics in a text."""

MATH = re.compile(
    r"\$\$(.+?)\$\$|\\\[(.+?)\\\]|\\\((.+?)\\\)|(?<![\\$0-9])\$([^$\n]+?)(?<!\\)\$(?!\d)", re.DOTALL
)
_BARE = re.compile(
    r"(?:(?<=\s)|\A)[^\s$]{0,40}\\(?:[dtc]?frac|sqrt|pi|infty|[dt]?binom)(?![A-Za-z])"
    r"(?:\{[^$\n]{0,80}?\}|\d)*[^\s$]{0,80}(?:\s[-+=]\s[^\s$A-Za-z]{1,40})*"
)
"""LaTeX that stands in prose without dollar signs."""
_BOLD = re.compile(r"\*\*([^*\n]+?)\*\*|__([^_\n]+?)__|<b>([^<\n]+?)</b>")
_PROSE = re.compile(r"(?<![\\A-Za-z{])[A-Za-z]{3,}(?![A-Za-z]*\})")
_MATH_WORD = re.compile(
    r"sqrt|frac|sin|cos|tan|log|exp|and|text|inf|infty|infinity|base|mod|max|min|gcd|lcm", re.IGNORECASE
)
_SHORT_WORDS = re.compile(
    r"\\[A-Za-z]+|(?<![A-Za-z])(?:and|or|base|sqrt|pi|sin|cos|tan|log|ln|inf|infinity)(?![A-Za-z])|(?<=\d)\s?[ap]m\b",
    re.IGNORECASE,
)


def find_spans(text: str) -> list[str]:
    """Mathematics and emphasis in a text, in order."""
    maths = list(MATH.finditer(text))
    found = [(match.start(), content_of(match)) for match in maths]

    def outside(match: re.Match[str]) -> bool:
        return not any(math.start() <= match.start() < math.end() for math in maths)

    if "\\" in text:
        found += [(m.start(), m[0].strip().rstrip(".,;")) for m in _BARE.finditer(text) if outside(m)]
    for match in filter(outside, _BOLD.finditer(text)):
        content = content_of(match).rstrip(".")
        if re.search(r"\d", content) and not content.endswith(":"):
            found.append((match.start(), content if is_value(content) else last_number(content) or ""))
    return [content for _, content in sorted(found)]


def joined_spans(text: str) -> str | None:
    """All of several pieces of mathematics that only `and`, `or` and commas part: `$1$ and $-3$`."""
    found = list(MATH.finditer(text))
    between = [text[a.end() : b.start()] for a, b in pairwise(found)]
    if between and all(re.fullmatch(r"\s*(?:,|;|,?\s*(?:and|or))\s*", piece) for piece in between):
        return ", ".join(content_of(match) for match in found)
    return None


def content_of(match: re.Match[str]) -> str:
    """What stands between the marks of a piece of mathematics or emphasis."""
    return next(group for group in match.groups() if group is not None).strip()


def is_value(text: str) -> bool:
    """Whether a piece of mathematics may be an answer: no prose between dollar signs, no bare name."""
    if not text or len(text) > MAX_SPAN_CHARS:
        return False
    words = prose_words(re.sub(r"\\(?:text|mbox|mathrm)\{[^{}]*\}", "", text))
    if any(not _MATH_WORD.fullmatch(word) for word in words):
        return False
    return re.search(r"\d|\\(?:frac|sqrt|pi|infty|text|emptyset|mathbb)|[+\-^=]", text) is not None


def has_words(text: str) -> bool:
    """Whether a text has words that are no part of mathematics."""
    return re.search(r"[^\W\d_]{2}|[\u4e00-\u9fff]", _SHORT_WORDS.sub(" ", text)) is not None


def prose_words(text: str) -> list[str]:
    """Words of three letters or more, commands of LaTeX not counted."""
    return _PROSE.findall(text)
