"""`format`: the same words in another layout, as copying, pasting and editing leave them.

Only whitespace and the case of headings change. The closing heading stays the last thing, so that a
model still answers.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from overmem.perturbations.text import (
    Heading,
    headings,
    is_free,
    protected_spans,
    sentence_gaps,
    split_prompt,
)


def change_layout(text: str, rng: random.Random) -> str | None:
    """Give a prompt one of several layouts.

    A layout that changes more than the whitespace at the ends is preferred, since many chat
    templates strip those.

    Args:
        text: a prompt.
        rng: chooses the layout.

    Returns:
        The prompt in another layout; None when it has no text.
    """
    if not text.strip():
        return None
    for layout in rng.sample(LAYOUTS, len(LAYOUTS)):
        changed = layout(text, rng)
        if changed.strip() != text.strip():
            return changed
    parts = split_prompt(text)
    wide = parts.lead + _replace_gaps(parts.body, _word_gaps(parts.body), "  ") + parts.tail
    return wide if wide != text else _blank_edges(text, rng)


def _sentence_a_line(text: str, rng: random.Random) -> str:
    return _between_sentences(text, "\n")


def _double_spaces(text: str, rng: random.Random) -> str:
    return _between_sentences(text, "  ")


def _blank_edges(text: str, rng: random.Random) -> str:
    """Blank lines around the prompt and before the closing heading and the last sentence."""
    parts = split_prompt(text)
    body = _replace_gaps(parts.body, sentence_gaps(parts.body)[-1:], "\n\n")
    edge = "\n" * rng.randint(1, 2)
    return edge + parts.lead + body + (edge + parts.tail if parts.tail.strip() else parts.tail + edge)


def _wrapped(text: str, rng: random.Random) -> str:
    """Lines of at most 32 to 60 characters, as text comes out of a PDF."""
    parts = split_prompt(text)
    width = rng.randint(32, 60)
    characters, line_start, space = list(parts.body), 0, -1
    gaps = {start for start, end in _word_gaps(parts.body) if end - start == 1}
    for i, character in enumerate(parts.body):
        if character == "\n":
            line_start, space = i + 1, -1
        elif i in gaps:
            space = i
        if i - line_start >= width and space >= 0:
            characters[space] = "\n"
            line_start, space = space + 1, -1
    return parts.lead + "".join(characters) + parts.tail


def _upper_headings(text: str, rng: random.Random) -> str:
    return _recase_headings(text, str.upper)


def _lower_headings(text: str, rng: random.Random) -> str:
    return _recase_headings(text, str.lower)


def _tight_heading(text: str, rng: random.Random) -> str:
    """No space between the problem and its heading."""
    return _space_heading(text, "", "")


def _heading_on_its_line(text: str, rng: random.Random) -> str:
    return _space_heading(text, "", "\n")


def _space_before_colon(text: str, rng: random.Random) -> str:
    return _space_heading(text, " ", " ")


LAYOUTS: tuple[Callable[[str, random.Random], str], ...] = (
    _sentence_a_line,
    _double_spaces,
    _blank_edges,
    _wrapped,
    _upper_headings,
    _lower_headings,
    _tight_heading,
    _heading_on_its_line,
    _space_before_colon,
)
"""Each returns the text as it is where it does not apply."""


def _between_sentences(text: str, gap: str) -> str:
    """The gaps between the problem's sentences replaced; line breaks that are there stay."""
    parts = split_prompt(text)
    gaps = [span for span in sentence_gaps(parts.body) if "\n" not in parts.body[slice(*span)]]
    return parts.lead + _replace_gaps(parts.body, gaps, gap) + parts.tail


def _recase_headings(text: str, recase: Callable[[str], str]) -> str:
    """Headings of one letter stay: `A:` may be a choice."""
    for heading in headings(text):
        if heading.word_end - heading.word_start > 1:
            word = text[heading.word_start : heading.word_end]
            text = text[: heading.word_start] + recase(word) + text[heading.word_end :]
    return text


def _space_heading(text: str, before_colon: str, after: str) -> str:
    """The problem's heading with other whitespace around its colon."""
    parts = split_prompt(text)
    heading = _last_heading(parts.lead)
    if heading is None or not parts.body:
        return text
    label, colon = parts.lead[: heading.end - 1].rstrip(" \t"), parts.lead[heading.end - 1]
    if colon != ":":  # `**Question:**` or `### Question`, where whitespace would break the markup
        return text
    return f"{label}{before_colon}:{after}{parts.body}{parts.tail}"


def _last_heading(lead: str) -> Heading | None:
    """The heading that the problem directly follows."""
    found = headings(lead)
    return found[-1] if found and not lead[found[-1].end :].strip() else None


def _word_gaps(body: str) -> list[tuple[int, int]]:
    """(start, end) of the runs of spaces between words, LaTeX, code and tables left out."""
    protected = protected_spans(body)
    gaps, start = [], None
    for i, character in enumerate(body):
        if character == " ":
            start = i if start is None else start
        elif start is not None:
            if character != "\n" and start and body[start - 1] != "\n" and is_free(protected, start, i):
                gaps.append((start, i))
            start = None
    return gaps


def _replace_gaps(text: str, gaps: list[tuple[int, int]], gap: str) -> str:
    for start, end in reversed(gaps):
        text = text[:start] + gap + text[end:]
    return text
